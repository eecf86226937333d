"""The name of a file or folder is never a pattern, and never a column."""

import pytest
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from tiny_shop import EVENT_COLUMNS, day, event, product, simulated_shop, tiny_shop, write_rows

from ml_assets.config.ingestion_error import IngestionError
from ml_assets.config.settings import Settings
from ml_assets.ingestion.connectors.addresses import source_files
from ml_assets.ingestion.traffic import traffic


def in_a_folder_a_day(shop, **changes):
    shop.source = simulated_shop({"tables": {"events": {"address": "{landing}/events/{day}", **changes}}})
    return shop


def land(shop, name, rows):
    write_rows(shop.settings.landing / "events" / str(day(0)) / name, rows, EVENT_COLUMNS)


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_a_file_with_signs_of_a_pattern_is_that_file(shop, suffix):
    for name in ("e[1]", "e1", "a*", "ab", "q?", "it's"):
        land(in_a_folder_a_day(shop), f"{name}{suffix}", [event(name)])
    assert (shop.ingest(0).rows_good, set(shop.ids())) == (6, {"e[1]", "e1", "a*", "ab", "q?", "it's"})


def test_a_folder_named_like_a_column_is_no_column(shop):
    shop.source = simulated_shop({"tables": {"events": {"address": "{landing}/price=3/{day}.parquet"}}})
    write_rows(shop.settings.landing / "price=3" / f"{day(0)}.parquet", [event("a")], EVENT_COLUMNS)
    shop.ingest(0)
    assert shop.good()[0]["price"] == 10.0


@pytest.mark.parametrize("name", ["home[1]", "ho*me", "h?me", "it's home", "{home}"])
def test_a_home_may_have_any_of_these_names(tmp_path, name):
    (tmp_path / name.translate({ord(sign): "1" for sign in "[]*?"})).mkdir()
    shop = tiny_shop(tmp_path / name)
    shop.open_days(2)
    for number in range(2):
        shop.land_events(
            number, [event("same", number), event(f"e{number}", number), event("P3", number, product_id="P3")]
        )
        assert shop.ingest(number).reasons == {"reference:product_id": 1, **({"duplicate": 1} if number else {})}
    assert traffic(shop.settings, shop.source, "events", day(1)).state == "no history yet"
    pattern = shop.source.table("events").model_copy(update={"address": "{landing}/*/{day}.parquet"})
    labels = [file.label for file in source_files(pattern, shop.settings, [day(0)])]
    assert labels == [f"events/{day(0)}.parquet", f"products/{day(0)}.parquet"]


@pytest.mark.parametrize("name", ["price=3", "back\\slash"])
def test_a_home_that_duckdb_cannot_be_told_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match="choose another home"):
        Settings(home=tmp_path / name, shop="simulated")


def test_a_file_that_duckdb_cannot_be_told_is_refused(shop):
    land(in_a_folder_a_day(shop), "a\\[1].parquet", [event("a")])
    with pytest.raises(IngestionError, match=r"its name cannot be read\. .* rename the file"):
        shop.ingest(0)


NAMES = st.text("ab[]*?!-^{}=' ", min_size=1, max_size=6).filter(str.strip)


@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(names=st.lists(NAMES, min_size=1, max_size=5, unique=True), folder=NAMES)
def test_every_file_s_rows_are_read_once_whatever_it_is_called(tmp_path_factory, names, folder):
    assume("=" not in folder)
    shop = tiny_shop(tmp_path_factory.mktemp("shop") / folder)
    shop.land_products(0, [product("P1")])
    shop.ingest(0, 0, "products")
    for name in names:
        land(in_a_folder_a_day(shop), f"{name}.parquet", [event(f"e{name}".strip(), country=name)])
    report = shop.ingest(0)
    assert (report.rows_in, len(shop.good()) + len(shop.bad())) == (len(names), len(names))
    assert {row["country"] for row in shop.good()} <= {name.strip() for name in names}
