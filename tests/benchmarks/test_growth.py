"""The exponent of a stage's growth, the plot, and the comparison of the graph with the bare script."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.speed.growth import draw, exponent
from benchmarks.speed.orchestration import agree
from benchmarks.speed.stages import Stage, in_order

SCALES = (0.1, 1.0, 10.0)


@given(power=st.floats(-1, 3), constant=st.floats(0.01, 100))
def test_a_power_law_has_its_exponent(power: float, constant: float) -> None:
    grown = {at: Stage(constant * at**power, 1.0) for at in SCALES}
    assert exponent(grown) == pytest.approx(power, abs=1e-6)


def test_the_plot_names_every_stage_and_is_the_same_twice(tmp_path: Path) -> None:
    stages = {
        "tuning": {at: Stage(3 * at, 100 * at) for at in SCALES},
        "champion": {at: Stage(1.0, 50.0) for at in SCALES},
    }
    for name in ("one.svg", "two.svg"):
        draw(stages, tmp_path / name)
    drawn = (tmp_path / "one.svg").read_text()
    assert drawn == (tmp_path / "two.svg").read_text()
    assert "tuning  (+1.00)" in drawn
    assert "champion  (+0.00)" in drawn


def node(name: str, *reads: str) -> SimpleNamespace:
    found = SimpleNamespace(unique_id=name, resource_type="model", depends_on=SimpleNamespace(nodes=reads))
    return SimpleNamespace(node=found)


def test_compiled_models_come_after_what_they_read() -> None:
    compiled = SimpleNamespace(results=[node("c", "a", "b"), node("b", "a"), node("a", "source.lake")])
    assert [each.unique_id for each in in_order(compiled)] == ["a", "b", "c"]


def test_a_graph_that_made_something_else_is_refused() -> None:
    agree("tables", {"stg_events": 3}, {"stg_events": 3})
    with pytest.raises(RuntimeError, match="disagree about tables"):
        agree("tables", {"stg_events": 3}, {"stg_events": 4})
