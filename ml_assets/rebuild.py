"""Make tables of dbt models anew from all published days, with all that lies downstream, up to the online store."""

from __future__ import annotations

import argparse
from typing import Any

from rich.console import Console

from ml_assets.config.settings import SHOP, Settings
from ml_assets.config.sources import source_of, sources_beside
from ml_assets.execution.runs import REBUILD, execute_job, range_tags
from ml_assets.ingestion.days.made import every_day, stale_days

NAME = "rebuild"


def add_command(commands: Any) -> None:
    """Add `rebuild` to an argument parser's subparsers."""
    made = commands.add_parser(NAME, help="make tables of dbt models anew, of all days, with all that is made of them")
    made.add_argument("models", nargs="+", metavar="MODEL", help="a dbt model, such as feat_customer")


def run(settings: Settings, given: argparse.Namespace) -> int:
    """Rebuild these models; 0 when nothing failed."""
    from ml_assets.defs.jobs import job_name

    console, failed = Console(highlight=False), False
    try:
        for source, assets in plan(settings, given.models).items():
            first, last = every_day(source_of(source, settings), settings)
            job = job_name(source, NAME)
            log = settings.shop_home / "logs" / f"{job}.log"
            console.print(f"{job} {first} to {last} (log: {log}): {', '.join(sorted(assets))}", soft_wrap=True)
            tags = {**range_tags(str(first), str(last)), REBUILD: "true"}  # a part of a job lacks the job's own tags
            done = execute_job(job, tags, log, console.out, assets=assets)
            failed = failed or not done.succeeded or bool(done.failed_checks)
            for error in done.errors if not done.run_id else ():  # else the steps have told theirs
                console.out(error)
    except ValueError as error:
        console.out(str(error))
        return 1
    return int(failed)


def plan(settings: Settings, models: list[str]) -> dict[str, set[str]]:
    """The assets to make, by source: the models, what of theirs lacks days upstream, and what is made of these.

    Raises:
        ValueError: when a name is no dbt model's.
    """
    import dagster as dg

    from ml_assets.components.model_assets import FEATURES
    from ml_assets.definitions import loaded
    from ml_assets.defs.jobs import job_name, modelled

    definitions = loaded(settings)
    graph, wanted = definitions.resolve_asset_graph(), {dg.AssetKey([name]) for name in models}
    found: dict[str, set[str]] = {}
    for source in (SHOP, *filter(modelled, sources_beside())):
        job = set(definitions.resolve_job_def(job_name(source, NAME)).asset_layer.executable_asset_keys)
        here, wanted = wanted & job, wanted - job
        if not here:
            continue
        days = stale_days(source_of(source, settings), settings)
        stale = {dg.AssetKey([name]) for name in days if days[name]}
        upstream = dg.AssetSelection.assets(*here).upstream().resolve(graph)
        made = dg.AssetSelection.assets(*here, *(stale & upstream)).downstream().resolve(graph)
        found[source] = {key.to_user_string() for key in (made | {FEATURES}) & job}
    if wanted:
        raise ValueError(f"no dbt model: {', '.join(sorted(key.to_user_string() for key in wanted))}")
    return found
