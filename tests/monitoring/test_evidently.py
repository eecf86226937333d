"""A day that really drifted: its page and Evidently's picture of it."""

from datetime import timedelta

import lightgbm
import numpy as np
import pytest
from page_reader import read
from prediction_days import MODEL, MONDAY, Day

from ml_assets.config.settings import Settings
from ml_assets.monitoring.drift.daily import drift, read_drift
from ml_assets.monitoring.drift.evidently import draw
from ml_assets.monitoring.report.pages import drift_page
from ml_assets.registry.versions import publish_version

FEATURES = ("product__price", "product__views_7d", "retrieval__own", "customer__never_known")
DAYS = 6
LAST = MONDAY + timedelta(DAYS - 1)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Days of traffic on whose last one prices have moved; the last two are judged."""
    settings = Settings(home=tmp_path_factory.mktemp("drifted"), shop="simulated")
    rng = np.random.default_rng(7)
    rows = rng.normal(size=(400, len(FEATURES)))
    booster = lightgbm.train({"verbosity": -1, "num_threads": 1}, lightgbm.Dataset(rows, rows[:, 0] + rows[:, 1]), 10)
    version = publish_version(
        settings, MODEL.name, booster.model_to_string(), run_id="run", features=FEATURES, params={},
        training_set="none", metrics={}, created_from={},
    )  # fmt: skip
    for number in range(DAYS):
        day = Day(MONDAY + timedelta(number))
        for customer in range(100):
            values = rng.normal(size=(3, 3))
            values[:, 0] += 0.7 * (number == DAYS - 1)
            features = [dict(zip(FEATURES, [*map(float, row), None], strict=True)) for row in values]
            day.answer(f"u{customer}", features=features, model_version=version.version)
        day.write(settings)
    for number in (0, DAYS - 2, DAYS - 1):
        drift(MODEL, settings, MONDAY + timedelta(number))
    return settings


def test_the_drift_page_shows_what_moved(shop: Settings):
    report = read_drift(shop, MODEL.name, LAST)
    page = read(drift_page(MODEL, shop, report))
    assert report.alarm
    assert "Drift on this day" in page.text
    assert "product__price" in page.text
    assert len(page.addresses) == 3, "weights and PSI, distributions, history"


def test_the_drift_page_of_a_day_that_is_not_judged(shop: Settings):
    page = read(drift_page(MODEL, shop, read_drift(shop, MODEL.name, MONDAY)))
    assert "No reference yet" in page.text
    assert page.addresses == []


def test_evidently_draws_what_is_known_on_both_sides(shop: Settings):
    text = draw(MODEL, shop, LAST).read_text()
    assert "product__price" in text
    assert "customer__never_known is left out: it has no value on either side." in text
    assert 'src="http' not in text
    assert draw(MODEL, shop, MONDAY) is None, "nothing was judged yet"
