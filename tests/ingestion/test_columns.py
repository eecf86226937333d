"""Missing and renamed raw columns."""

import pytest
from tiny_shop import EVENT_COLUMNS, day, event, simulated_shop

from ml_assets.config.ingestion_error import IngestionError


def renamed(old, new):
    return [new if name == old else name for name in EVENT_COLUMNS]


@pytest.mark.parametrize(
    ("old", "new"),
    [("price", "unit_price"), ("customer_id", "customerid"), ("ts", "happened"), ("quantity", "qantity")],
)
def test_a_renamed_column_is_recognised(shop, old, new):
    path = shop.land_events(0, [{**event("a"), new: "1"}], renamed(old, new))
    with pytest.raises(IngestionError, match=f"column '{old}' is missing") as raised:
        shop.ingest(0)
    assert (raised.value.file, raised.value.column) == (str(path), old)
    assert f"'{new}' looks like it, renamed" in raised.value.problem
    assert "simulated.yaml" in raised.value.remedy
    assert not shop.part(0).exists()


def test_a_missing_column_lists_what_there_is(shop):
    shop.land_events(0, [event("a")], [name for name in EVENT_COLUMNS if name != "event_type"])
    with pytest.raises(IngestionError, match=r"column 'event_type' is missing .*the file has event_id, ts"):
        shop.ingest(0)


def test_the_second_file_of_a_range_may_be_the_culprit(shop):
    shop.land_events(0, [event("a")])
    path = shop.land_events(1, [event("b", 1)], renamed("price", "cost"))
    [refused] = shop.ingest(0, 1).refused
    assert refused.day == day(1)
    assert refused.text.startswith(f"{path}: ")
    assert shop.part(0).exists()
    assert not shop.part(1).exists()


def test_a_column_a_rule_needs_is_needed(shop):
    shop.source = simulated_shop({"tables": {"events": {"rules": {"robot": "agent like '%bot%'"}}}})
    shop.land_events(0, [event("a")])
    with pytest.raises(IngestionError, match=r"'agent' is missing \(needed by tables.events.rules.robot\)"):
        shop.ingest(0)


def test_sql_that_cannot_run_points_at_the_yaml(shop):
    shop.source = simulated_shop({"tables": {"events": {"columns": {"price": "prise(price)"}}}})
    shop.land_events(0, [event("a")])
    with pytest.raises(IngestionError, match=r"tables.events.columns.price.from is no SQL that can run"):
        shop.ingest(0)


def test_sql_that_a_row_breaks_points_at_the_yaml(shop):
    shop.source = simulated_shop({"tables": {"events": {"columns": {"price": "price::double"}}}})
    shop.land_events(0, [event("a", price="free")])
    with pytest.raises(IngestionError, match=r"try_cast, not cast"):
        shop.ingest(0)
