"""The evaluation as one HTML file: verdict first, then numbers, pictures and where everything came from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from ml_assets.config.model_spec import ModelSpec
from ml_assets.datasets.split import Part
from ml_assets.datasets.training_set import DatasetRef
from ml_assets.evaluation import charts
from ml_assets.evaluation.gate import decision_of
from ml_assets.evaluation.result import CANDIDATE, EvaluationResult, PartResult
from ml_assets.evaluation.tabular_charts import row_pictures
from ml_assets.metrics.metric_registry import metrics_of, sign
from ml_assets.metrics.ranking import METRICS
from ml_assets.registry.versions import VersionRef
from ml_assets.reporting.figures import inline
from ml_assets.training.importance import IMPORTANCE_PLOT, SHAP_PLOT

UNDEFINED = "n/a"
LISTS = {"row": "lists", "cluster": "customers", "hit": "relevant products"}
EVENTS = {"row": "events", "cluster": "clusters", "hit": "positive"}
"""What rows, the bootstrap's clusters and relevant rows are called, of a ranking and of labelled events."""
_TEMPLATES = Path(__file__).parent / "templates"


def render(
    spec: ModelSpec,
    dataset: DatasetRef,
    version: VersionRef,
    result: EvaluationResult,
    *,
    plots: Path,
    scored: pa.Table | None = None,
) -> str:
    """Render the report; self-contained (pictures inline, no script, no address outside).

    Args:
        spec: the model.
        dataset: the training set.
        version: the candidate.
        result: its evaluation, with the gate's decision.
        plots: folder of the explanation's pictures; left out where absent.
        scored: of a binary or regression model, every contender's predictions.
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
    columns = (*METRICS, "coverage_10") if spec.ranks else metrics_of(spec.task)
    return environment.get_template("report.html").render(
        spec=spec,
        manifest=dataset.manifest,
        version=version,
        result=result,
        decision=decision_of(result, spec.gate),
        test=result.parts[Part.TEST.value],
        columns=[(name, charts.label(name)) for name in columns],
        metric=charts.label(result.metric),
        reference=charts.label(result.reference),
        tables={part: _table(judged, columns) for part, judged in result.parts.items()},
        pictures=_pictures(spec, result, plots),
        curves=[] if scored is None else row_pictures(spec.task, scored, Part.TEST.value),
        units=LISTS if spec.ranks else EVENTS,
    )


def _table(judged: PartResult, columns: Sequence[str]) -> list[dict[str, Any]]:
    """One row per contender with its label, values and whether each value is the column's best."""
    best = {name: _best(name, judged) for name in columns}
    return [
        {
            "label": charts.label(name),
            "candidate": name == CANDIDATE,
            "cells": [(values[column], values[column] == best[column]) for column in columns],
        }
        for name, values in judged.values.items()
    ]


def _best(metric: str, judged: PartResult) -> float | None:
    """The best value of a metric among the contenders."""
    known = [value for values in judged.values.values() if (value := values[metric]) is not None]
    return (max if sign(metric) > 0 else min)(known, default=None)


def _pictures(spec: ModelSpec, result: EvaluationResult, plots: Path) -> dict[str, str | None]:
    test = result.parts[Part.TEST.value]
    return {
        "contenders": inline(lambda: charts.contenders_figure(result)),
        "decisions": inline(lambda: charts.decisions_figure(result)),
        "gains": inline(lambda: charts.gains_figure(result, test, spec.gate)),
        "slices": inline(lambda: charts.slices_figure(result, test, spec.gate)) if test.slices else None,
        "importance": charts.inline_file(plots / IMPORTANCE_PLOT),
        "shap": charts.inline_file(plots / SHAP_PLOT),
    }


def _number(value: float | None) -> str:
    if value is None:
        return UNDEFINED
    return f"{value:.4f}" if abs(value) < 1 else f"{value:.2f}"


def _signed(value: float | None) -> str:
    return UNDEFINED if value is None else f"{value:+.4f}"
