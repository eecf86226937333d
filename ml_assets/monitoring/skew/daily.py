"""Training-serving skew: the feature values that were served, recomputed offline for the same key and time.

Features of the views come from the point-in-time join that makes training sets, at the `as_of` the service
counted as now; retrieval scores from the index that answered, asked again with the same session; what the caller sent
along from the request. All are compared as the booster saw them, in float32. A value that cannot be recomputed (its
index is gone, its feature is no longer defined) counts as different. Answers that say they are degraded are left out
and counted; old features are features, and stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.monitoring.reports import Report, read_report, write_report
from ml_assets.monitoring.skew.recompute import Floats, Logged, floats, logged_of
from ml_assets.monitoring.tables import WHOLE, published_days
from ml_assets.prediction_log import open_days
from ml_assets.registry.release import Arm
from ml_assets.registry.versions import load_version, versions_home

SKEW = "skew"

TOLERANCE = 1e-5
"""Relative: float32 has seven digits, and `2^x` may differ in its last bits between vector lengths."""

NAMED = 5
"""Skewed features named in the text."""

_MODEL = f"arm in ('{Arm.CHAMPION}', '{Arm.CANARY}', '{Arm.SHADOW}')"
_COUNTS = f"select count(*), count(*) filter (not {WHOLE}) from predictions where {_MODEL}"
_SAMPLE = f"""
with

sizes as (
    select prediction_id, count(*) as products
    from shown
    semi join (select * from predictions where {_MODEL} and {WHOLE}) as whole using (prediction_id)
    group by prediction_id
),

sampled as (
    select prediction_id
    from sizes
    qualify sum(products) over (order by md5(prediction_id), prediction_id) <= $rows
)

select shown.*, {{asked}}
from shown
join predictions using (prediction_id)
semi join sampled using (prediction_id)
order by {{row}}
"""
"""Whole answers, those of the lowest hashes: the same ones each time, spread over workers and hours."""


class FeatureSkew(Report):
    """One feature: rows compared, how many differ, and the first of them as an example."""

    name: str
    rows: int
    differing: int
    share: float
    example: str | None


class SkewReport(Report):
    """Served against recomputed features of a day, the worst feature first; answers are those of a model."""

    model: str
    day: date
    state: Literal["judged", "no traffic", "nothing to compare"]
    ok: bool
    text: str
    answers: int
    degraded: int
    rows: int
    worst: float
    features: tuple[FeatureSkew, ...]
    lost_indexes: tuple[str, ...]

    @property
    def passed(self) -> bool | None:
        """Whether served is what training would see; None when no model was asked."""
        return None if self.state == "no traffic" else self.ok

    @property
    def weight(self) -> float:
        """How bad the day is beside others."""
        return self.worst


def skew(spec: ModelSpec, settings: Settings, day: date) -> SkewReport:
    """Recompute a sample of the day's shown rows and write the report.

    Args:
        spec: the model; `monitoring` says how many rows, and which share of a feature's values may differ.
        settings: the deployment, with its warehouse, feature registry, versions and indexes.
        day: a day whose table was published; one that was not has no traffic.

    Raises:
        CorruptedVersionError, FileNotFoundError: when a version that answered is altered or gone.
        OfflineStoreError: when the warehouse cannot be read.
    """
    answers = degraded = 0
    sample = None
    days = published_days(settings, spec.name, day, day)
    if days:
        with open_days(settings, spec.name, days) as connection:
            answers, degraded = connection.execute(_COUNTS).fetchall()[0]
            logged = logged_of(spec)
            sql = _SAMPLE.format(row=logged.row, asked=", ".join(f"predictions.{name}" for name in logged.asked))
            sample = connection.sql(sql, params={"rows": spec.monitoring.skew_rows}).to_arrow_table()
    if sample is None or not len(sample):
        report = _empty(spec, day, answers, degraded)
    else:
        report = _judge(spec, settings, day, sample).model_copy(update={"answers": answers, "degraded": degraded})
    write_report(settings, spec.name, SKEW, day, report)
    return report


def read_skew(settings: Settings, model: str, day: date) -> SkewReport:
    """The day's report.

    Raises:
        FileNotFoundError: when the day was not judged yet.
    """
    return read_report(settings, model, SKEW, day, SkewReport)


def _judge(spec: ModelSpec, settings: Settings, day: date, sample: pa.Table) -> SkewReport:
    version = sample["model_version"].to_numpy(zero_copy_only=False)
    reads = {each: set(load_version(versions_home(settings, spec.name) / each).features) for each in set(version)}
    logged = logged_of(spec)
    again = logged.recompute(spec, settings, sample)
    compared = {name: np.array([name in reads[each] for each in version]) for name in set().union(*reads.values())}
    found = [_feature(name, sample, again.features.get(name), rows, logged) for name, rows in compared.items()]
    features = tuple(sorted(found, key=lambda each: (-each.share, each.name)))
    skewed = [each for each in features if each.share > spec.monitoring.max_skew_share]
    return SkewReport(
        model=spec.name,
        day=day,
        state="judged",
        ok=not skewed,
        text=_text(day, len(sample), features, skewed, again.lost_indexes),
        answers=0,
        degraded=0,
        rows=len(sample),
        worst=features[0].share,
        features=features,
        lost_indexes=again.lost_indexes,
    )


def _feature(name: str, sample: pa.Table, again: Floats | None, compared: NDArray[np.bool_], of: Logged) -> FeatureSkew:
    """Compare one feature on the rows of versions that read it; `again` is None when nothing defines it."""
    logged = name in sample.column_names
    served = floats(sample[name]) if logged else np.full(len(sample), np.nan, dtype=np.float32)
    other = np.full(len(sample), np.inf, dtype=np.float32) if again is None else again
    equal = np.isclose(served.astype(np.float64), other, rtol=TOLERANCE, atol=0.0, equal_nan=True)
    differing, rows = np.flatnonzero(compared & ~equal), int(compared.sum())
    example = None
    if len(differing):
        row = int(differing[0])
        keys = " / ".join(str(sample[key][row]) for key in of.named)
        should = "cannot be recomputed" if np.isinf(other[row]) else f"recomputed {other[row]:.7g}"
        example = f"{keys}: served {served[row]:.7g}, {should}"
    return FeatureSkew(name=name, rows=rows, differing=len(differing), share=len(differing) / rows, example=example)


def _text(
    day: date, rows: int, features: Sequence[FeatureSkew], skewed: Sequence[FeatureSkew], lost: Sequence[str]
) -> str:
    said = f"{day}: {rows:,} rows, {len(features)} features recomputed"
    if lost:
        said += f" (retrieval index {', '.join(lost)} is gone)"
    if skewed:
        named = ", ".join(f"{each.name} ({each.share:.1%})" for each in skewed[:NAMED])
        more = f" and {len(skewed) - NAMED} more" if len(skewed) > NAMED else ""
        return f"{said}; served is not what training would see: {named}{more}; {skewed[0].example}"
    differing = sum(each.differing for each in features)
    return f"{said}; {f'{differing} values differ, as many are tolerated' if differing else 'every value is equal'}"


def _empty(spec: ModelSpec, day: date, answers: int, degraded: int) -> SkewReport:
    """Nothing was compared: fine when nobody asked a model, a finding when somebody did."""
    asked = f"{answers:,} answers, {degraded:,} degraded: nothing to compare"
    return SkewReport(
        model=spec.name,
        day=day,
        state="nothing to compare" if answers else "no traffic",
        ok=not answers,
        text=f"{day}: {asked if answers else 'no traffic'}",
        answers=answers,
        degraded=degraded,
        rows=0,
        worst=0.0,
        features=(),
        lost_indexes=(),
    )
