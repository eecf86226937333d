"""`python -m ml_assets prune` and `erase`."""

from __future__ import annotations

import argparse
from typing import Any

from rich.console import Console

from ml_assets.config.settings import Settings

DRY_RUN = {"action": "store_true", "help": "only say what would go"}


def add_commands(commands: Any) -> None:
    """Add them to an argument parser's subparsers."""
    prune = commands.add_parser("prune", help=PRUNE)
    prune.add_argument("--dry-run", **DRY_RUN)
    erase = commands.add_parser("erase", help=ERASE)
    erase.add_argument("id", metavar="ENTITY_ID", help="its id, as the tables have it")
    erase.add_argument("--entity", default="customer_id", help="the column of the raw tables that holds the id")
    erase.add_argument("--also", action="append", default=[], metavar="NAME", help="another column or key with the id")
    erase.add_argument("--dry-run", action="store_true", help="only say where it is")


ERASE = "take a customer or another entity out of everything, keep it out, and look again; 0 only when it is nowhere"
PRUNE = "remove what is older than ML_ASSETS_KEEP says, unless something needs it"


def run_prune(settings: Settings, given: argparse.Namespace) -> int:
    """Prune, and say what went."""
    from dagster import DagsterInstance

    from ml_assets.retention.prune import prune

    console = Console(highlight=False)
    with DagsterInstance.get() as instance:
        told = prune(settings, instance, dry_run=given.dry_run)
    for each in told:
        console.print(each.text, soft_wrap=True, markup=False)
    went = [each for each in told if not each.left]
    said = f"{sum(each.size for each in went) / 1e6:,.1f} MB {'would go' if given.dry_run else 'went'}"
    console.print(said if went else "nothing is older than it is kept", soft_wrap=True)
    return 0


def _nothing_runs() -> None:
    """A run that has read the rows already would write them again.

    Raises:
        ValueError: when one is under way.
    """
    from dagster import DagsterInstance, DagsterRunStatus, RunsFilter

    from ml_assets.execution.runs import free_what_dead_runs_hold

    free_what_dead_runs_hold()
    with DagsterInstance.get() as instance:
        under_way = [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]
        if runs := instance.get_runs(RunsFilter(statuses=under_way)):
            raise ValueError(f"run {runs[0].run_id} ({runs[0].job_name}) is under way: erase when it has ended")


def run_erase(settings: Settings, given: argparse.Namespace) -> int:
    """Erase, and say what went and what is left."""
    from ml_assets.retention.erase import checked, erase, look, unfinished
    from ml_assets.storage.warehouse import WarehouseError

    console = Console(highlight=False)

    def tell(text: str) -> None:
        console.print(text, soft_wrap=True, markup=False)

    try:
        if given.dry_run:
            found = look(settings, checked(settings, given.entity, given.id, given.also))
            for what, count in found.items():
                tell(f"{what}: {count:,}")
            tell("nothing was removed" if found else "it is nowhere")
            return 0
        _nothing_runs()
        receipt = erase(settings, given.entity, given.id, given.also, tell)
    except (ValueError, OSError, WarehouseError) as error:
        console.print(str(error), style="red", soft_wrap=True, markup=False)
        return 1
    for what, count in receipt.removed.items():
        tell(f"removed: {what}: {count:,}")
    for what, count in receipt.left.items():
        tell(f"still there: {what}: {count:,}")
    for text in receipt.outside:
        tell(f"not reached: {text}")
    for version in receipt.versions:
        tell(f"can no longer be reproduced: {version}")
    for digest in unfinished(settings):
        tell(f"an erasure that was killed has not come to its end: {digest[:12]}: run it again")
    tell("still there: run it again when nothing else runs, or name the column by --also" if receipt.left else "erased")
    return int(bool(receipt.left))


COMMANDS = {"prune": run_prune, "erase": run_erase}
