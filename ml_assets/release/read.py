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

Not everything that arrives counts. An outcome counts when the answer it names showed its product, to somebody; the
same once more says nothing new. A customer counts when the index or the online store knew them at their first answer
of the step: whoever invents customers is none. Both arms answer from the same index, the same reader and the same
"now", so who is known does not depend on the arm; one exception, customers that only the online store knows while no
model can answer, would show as a sample ratio mismatch, which is of known customers too. Whoever is not known yet
was not drawn yet. Failures and latency are the service's own measurements and are of all answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.registry.release import Arm, Release, Stage
from ml_assets.release.observed import Answers, ArmData, Clicks, Drawn, Feedback, Step

SETTLED = timedelta(seconds=1)
"""The service takes a new share up within this time; answers given meanwhile do not count."""
UNABLE = "challenger"
"""What the service calls an answer that the challenger was to give and could not."""
CLOCK_SECONDS = 2.0
"""By how much the time of a file may be wrong."""

REFERENCE_DAYS = 7
"""Published days, the newest ones, in which answers from before the release are looked for."""

_ANSWERS = f"""
create temp table answers as
select prediction_id, customer_id, customer_known, logged_at, latency_ms, number as step,
    arm = '{Arm.CANARY}' or list_contains(degraded, '{UNABLE}') as canary,
    arm = '{Arm.FALLBACK}' or list_contains(degraded, '{UNABLE}') as failed,
    coalesce(clicks.valid, false) as clicked, coalesce(not clicks.valid, false) as stray
from predictions asof join steps on logged_at >= began left join clicks using (prediction_id)
where release_id = $release and arm in ('{Arm.CHAMPION}', '{Arm.CANARY}', '{Arm.FALLBACK}') and logged_at >= settled
"""
_TOTALS = """
select canary, count(*), count(*) filter (failed), count(*) filter (not failed and latency_ms > $promised)
from answers group by canary
"""
_DRAWS = """
create temp table draws as
with firsts as (
    select *, first_value(canary) over visit as arm, first_value(customer_known) over visit as known
    from answers window visit as (partition by customer_id, step order by logged_at, prediction_id)
),
visits as (
    select customer_id, step, arm as canary, bool_or(clicked) as clicked, avg(clicked::double) as share,
        bool_or(stray) as stray
    from firsts where known and canary = arm group by customer_id, step, arm
),
drawn as (
    select *, coalesce(lag(step) over earlier, 0) as before,
        coalesce(bool_or(canary) over (earlier rows between unbounded preceding and 1 preceding), false) as stays
    from visits
    window earlier as (partition by customer_id order by step)
)
select * from drawn where not stays
"""
_DRAWN = """
select step, before, count(*) filter (canary), count(*) filter (not canary),
    count(*) filter (canary and clicked), count(*) filter (not canary and clicked)
from draws group by step, before order by step, before
"""
_FEEDBACK = "select canary, count(*), sum(share), count(*) filter (stray) from draws group by canary"
_CLICKS = f"""
create temp table clicks as
select prediction_id, bool_or(displayed.product_id is not null) as valid
from outcomes left join (
    select prediction_id, product_id from shown where arm <> '{Arm.SHADOW}'
) as displayed using (prediction_id, product_id)
group by prediction_id
"""
_CLICKED = "create temp view clicks as select distinct prediction_id, true as valid from shown where clicked"
_BEFORE = f"""
with answered as (
    select customer_id, prediction_id, bool_or(clicked) as clicked
    from predictions join (select prediction_id, clicked from shown) using (prediction_id)
    where predictions.arm = '{Arm.CHAMPION}' and customer_known and logged_at < $began
    group by customer_id, prediction_id
),
customers as (select avg(clicked::double) as share from answered group by customer_id)
select count(*), coalesce(sum(share), 0) from customers
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
        connection.execute(_DRAWS)
        totals = {arm: Answers(*counts) for arm, *counts in _rows(connection, _TOTALS, promised=spec.serving.p99_ms)}
        shares = {0: 0.0, **{step.number: step.share for step in steps}}
        drawn = tuple(_drawn(row, shares) for row in _rows(connection, _DRAWN))
        rows = _rows(connection, _FEEDBACK)
    clicks = {arm: Clicks(customers, shares) for arm, customers, shares, _ in rows}
    feedback = Feedback(
        canary=clicks.get(True, Clicks()),
        champion=clicks.get(False, Clicks()),
        before=_before(settings, spec.name, release.started_at),
        strays=sum(strays for *_, strays in rows),
    )
    answers = totals.get(True, Answers()), totals.get(False, Answers())
    return ArmData(*answers, drawn, steps[-1].number, feedback=feedback)


def _before(settings: Settings, model: str, began: datetime) -> Clicks:
    """How much the champion's known customers clicked before the release, by the newest published days."""
    from ml_assets.prediction_log import open_days

    with open_days(settings, model, _published(settings, model)[-REFERENCE_DAYS:]) as connection:
        customers, shares = _rows(connection, _BEFORE, began=began.astimezone(UTC).replace(tzinfo=None))[0]
    return Clicks(customers, shares)


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
    """A connection with `predictions`, `shown` and `clicks`, of files made since the release began.

    `clicks` has the answers (`prediction_id`) that outcomes name; `valid`: whether one is of a product it showed.
    """
    since = release.started_at.timestamp() - CLOCK_SECONDS
    opened = _daily if spec.monitoring.quality.outcomes == "events" else _parts
    with opened(settings, spec.name, since) as connection:
        yield connection


def _daily(settings: Settings, model: str, since: float) -> duckdb.DuckDBPyConnection:
    from ml_assets.prediction_log import day_folder, open_days

    days = [day for day in _published(settings, model) if _changed(day_folder(settings, model, day)) >= since]
    connection = open_days(settings, model, days)
    connection.execute(_CLICKED)
    return connection


def _published(settings: Settings, model: str) -> list[date]:
    from ml_assets.prediction_log.daily_tables import predictions_home

    folders = predictions_home(settings, model).glob("event_day=*")
    return sorted(date.fromisoformat(folder.name.removeprefix("event_day=")) for folder in folders)


def _parts(settings: Settings, model: str, since: float) -> duckdb.DuckDBPyConnection:
    from ml_assets.prediction_log import Kind, part_files
    from ml_assets.prediction_log.partitions import parts_home
    from ml_assets.prediction_log.reading import connect, scan
    from ml_assets.prediction_log.tables import OUTCOMES, PREDICTIONS, SHOWN

    connection = connect(settings, parts_home(settings, model))
    for kind, schema in ((Kind.PREDICTIONS, PREDICTIONS), (Kind.SHOWN, SHOWN), (Kind.OUTCOMES, OUTCOMES)):
        files = [path for path in part_files(settings, model, kind) if _changed(path) >= since]
        connection.execute(f"create temp view {kind} as select * from {scan(connection, files, schema)}")
    connection.execute(_CLICKS)
    return connection


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # published anew meanwhile: then it is new
        return datetime.now(UTC).timestamp()
