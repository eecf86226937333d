"""The service level of a day: latency, errors and degraded answers, against what `serving` in the YAML promises.

A refused request (status 4xx) is the caller's mistake: it is counted, and no part of the promise. Answers that
nobody waited for (shadow) do not count. A day without any traffic is a state of its own, and no pass when
there was traffic in the days before it.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Literal

import duckdb

from ml_assets.config.model_spec import ModelSpec, ServingSpec
from ml_assets.config.settings import Settings
from ml_assets.monitoring.reports import Report, read_report, write_report
from ml_assets.monitoring.tables import published_days
from ml_assets.prediction_log import open_days

LEVEL = "service_level"

SILENT_DAYS = 7
"""Days before, whose traffic makes a silent day suspicious."""

_MADE = """
create temp view made as
select time, latency_ms, served_by, arm, degraded, len(degraded) > 0 as is_degraded
from predictions where arm <> 'shadow'
"""
_COUNTS = """
select count(*), quantile_cont(latency_ms, [0.5, 0.95, 0.99]), count(*) filter (is_degraded),
    count(*) filter (arm = 'fallback')
from made
"""
_PARTS = "select part, count(*) from (select unnest(degraded) as part from made) group by part order by part"
_SLICES = """
with

answers as (
    select {by} as name, count(*) as answers, count(*) filter (is_degraded) as degraded,
        quantile_cont(latency_ms, [0.5, 0.95, 0.99]) as latency
    from made group by all
),

errors as ({errors})

select name, coalesce(answers, 0), coalesce(errors, 0), coalesce(degraded, 0), latency
from answers full join errors using (name)
order by name
"""
_HOUR = "strftime(time, '%H:00')"
_ERRORS_BY_HOUR = f"select {_HOUR} as name, count(*) as errors from refusals where status >= 500 group by all"
_NO_ERRORS = "select null::varchar as name, 0 as errors where false"


class LevelSlice(Report):
    """An hour, or a worker process (which errors are not known of); latencies in milliseconds."""

    name: str
    answers: int
    errors: int
    degraded: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


class LevelReport(Report):
    """How a day was served; shares are of the answers (errors: of answers and errors, refused: of all requests)."""

    model: str
    day: date
    state: Literal["judged", "no traffic"]
    ok: bool
    text: str
    answers: int
    errors: int
    refused: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    error_share: float
    refused_share: float
    degraded_share: float
    fallback_share: float
    degraded: dict[str, int]
    hours: tuple[LevelSlice, ...]
    workers: tuple[LevelSlice, ...]
    broken: tuple[str, ...]

    @property
    def passed(self) -> bool | None:
        """Whether the promise was kept; None when nobody asked, and nobody was expected to."""
        return None if self.state == "no traffic" and self.ok else self.ok

    @property
    def weight(self) -> float:
        """How bad the day is beside others."""
        return self.error_share + self.degraded_share


def service_level(spec: ModelSpec, settings: Settings, day: date) -> LevelReport:
    """Judge a day's answers and refusals, and write the report.

    Args:
        spec: the model; `serving` says what is promised.
        settings: the deployment.
        day: a day whose table was published; one that was not has no traffic.
    """
    days = published_days(settings, spec.name, day, day)
    if not days:
        report = _silent(spec, settings, day)
    else:
        with open_days(settings, spec.name, days) as connection:
            connection.execute(_MADE)
            report = _judge(spec, settings, day, connection)
    write_report(settings, spec.name, LEVEL, day, report)
    return report


def read_level(settings: Settings, model: str, day: date) -> LevelReport:
    """The day's report.

    Raises:
        FileNotFoundError: when the day was not judged yet.
    """
    return read_report(settings, model, LEVEL, day, LevelReport)


def _judge(spec: ModelSpec, settings: Settings, day: date, connection: duckdb.DuckDBPyConnection) -> LevelReport:
    answers, latency, degraded, fallback = connection.execute(_COUNTS).fetchall()[0]
    errors, refused = connection.execute(
        "select count(*) filter (status >= 500), count(*) filter (status < 500) from refusals"
    ).fetchall()[0]
    if not answers and not errors:
        return _silent(spec, settings, day, refused)
    p50, p95, p99 = latency or (None, None, None)
    shares = {
        "error_share": errors / (answers + errors),
        "refused_share": refused / (answers + errors + refused),
        "degraded_share": degraded / max(answers, 1),
        "fallback_share": fallback / max(answers, 1),
    }
    broken = _broken(spec.serving, p99, shares)
    latencies = "" if p99 is None else f": p50 {p50:.1f}, p95 {p95:.1f}, p99 {p99:.1f} ms"
    figures = (
        f"{answers:,} answers{latencies}; errors {shares['error_share']:.2%}, "
        f"degraded {shares['degraded_share']:.2%}, refused {shares['refused_share']:.2%}"
    )
    return LevelReport(
        model=spec.name,
        day=day,
        state="judged",
        ok=not broken,
        text=f"{day}: {'; '.join((*broken, figures))}",
        answers=answers,
        errors=errors,
        refused=refused,
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        **shares,
        degraded=dict(connection.execute(_PARTS).fetchall()),
        hours=_slices(connection, _HOUR, _ERRORS_BY_HOUR),
        workers=_slices(connection, "served_by", _NO_ERRORS),
        broken=broken,
    )


def _broken(promise: ServingSpec, p99: float | None, shares: dict[str, float]) -> tuple[str, ...]:
    """Each promise that was not kept, in words."""
    said = []
    if p99 is not None and p99 > promise.p99_ms:
        said.append(f"p99 is {p99:.1f} ms, promised are {promise.p99_ms:g}")
    for name, most in (("error", promise.max_error_share), ("degraded", promise.max_degraded_share)):
        share = shares[f"{name}_share"]
        if share > most:
            said.append(f"{share:.2%} of the answers are {name}{'s' * (name == 'error')}, promised are {most:.2%}")
    return tuple(said)


def _slices(connection: duckdb.DuckDBPyConnection, by: str, errors: str) -> tuple[LevelSlice, ...]:
    found = connection.execute(_SLICES.format(by=by, errors=errors)).fetchall()
    return tuple(
        LevelSlice(
            name=name, answers=answers, errors=wrong, degraded=degraded,
            **dict(zip(("p50_ms", "p95_ms", "p99_ms"), latency or (None, None, None), strict=True)),
        )
        for name, answers, wrong, degraded, latency in found
    )  # fmt: skip


def _silent(spec: ModelSpec, settings: Settings, day: date, refused: int = 0) -> LevelReport:
    """Nobody asked: normal in a quiet shop, suspicious when somebody did in the days before."""
    before = published_days(settings, spec.name, day - timedelta(days=SILENT_DAYS), day - timedelta(days=1))
    usual = 0
    if before:
        with open_days(settings, spec.name, before) as connection:
            usual = connection.execute("select count(*) from predictions where arm <> 'shadow'").fetchall()[0][0]
    text = f"{day}: no traffic"
    if usual:
        text += f", but {usual:,} in the {SILENT_DAYS} days before: can its callers reach the service?"
    return LevelReport(
        model=spec.name, day=day, state="no traffic", ok=not usual, text=text, answers=0, errors=0, refused=refused,
        p50_ms=None, p95_ms=None, p99_ms=None, error_share=0.0, refused_share=float(refused > 0), degraded_share=0.0,
        fallback_share=0.0, degraded={}, hours=(), workers=(), broken=(text,) if usual else (),
    )  # fmt: skip
