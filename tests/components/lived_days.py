"""Days in the life of sources beside the shop, told in JSON lines: what their sensors ask for, and what that makes.

Run in a process of a copied project; `python lived_days.py bakery <days>` or `python lived_days.py mill`.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from bakery import write_sales
from dagster._core.definitions.freshness import FreshnessState, FreshnessStateChange

from ml_assets.components.daily_checks import UNJUDGED
from ml_assets.config.sources import sources_beside
from ml_assets.definitions import defs

TODAY = dt.datetime.now(dt.UTC).date()


class Life:
    """The definitions, an instance, and what each sensor remembers."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.found, self.instance = defs(), instance
        self.repository = self.found.get_repository_def()
        self.cursors: dict[str, str | None] = {}

    def look(self, source: str, label: str, name: str = "") -> None:
        """Evaluate the source's sensor, or the one of that name, run what it asks for, and tell both."""
        name = name or f"{source}_arrivals_sensor"
        context = dg.build_sensor_context(self.instance, self.cursors.get(name), repository_def=self.repository)
        tick = self.repository.get_sensor_def(name).evaluate_tick(context)
        self.cursors[name] = tick.cursor
        for asked in tick.run_requests:
            self.run(label, asked.job_name, asked.tags, asked.partition_key, asked.asset_selection)
        if not tick.run_requests:
            tell(label=label, skipped=tick.skip_message)

    def run(self, label: str, job: str, tags: Mapping[str, str], day: str | None = None, only: Any = None) -> None:
        """Run a job in this process and tell what it did."""
        done = self.found.resolve_job_def(job).execute_in_process(
            instance=self.instance, tags={**tags}, partition_key=day, asset_selection=only, raise_on_error=False
        )
        made = {
            event.asset_key.to_user_string(): {
                name: said.value
                for name, said in event.materialization.metadata.items()
                if isinstance(said.value, str | int | float)
            }
            for event in done.get_asset_materialization_events()
        }
        failed = [e.step_failure_data.error.to_string()[-2000:] for e in done.all_events if e.is_step_failure]
        first = day or tags.get("dagster/asset_partition_range_start")
        last = day or tags.get("dagster/asset_partition_range_end")
        checks = [f"{c.asset_key.to_user_string()}:{c.check_name}" for c in failing(done)]
        tell(label=label, job=job, first=first, last=last, made=made, failed=failed, failing=checks)


def failing(done: dg.ExecuteInProcessResult) -> list[dg.AssetCheckEvaluation]:
    """The asset checks that found something; what there was nothing to judge by is no finding."""
    judged = done.get_asset_check_evaluations()
    return [each for each in judged if not each.passed and not (each.description or "").startswith(UNJUDGED)]


def tell(**said: Any) -> None:
    """One line of the story."""
    print(json.dumps(said), flush=True)


def bakery(life: Life, days: int) -> None:
    """Train on what arrived; then a day arrives, then late rows of an older one."""
    start = TODAY - dt.timedelta(days=days)

    def deliver(number: int, shops: int = 6, *, counted: bool = True) -> None:
        day = start + dt.timedelta(days=number)
        write_sales(Path("sales") / f"{day}.parquet", [day], shops, counted=counted)

    for number in range(days - 1):
        deliver(number)
    life.look("bakery", "before a model serves")
    life.look("bakery", "nothing twice")
    life.run("training", "bakery_train", {})
    deliver(days - 1, counted=False)
    life.look("bakery", "a day")
    life.look("bakery", "no day twice")
    deliver(days - 4, shops=7)
    life.look("bakery", "late rows")
    life.look("bakery", "no late rows twice")
    predicted(start + dt.timedelta(days=days - 1))
    deliver(days - 1)
    life.look("bakery", "labels")
    if "chicago_taxi" in sources_beside():  # a source whose file nobody named
        life.look("chicago_taxi", "no file")
        life.look("chicago_taxi", "still no file")
    late = FreshnessStateChange(
        key=dg.AssetKey(["bakery", "sales"]), new_state=FreshnessState.FAIL, previous_state=FreshnessState.PASS,
        state_change_timestamp=0.0,
    )  # fmt: skip
    life.instance._report_runless_asset_event(late)
    life.look("bakery", "late, nothing there", "freshness_sensor")
    deliver(days - 2, shops=7)
    life.look("bakery", "late, something there", "freshness_sensor")
    graph = life.repository.asset_graph
    keys = [key for key in graph.get_all_asset_keys() if graph.get(key).freshness_policy_or_from_metadata]
    tell(label="fresh", keys=sorted(key.to_user_string() for key in keys))


def predicted(day: dt.date) -> None:
    """Tell the batch predictions of the day, and what the same events get in a file."""
    import pyarrow.parquet as pq

    from feature_repo.store import open_store
    from ml_assets.config.model_spec import model_spec
    from ml_assets.config.settings import load_settings
    from ml_assets.registry.pointer import pointer_path, require_pointer
    from ml_assets.registry.versions import load_version
    from ml_assets.scoring.scored_events import Scorer, score_events
    from ml_assets.scoring.unlabelled import predictions_of

    spec, settings = model_spec("demand"), load_settings()
    ref = load_version(require_pointer(pointer_path(settings, spec.name)).model_path)
    by = Scorer(spec, settings, open_store(settings), ref)
    sold = pq.ParquetFile(f"sales/{day}.parquet").read().to_pylist()
    with Path("events.csv").open("w") as file:
        file.write("sale_id,opens_at,item,price,warmth\n")
        file.writelines("{sale_id},{day},{item},{price},{warmth}\n".format(**each) for each in sold)
    of_file = score_events(by, Path("events.csv"), Path("scored.parquet"))
    told = [pq.ParquetFile(path).read().to_pylist() for path in (predictions_of(by, day), of_file.path)]
    tell(label="predictions", batch=dict(map(said, told[0])), file=dict(map(said, told[1])))


def said(row: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """An event's id, and what was predicted of it."""
    return row["sale_id"], [str(row["opens_at"]), row["known"], row["value"]]


def mill(life: Life) -> None:
    """Land, ingest and model what a topic and a bucket have."""
    for label in ("landing", "ingestion", "nothing twice"):
        life.look("mill", label)


if __name__ == "__main__":
    with dg.DagsterInstance.ephemeral() as kept:
        lived = Life(kept)
        if sys.argv[1] == "mill":
            mill(lived)
        else:
            bakery(lived, int(sys.argv[2]))
