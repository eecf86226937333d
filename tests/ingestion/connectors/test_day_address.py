"""The day in an address, written and read."""

import re
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_assets.config.day_address import any_day, day_named, has_day, with_day

FORMS = ["", ":%Y-%m-%d", ":%Y%m%d", ":%Y/%m/%d", ":%d.%m.%Y", ":%Y%j"]


@given(form=st.sampled_from(FORMS), day=st.dates(date(2000, 1, 1), date(2099, 12, 31)))
def test_what_is_written_is_read_back(form, day):
    address = f"bucket/{{day{form}}}/part.csv"
    named = with_day(address, day)
    assert has_day(address)
    assert not has_day(named)
    assert day_named(named, "bucket/", address, re.escape("/part.csv")) == day


@pytest.mark.parametrize(("address", "glob"), [("a/{day}.csv", "a/*.csv"), ("a/{day:%Y/%m/%d}/*", "a/*/*/*/*")])
def test_any_day_is_a_glob(address, glob):
    assert any_day(address) == glob


@pytest.mark.parametrize("name", ["20261301", "2026-01-01", "202601", "x20260101"])
def test_what_is_no_day_is_none(name):
    assert day_named(name, "", "{day:%Y%m%d}", "") is None
