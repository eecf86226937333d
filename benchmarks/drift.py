"""`python -m benchmarks.drift`: the drift report over a million rows of thirty features, all of them counted.

31 days of 3,226 answers with ten products each, 20,000 customers; features of the customer, of the product and of the
row, some mostly zero, some mostly missing, some in whole numbers. The newest two days come twice: as the others, and
with the feature the model looks at most multiplied by 1.6. Bars: seconds and memory of one report on two threads, no
alarm on the days as the others, persistent drift on the multiplied ones. Ends with 1 when one is missed.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
from rich.console import Console

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings

if TYPE_CHECKING:
    from ml_assets.monitoring.drift.daily import DriftReport

SECONDS, GIBIBYTES = 10.0, 2.0
DAYS, ANSWERS, SHOWN, CUSTOMERS, FEATURES = 31, 3_226, 10, 20_000, 30
FIRST = date(2026, 3, 2)
FACTOR = 1.6

SPEC = ModelSpec(
    name="ranker", description="Ranks products in a benchmark.", spine="none", feature_service="none",
)  # fmt: skip

_KINDS = (
    "exp(2 * {customer} - 1)", "floor(8 * {customer} * {customer})", "exp(2 * {product} - 1)",
    "floor(30 * {product} * {row})", "{row}", "case when {row} < 0.7 then 0 else exp({customer}) end",
    "case when {row} < 0.8 then null else 100 * {row} end",
)  # fmt: skip
"""What features are made of: hashes in [0, 1) of the customer, the product, the row."""

_ROWS = """
create or replace temp table rows as
select '{day}-' || n // {shown} as answer, n % {shown} + 1 as position,
    'c' || hash(answer) % {customers} as customer_id, 'p' || hash(answer, position) % 2000 as product_id,
    timestamp '{day} 12:00:00' as time
from range({rows}) as t(n)
"""
_PREDICTIONS = """
select distinct {answer}, date_trunc('day', time) as as_of, '[["P1", "view"]]' as session, []::varchar[] as degraded
from rows
"""
_SHOWN = """
select {answer}, position, product_id, 'g' || hash(product_id) % 40 as category_id,
    (hash(answer, position, 'score') % 1000 / 1000.0)::float as score, {features}
from rows
"""
_REFUSALS = "select time, 503 as status, 1.0 as latency_ms, '' as error from rows limit 0"


def main() -> int:
    """Make the traffic, judge it in a process of its own, print what it took."""
    console = Console(highlight=False, soft_wrap=True)
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder), shop="simulated", threads=2)
        rows = make_traffic(settings)
        console.print(f"{rows:,} rows of {FEATURES} features on {DAYS} days")
        usual, seconds, busy, peak = _judged(settings)
        console.print(f"as the days before: {seconds:.1f} s ({busy:.1f} s of processor), {peak:.2f} GiB: {usual.text}")
        make_traffic(settings, days=2, factor=FACTOR)
        drifted, again, busy, _ = _judged(settings)
        console.print(f"x {FACTOR}: {again:.1f} s ({busy:.1f} s of processor): {drifted.text}")
    bars = {
        f"at most {SECONDS} s": max(seconds, again) <= SECONDS,
        f"at most {GIBIBYTES} GiB": peak <= GIBIBYTES,
        "no alarm without a change": not usual.alarm,
        "persistent drift with it": drifted.persistent,
    }
    for bar, kept in bars.items():
        console.print(f"{'[green]✓[/]' if kept else '[red]✗[/]'} {bar}")
    return 0 if all(bars.values()) else 1


def make_traffic(settings: Settings, days: int = DAYS, factor: float = 1.0) -> int:
    """Write the newest `days` days, the first feature multiplied, and the version that answered; returns all rows."""
    from ml_assets.prediction_log import day_folder

    connection = duckdb.connect(config={"threads": 2, "memory_limit": "1GB"})
    names = [f"customer__{number}" for number in range(FEATURES)]
    for number in range(DAYS - days, DAYS):
        day = FIRST + timedelta(days=number)
        connection.execute(_ROWS.format(shown=SHOWN, day=day, customers=CUSTOMERS, rows=ANSWERS * SHOWN))
        folder = day_folder(settings, SPEC.name, day)
        folder.mkdir(parents=True, exist_ok=True)
        version = _version(settings, connection, names)
        for table, sql in _tables(version, names, factor).items():
            connection.execute(f"copy ({sql}) to '{folder / table}.parquet' (format parquet, compression zstd)")
    return DAYS * ANSWERS * SHOWN


def _tables(version: str, names: list[str], factor: float) -> dict[str, str]:
    """SQL of the daily tables over `rows`."""
    answer = f"answer as prediction_id, time, '{version}' as model_version, 'champion' as arm, customer_id"
    features = ", ".join(_features(names, factor))
    return {
        "predictions": _PREDICTIONS.format(answer=answer),
        "shown": _SHOWN.format(answer=answer, features=features),
        "refusals": _REFUSALS,
    }


def _features(names: list[str], factor: float = 1.0) -> list[str]:
    made = []
    for number, name in enumerate(names):
        unit = "(hash({}, " + str(number) + ") % 1000003 / 1000003.0)"
        value = _KINDS[number % len(_KINDS)].format(
            customer=unit.format("customer_id"),
            product=unit.format("product_id"),
            row=unit.format("answer, position"),
        )
        made.append(f"({value} * {factor if number == 0 else 1.0})::float as {name}")
    return made


def _version(settings: Settings, connection: duckdb.DuckDBPyConnection, names: list[str]) -> str:
    """Publish a booster that looks at the first feature most; the same one each time."""
    import lightgbm

    from ml_assets.registry.versions import list_versions, publish_version

    known = list_versions(settings, SPEC.name)
    if known:
        return known[0].name
    x = connection.execute(f"select {', '.join(_features(names))} from rows limit 5000").fetchnumpy()
    matrix: Any = np.stack([np.ma.filled(x[name], np.nan) for name in names], axis=1)
    label = 3 * np.log(matrix[:, 0]) + matrix[:, 4] + 0.05 * np.nan_to_num(matrix[:, 1:]).sum(axis=1)
    params = {
        "num_leaves": 31,
        "num_threads": 2,
        "verbosity": -1,
        "seed": 7,
        "deterministic": True,
        "force_row_wise": True,
    }
    booster = lightgbm.train(params, lightgbm.Dataset(matrix, label, feature_name=names), num_boost_round=100)
    text = booster.model_to_string()
    return publish_version(
        settings, SPEC.name, text, "run", features=tuple(names), params={}, training_set="", metrics={}, created_from={}
    ).version


def _judged(settings: Settings) -> tuple[DriftReport, float, float, float]:
    """The report of the newest day, seconds, processor seconds, GiB at most: of a process that does nothing else."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_judge, (settings,))


def _judge(settings: Settings) -> tuple[DriftReport, float, float, float]:
    from ml_assets.monitoring.drift.daily import drift

    began, busy = time.monotonic(), time.process_time()
    report = drift(SPEC, settings, FIRST + timedelta(days=DAYS - 1))
    seconds, busy = time.monotonic() - began, time.process_time() - busy
    return report, seconds, busy, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2


if __name__ == "__main__":
    sys.exit(main())
