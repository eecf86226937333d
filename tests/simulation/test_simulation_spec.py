from __future__ import annotations

from datetime import date

import pytest
import yaml
from pydantic import ValidationError

from ml_assets.simulation import Scenario, SimulationSpec


def test_an_empty_section_is_the_default_shop():
    spec = SimulationSpec.model_validate(yaml.safe_load("{}"))
    assert (spec.days, spec.end) == (182, date(2026, 7, 1))
    assert 950_000 <= spec.days * spec.events_per_day <= 1_050_000


def test_a_scenario_is_read_from_yaml():
    text = "{seed: 3, scenario: {name: price_shock, day: 2026-05-01}}"
    spec = SimulationSpec.model_validate(yaml.safe_load(text))
    assert spec.scenario == Scenario(name="price_shock", day=date(2026, 5, 1))


def test_scaling_grows_customers_and_events_over_the_same_days_and_products(spec):
    ten = spec.scaled(10)
    assert (ten.customers, ten.events_per_day) == (10 * spec.customers, 10 * spec.events_per_day)
    assert (ten.days, ten.products, ten.seed) == (spec.days, spec.products, spec.seed)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"sed": 1}, "sed"),
        ({"dirty_share": 0.9}, "dirty_share"),
        ({"customers": "many"}, "customers"),
        ({"products": 60, "categories": 40}, "products: 60"),
        ({"scenario": {"name": "alien_invasion", "day": date(2026, 2, 1)}}, "scenario"),
        ({"scenario": {"name": "price_shock", "day": date(2025, 2, 1)}}, "scenario.day"),
    ],
)
def test_nonsense_is_refused_by_name(given, named):
    with pytest.raises(ValidationError, match=named):
        SimulationSpec.model_validate(given)


def test_a_day_before_the_first_one_is_refused(spec):
    with pytest.raises(ValueError, match="2025-12-31"):
        spec.number_of(date(2025, 12, 31))


def test_a_factor_must_be_positive(spec):
    with pytest.raises(ValueError, match="factor"):
        spec.scaled(0)
