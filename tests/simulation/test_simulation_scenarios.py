"""Each scenario changes what it should from its day on, and not a byte before."""

from __future__ import annotations

from datetime import timedelta
from typing import get_args

import pytest

from ml_assets.simulation.spec import ScenarioName

NAMES = get_args(ScenarioName)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_before_its_day_differs(name, scenario_history, history, change):
    for files, usual in zip(scenario_history(name), history, strict=False):
        same = files.events.equals(usual.events) and files.products.equals(usual.products)
        assert same == (files.day < change), files.day


def _from(history, change, days=14):
    return [files for files in history if change <= files.day < change + timedelta(days=days)]


def test_price_shock_raises_every_price_and_dampens_buying(scenario_history, history, change, clean_rows):
    usual, shocked = (clean_rows(_from(h, change)) for h in (history, scenario_history("price_shock")))
    prices = "select product_id, avg(price) as price from e where ts::date = event_day group by 1"
    before, after = (dict(db.execute(prices).fetchall()) for db in (usual, shocked))
    ratios = [after[p] / before[p] for p in before.keys() & after.keys()]
    assert all(1.4 < ratio < 1.8 for ratio in ratios)
    buys = "select count(*) filter (event_type = 'purchase') / count(*) from e"
    assert shocked.execute(buys).fetchone()[0] < 0.9 * usual.execute(buys).fetchone()[0]


def test_price_shock_announces_every_product_anew(scenario_history, change):
    (files,) = [f for f in scenario_history("price_shock") if f.day == change]
    assert files.products.num_rows > 180


def test_taste_shift_makes_other_products_popular(scenario_history, history, change, clean_rows):
    counts = "select product_id, count(*) from e group by 1 order by 2 desc limit 20"
    usual, shifted = (
        {product for product, _ in clean_rows(_from(h, change)).execute(counts).fetchall()}
        for h in (history, scenario_history("taste_shift"))
    )
    assert len(usual & shifted) < 10


def test_new_category_appears_and_takes_views(scenario_history, history, change, clean_rows):
    launched = "select count(distinct product_id) from p where category = 'novelties'"
    share = """select avg((product_id in (select product_id from p where category = 'novelties'))::int)
        from e where event_type = 'view'"""
    database = clean_rows(_from(scenario_history("new_category"), change))
    assert clean_rows(history).execute(launched).fetchone()[0] == 0
    assert database.execute(launched).fetchone()[0] == 25
    assert 0.1 < database.execute(share).fetchone()[0] < 0.4


def test_tracking_bug_loses_carts_sessions_and_countries(scenario_history, history, change, clean_rows):
    usual, broken = (clean_rows(_from(h, change)) for h in (history, scenario_history("tracking_bug")))
    counts = """select count(*) filter (event_type = 'view'), count(*) filter (event_type = 'cart'),
        count(*) filter (event_type = 'purchase'), avg((session_id is null)::int), avg((country is null)::int)
        from e where ts::date = event_day"""
    views, carts, purchases, _, _ = usual.execute(counts).fetchone()
    seen_views, seen_carts, seen_purchases, sessions, countries = broken.execute(counts).fetchone()
    assert 0.95 < seen_views / views < 1.05 and 0.95 < seen_purchases / purchases < 1.05
    assert seen_carts < 0.35 * carts
    assert sessions > 0.6 and countries > 0.6
