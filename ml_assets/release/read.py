"""A release's traffic, counted in DuckDB over the prediction log.

A customer counts once per draw. Within a step the arm is fixed; when the share grows, customers of the champion
are drawn again, those of the canary stay. So a customer counts in the first step they come in, and in a later one
again as long as no step before made them the canary's: with the share (s' - s) / (1 - s) that draws a customer
into the canary who was the champion's at share s, now s' (s = 0 for customers who are new). Whoever saw the
canary counts exactly once for it. Only answers of that step count, and only those of the arm that the customer
was in at the first of them, so that neither arm has longer to get its click.

A request that the challenger was to answer and could not counts for the canary: the arm is what was drawn, not
who answered. Outcomes are those of the feedback, or of the raw events as the daily tables have them
(`monitoring.quality.outcomes`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa

from ml_assets.learning.spec import ModelSpec
from ml_assets.registry.release import Arm, Release, Stage
from ml_assets.release.observed import Answers, ArmData, Drawn, Step
from ml_assets.settings import Settings

SETTLED = timedelta(seconds=1)
"""The service takes a new share up within this time; answers given meanwhile do not count."""
UNABLE = "challenger"
"""What the service calls an answer that the challenger was to give and could not."""
CLOCK_SECONDS = 2.0
"""By how much the time of a file may be wrong."""

_ANSWERS = f"""
create temp table answers as
select prediction_id, customer_id, logged_at, latency_ms, number as step,
    arm = '{Arm.CANARY}' or list_contains(degraded, '{UNABLE}') as canary,
    arm = '{Arm.FALLBACK}' or list_contains(degraded, '{UNABLE}') as failed
from predictions asof join steps on logged_at >= began
where release_id = $release and arm in ('{Arm.CHAMPION}', '{Arm.CANARY}', '{Arm.FALLBACK}') and logged_at >= settled
"""
_TOTALS = """
select canary, count(*), count(*) filter (failed), count(*) filter (not failed and latency_ms > $promised)
from answers group by canary
"""
_DRAWN = """
with visits as (
    select customer_id, step, arg_min(canary, logged_at) as canary,
        bool_or(canary and clicks.prediction_id is not null) as canary_clicked,
        bool_or(not canary and clicks.prediction_id is not null) as champion_clicked
    from answers left join clicks using (prediction_id)
    group by customer_id, step
),
draws as (
    select *, coalesce(lag(step) over earlier, 0) as before,
        coalesce(bool_or(canary) over (earlier rows between unbounded preceding and 1 preceding), false) as stays
    from visits
    window earlier as (partition by customer_id order by step)
)
select step, before, count(*) filter (canary), count(*) filter (not canary),
    count(*) filter (canary and canary_clicked), count(*) filter (not canary and champion_clicked)
from draws where not stays group by step, before order by step, before
"""
_SHADOW = f"""
with given as (
    select prediction_id, replace(prediction_id, '-{Arm.SHADOW}', '') as request, arm = '{Arm.SHADOW}' as unseen,
        coalesce(latency_ms > $promised, false) as late
    from predictions where release_id = $release and arm in ('{Arm.CHAMPION}', '{Arm.SHADOW}')
),
lists as (
    select request, unseen, list(product_id) as products, bool_or(score is null or not isfinite(score)) as useless
    from shown join given using (prediction_id) group by request, unseen
),
pairs as (
    select given.late, own.products as own, theirs.products as theirs,
        coalesce(own.useless, theirs.products is not null) as useless
    from given
    left join lists as own on own.request = given.request and own.unseen
    left join lists as theirs on theirs.request = given.request and not theirs.unseen
    where given.unseen
)
select count(*), count(*) filter (useless), count(*) filter (late and not useless),
    avg(len(list_intersect(own, theirs)) / len(list_distinct(list_concat(own, theirs)))),
    (select count(*) from given where not unseen), (select count(*) from given where not unseen and late)
from pairs
"""


def read(settings: Settings, spec: ModelSpec, release: Release, steps: Sequence[Step]) -> ArmData:
    """Count what the log has of a release.

    Args:
        settings: the deployment.
        spec: the model; says where outcomes come from and which latency was promised.
        release: the release under way.
        steps: its shares so far, oldest first; none while it is a shadow.
    """
    with _log(settings, spec, release) as connection:
        named = {"release": release.release_id, "promised": spec.serving.p99_ms}
        if release.stage is Stage.SHADOW:
            return _shadow(connection, named)
        connection.register("steps", _table(steps))
        connection.execute(_ANSWERS, {"release": release.release_id})
        totals = {arm: Answers(*counts) for arm, *counts in _rows(connection, _TOTALS, promised=spec.serving.p99_ms)}
        shares = {0: 0.0, **{step.number: step.share for step in steps}}
        drawn = tuple(_drawn(row, shares) for row in _rows(connection, _DRAWN))
        return ArmData(totals.get(True, Answers()), totals.get(False, Answers()), drawn, steps[-1].number)


def _shadow(connection: duckdb.DuckDBPyConnection, named: dict[str, object]) -> ArmData:
    scored, useless, late, overlap, shown, shown_late = _rows(connection, _SHADOW, **named)[0]
    return ArmData(Answers(scored, useless, late), Answers(shown, 0, shown_late), overlap=overlap)


def _drawn(row: tuple[int, ...], shares: dict[int, float]) -> Drawn:
    step, before, canary, champion, canary_clicked, champion_clicked = row
    share = (shares[step] - shares[before]) / (1 - shares[before])
    return Drawn(share, canary, champion, canary_clicked, champion_clicked, step, before)


def _rows(connection: duckdb.DuckDBPyConnection, sql: str, **named: object) -> list[tuple[int, ...]]:
    return connection.execute(sql, named or None).fetchall()


def _table(steps: Sequence[Step]) -> pa.Table:
    began = [step.began.astimezone(UTC).replace(tzinfo=None) for step in steps]
    columns = {"number": pa.array([step.number for step in steps]), "began": pa.array(began, pa.timestamp("us"))}
    columns["settled"] = pa.array([moment + SETTLED for moment in began], pa.timestamp("us"))
    return pa.table(columns)


@contextmanager
def _log(settings: Settings, spec: ModelSpec, release: Release) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with `predictions`, `shown` and `clicks` (ids of answers), of files made since the release began."""
    since = release.started_at.timestamp() - CLOCK_SECONDS
    opened = _daily if spec.monitoring.quality.outcomes == "events" else _parts
    with opened(settings, spec.name, since) as connection:
        yield connection


def _daily(settings: Settings, model: str, since: float) -> duckdb.DuckDBPyConnection:
    from ml_assets.predictions import open_days

    days = [
        date.fromisoformat(folder.name.removeprefix("event_day="))
        for folder in (settings.model_home(model) / "predictions").glob("event_day=*")
        if _changed(folder) >= since
    ]
    connection = open_days(settings, model, days)
    connection.execute("create temp view clicks as select distinct prediction_id from shown where clicked")
    return connection


def _parts(settings: Settings, model: str, since: float) -> duckdb.DuckDBPyConnection:
    from ml_assets.predictions import Kind, part_files
    from ml_assets.predictions.parts import parts_home
    from ml_assets.predictions.reading import connect, scan
    from ml_assets.predictions.tables import OUTCOMES, PREDICTIONS, SHOWN

    connection = connect(settings, parts_home(settings, model))
    for kind, schema in ((Kind.PREDICTIONS, PREDICTIONS), (Kind.SHOWN, SHOWN), (Kind.OUTCOMES, OUTCOMES)):
        files = [path for path in part_files(settings, model, kind) if _changed(path) >= since]
        connection.execute(f"create temp view {kind} as select * from {scan(connection, files, schema)}")
    connection.execute("create temp view clicks as select distinct prediction_id from outcomes")
    return connection


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # published anew meanwhile: then it is new
        return datetime.now(UTC).timestamp()
