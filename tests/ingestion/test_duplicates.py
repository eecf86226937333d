"""Repeated keys within a day, over days, in one run and in many."""

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from tiny_shop import day, event, simulated_shop, tiny_shop

LATE = 3


def test_the_first_row_of_a_day_stays(shop):
    shop.land_events(0, [event("a", country="first"), event("a", country="second"), event("b")])
    assert shop.ingest(0).reasons == {"duplicate": 1}
    assert [row["country"] for row in shop.good()] == ["first", "GB"]


def test_a_corrected_copy_of_a_bad_row_is_good(shop):
    shop.land_events(0, [event("a", price="-1"), event("a")])
    assert shop.ingest(0).reasons == {"range:price": 1}
    assert shop.ids() == ["a"]


@pytest.mark.parametrize("at_once", [True, False])
def test_a_late_copy_is_a_duplicate_of_the_earlier_day(shop, at_once):
    shop.land_events(0, [event("a"), event("b", price="-1")])
    shop.land_events(1, [event("a"), event("b")])
    reports = [shop.ingest(0, 1)] if at_once else [shop.ingest(0), shop.ingest(1)]
    assert sum(report.reasons.get("duplicate", 0) for report in reports) == 1
    assert (shop.ids(0), shop.ids(1)) == (["a"], ["b"])


def test_the_same_day_again_is_no_duplicate_of_itself(shop):
    shop.land_events(0, [event("a")])
    for _ in range(2):
        assert shop.ingest(0).rows_quarantined == 0


def test_a_table_without_late_rows_looks_at_its_own_day_only(shop):
    shop.source = simulated_shop({"tables": {"events": {"time": {"max_lateness_days": 0}}}})
    for number in range(2):
        shop.land_events(number, [event("a", number)])
    assert shop.ingest(0, 1).rows_quarantined == 0


def expected_good(arrivals):
    """Day by day: good unless good within the last days or earlier the same day."""
    last_good, good = {}, []
    for number, keys in enumerate(arrivals):
        kept = {key for key in keys if key not in last_good or number > last_good[key] + LATE}
        last_good |= dict.fromkeys(kept, number)
        good.append(sorted(kept))
    return good


@hypothesis_settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    arrivals=st.lists(st.lists(st.sampled_from("abc"), max_size=4), min_size=5, max_size=5),
    cut=st.integers(1, 4),
)
def test_any_split_of_the_range_keeps_the_same_rows(tmp_path_factory, arrivals, cut):
    shop = tiny_shop(tmp_path_factory.mktemp("shop"))
    shop.open_days(len(arrivals))
    for number, keys in enumerate(arrivals):
        shop.land_events(number, [event(key, number) for key in keys])
    shop.ingest(0, len(arrivals) - 1)
    whole = [shop.part(number).read_bytes() for number in range(len(arrivals))]
    assert [shop.ids(number) for number in range(len(arrivals))] == expected_good(arrivals)
    for path in (shop.settings.lake / "events").iterdir():
        path.joinpath("part.parquet").unlink()
    shop.ingest(0, cut - 1)
    shop.ingest(cut, len(arrivals) - 1)
    assert [shop.part(number).read_bytes() for number in range(len(arrivals))] == whole
    assert shop.part(0).parent.name == f"event_day={day(0)}"
