"""The evaluation as one HTML file: verdict first, then numbers, pictures and where everything came from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ml_assets.learning import charts
from ml_assets.learning.compare import GateDecision
from ml_assets.learning.evaluation import CANDIDATE, EvaluationResult, PartResult
from ml_assets.learning.explain import IMPORTANCE_PLOT, SHAP_PLOT
from ml_assets.learning.metrics import METRICS
from ml_assets.learning.spec import ModelSpec
from ml_assets.learning.split import Part
from ml_assets.learning.training_set import DatasetRef
from ml_assets.registry.versions import VersionRef

COLUMNS = (*METRICS, "coverage_10")
UNDEFINED = "n/a"
_TEMPLATES = Path(__file__).parent / "templates"


def render(
    spec: ModelSpec,
    dataset: DatasetRef,
    version: VersionRef,
    result: EvaluationResult,
    decision: GateDecision,
    *,
    plots: Path,
) -> str:
    """Render the report; self-contained (pictures inline, no script, no address outside).

    Args:
        spec: the model.
        dataset: the training set.
        version: the candidate.
        result: its evaluation.
        decision: what the gate says of it.
        plots: folder of the explanation's pictures; left out where absent.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["number"] = _number
    environment.filters["signed"] = _signed
    return environment.get_template("report.html").render(
        spec=spec,
        manifest=dataset.manifest,
        version=version,
        result=result,
        decision=decision,
        test=result.parts[Part.TEST.value],
        columns=[(name, charts.label(name)) for name in COLUMNS],
        metric=charts.label(result.metric),
        reference=charts.label(result.reference),
        tables={part: _table(judged) for part, judged in result.parts.items()},
        pictures=_pictures(spec, result, plots),
    )


def _table(judged: PartResult) -> list[dict[str, Any]]:
    """One row per contender with its label, values and whether each value is the column's best."""
    best = {
        name: max((v for values in judged.values.values() if (v := values[name]) is not None), default=None)
        for name in COLUMNS
    }
    return [
        {
            "label": charts.label(name),
            "candidate": name == CANDIDATE,
            "cells": [(values[column], values[column] == best[column]) for column in COLUMNS],
        }
        for name, values in judged.values.items()
    ]


def _pictures(spec: ModelSpec, result: EvaluationResult, plots: Path) -> dict[str, str | None]:
    test = result.parts[Part.TEST.value]
    return {
        "contenders": charts.inline(charts.contenders_figure(result)),
        "decisions": charts.inline(charts.decisions_figure(result)),
        "gains": charts.inline(charts.gains_figure(result, test, spec.gate)),
        "slices": charts.inline(charts.slices_figure(result, test, spec.gate)) if test.slices else None,
        "importance": charts.inline_file(plots / IMPORTANCE_PLOT),
        "shap": charts.inline_file(plots / SHAP_PLOT),
    }


def _number(value: float | None) -> str:
    if value is None:
        return UNDEFINED
    return f"{value:.4f}" if abs(value) < 1 else f"{value:.2f}"


def _signed(value: float | None) -> str:
    return UNDEFINED if value is None else f"{value:+.4f}"
