"""The gate's metrics and the calibration of labelled predictions, on a fixed sample, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import numpy as np

from ml_assets.config.model_spec import ModelSpec
from ml_assets.metrics.bootstrap import cluster_draws
from ml_assets.metrics.metric_registry import ROW_METRICS
from ml_assets.metrics.ranking import FloatArray, IntArray
from ml_assets.metrics.tabular import BINS, METRICS, once, quantile_bins
from ml_assets.monitoring.quality.rates import Z95
from ml_assets.monitoring.reports import Report

SAMPLE = 20_000
"""Rows the metrics of a version are taken on at most, those of the lowest hashes; what is decided uses all rows."""
DRAWS = 200
LEVEL = 0.95
CELLS = 4_000_000
"""Weights held at a time (draws x rows)."""

_SAMPLE = """
select {keys}, list(label order by row), list(value order by row), list(unit order by row)
from (
    select {keys}, label, value, unit, md5(prediction_id) as row from {rows} where label is not null
    qualify row_number() over (partition by {keys} order by md5(prediction_id), prediction_id) <= {limit}
)
group by {keys}
"""


class Interval(Report):
    """A metric with its 95 % interval; None where it is undefined."""

    value: float | None
    low: float | None
    high: float | None


class CalibrationBin(Report):
    """About a tenth of the rows, by prediction: mean prediction and mean label with its standard error."""

    predicted: float
    observed: float
    error: float
    rows: int

    @property
    def interval(self) -> tuple[float, float]:
        """Normal 95 % interval of the mean label."""
        return self.observed - Z95 * self.error, self.observed + Z95 * self.error


@dataclass(frozen=True)
class Labelled:
    """Labels [n], predictions [n] and codes [n] of the events they are of."""

    truth: FloatArray
    predicted: FloatArray
    unit: IntArray


def sample(connection: duckdb.DuckDBPyConnection, rows: str, by: Sequence[str]) -> dict[tuple[str, ...], Labelled]:
    """Labelled rows for each combination of the text columns `by`: the same ones each time."""
    found = connection.execute(_SAMPLE.format(keys=", ".join(by), rows=rows, limit=SAMPLE)).fetchall()
    return {
        tuple(row[: len(by)]): Labelled(
            np.asarray(row[-3], dtype=np.float64),
            np.asarray(row[-2], dtype=np.float64),
            np.unique(np.asarray(row[-1], dtype=np.str_), return_inverse=True)[1].astype(np.int64),
        )
        for row in found
    }


def metrics(spec: ModelSpec, rows: Labelled) -> dict[str, Interval]:
    """The metrics of the task, with percentile intervals of a bootstrap that draws events (Efron and Tibshirani)."""
    names, units = ROW_METRICS[spec.task], int(rows.unit.max(initial=-1)) + 1
    drawn: dict[str, list[FloatArray]] = {name: [] for name in names}
    for counts in cluster_draws(units, DRAWS, spec.training.seed, CELLS // max(len(rows.unit), 1)):
        weights = counts[:, rows.unit].astype(np.float64)
        for name in names:
            drawn[name].append(METRICS[name](rows.truth, rows.predicted, weights))
    return {name: _interval(name, rows, drawn[name]) for name in names}


def calibration(rows: Labelled) -> tuple[CalibrationBin, ...]:
    """Predictions in ten bins of equally many rows, with what became of them."""
    number = quantile_bins(rows.predicted)
    found = []
    for at in range(BINS):
        truth, predicted = rows.truth[number == at], rows.predicted[number == at]
        if len(truth):
            error = float(truth.std(ddof=1) / np.sqrt(len(truth))) if len(truth) > 1 else 0.0
            means = {"predicted": float(predicted.mean()), "observed": float(truth.mean())}
            found.append(CalibrationBin(**means, error=error, rows=len(truth)))
    return tuple(found)


def _interval(name: str, rows: Labelled, drawn: Sequence[FloatArray]) -> Interval:
    value = METRICS[name](rows.truth, rows.predicted, once(len(rows.truth)))[0]
    values = np.concatenate(drawn) if drawn else np.empty(0)
    values = values[np.isfinite(values)]
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) if len(values) else (np.nan, np.nan)
    return Interval(value=_known(value), low=_known(low), high=_known(high))


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
