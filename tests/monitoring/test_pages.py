"""The pages: they parse, need nothing from outside, and say what the report says."""

from datetime import timedelta

import numpy as np
import pytest
from page_reader import read
from prediction_days import FEEDBACK, MODEL, MONDAY, Day, traffic

from ml_assets.config.settings import Settings
from ml_assets.monitoring.quality.ranking_quality import quality
from ml_assets.monitoring.report.pages import level_page, quality_page, skew_page
from ml_assets.monitoring.service_level import service_level
from ml_assets.monitoring.skew.daily import FeatureSkew, SkewReport


def test_quality_page_shows_versions_popularity_and_the_loss(settings: Settings):
    for number in range(9):
        traffic(settings, number, 60, version="old" if number < 4 else "new<er>")
    for number in (9, 10):
        day = traffic(settings, number, 25, version="new<er>")
        for customer in range(30):
            day.answer(f"held{customer}", arm="holdback", model_version="new<er>", clicked=(1,) * (customer < 3))
        day.write(settings)
    report = quality(FEEDBACK, settings, MONDAY + timedelta(10))
    page = read(quality_page(FEEDBACK, settings, report))
    assert report.loss
    assert "The click rate is lower than it was" in page.text
    assert "new<er>" in page.text, "text is escaped, not lost"
    assert "the click rate of popularity" in page.text
    assert len(page.addresses) == 2


def test_quality_page_of_a_day_without_traffic(settings: Settings):
    page = read(quality_page(FEEDBACK, settings, quality(FEEDBACK, settings, MONDAY)))
    assert "No traffic" in page.text
    assert page.addresses == []


def test_service_level_page_shows_hours_and_workers(settings: Settings):
    rng, day = np.random.default_rng(7), Day(MONDAY)
    for number in range(200):
        day.answer(hour=8 + number % 9, latency_ms=float(rng.lognormal(1.5, 0.5)), served_by=f"bento:1/{number % 2}")
    day.refuse(503, hour=20)
    day.write(settings)
    page = read(level_page(MODEL, settings, service_level(MODEL, settings, MONDAY)))
    assert "The service broke its promise" in page.text
    assert "bento:1/1" in page.text
    assert len(page.addresses) == 1


def test_service_level_page_of_silence(settings: Settings):
    report = service_level(MODEL, settings, MONDAY)
    assert "No traffic" in read(level_page(MODEL, settings, report)).text


@pytest.mark.parametrize("differing", [0, 30])
def test_skew_page_names_the_worst_feature(settings: Settings, differing: int):
    example = "a / b / c: served 1, recomputed 2" if differing else None
    feature = FeatureSkew(name="product__price", rows=100, differing=differing, share=differing / 100, example=example)
    report = SkewReport(
        model=MODEL.name, day=MONDAY, state="judged", ok=not differing, text="text", answers=20, degraded=0, rows=100,
        worst=feature.share, features=(feature,), lost_indexes=(),
    )  # fmt: skip
    page = read(skew_page(MODEL, settings, report))
    assert ("Served otherwise than trained" in page.text) == bool(differing)
    assert ("product__price" in page.text) == bool(differing)
    assert len(page.addresses) == bool(differing)
