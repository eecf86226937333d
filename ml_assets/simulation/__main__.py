"""`python -m ml_assets.simulation --landing DIR`: write the files of a simulated shop."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import get_args

from ml_assets.simulation.landing import write_days
from ml_assets.simulation.spec import Scenario, ScenarioName, SimulationSpec


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and write the days that are not there yet."""
    given = _parser().parse_args(arguments)
    spec = SimulationSpec(seed=given.seed, days=given.days, scenario=given.scenario).scaled(given.scale)
    written = _write_with_progress(spec, given.landing)
    print(f"{len(written)} files written to {given.landing} ({spec.start} to {spec.end})")


def _write_with_progress(spec: SimulationSpec, landing: Path) -> list[Path]:
    from rich.progress import Progress

    with Progress() as bar:
        task = bar.add_task("days", total=spec.days)

        def advance(day: date, done: int, _total: int) -> None:
            bar.update(task, completed=done, description=str(day))

        return write_days(spec, landing, spec.start, spec.start + timedelta(days=spec.days - 1), advance)


def _parser() -> argparse.ArgumentParser:
    default = SimulationSpec()
    parser = argparse.ArgumentParser(prog="python -m ml_assets.simulation", description=__doc__)
    parser.add_argument("--landing", type=Path, required=True, help="folder to write into")
    parser.add_argument("--days", type=int, default=default.days, help="number of days (%(default)s)")
    parser.add_argument("--scale", type=float, default=1.0, help="factor on events (%(default)s)")
    parser.add_argument("--seed", type=int, default=default.seed, help="same seed, same bytes (%(default)s)")
    names = ", ".join(get_args(ScenarioName))
    parser.add_argument("--scenario", type=_scenario, help=f"NAME@YYYY-MM-DD, NAME being one of {names}")
    return parser


def _scenario(text: str) -> Scenario:
    name, _, day = text.partition("@")
    try:
        return Scenario.model_validate({"name": name, "day": date.fromisoformat(day)})
    except ValueError as problem:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME@YYYY-MM-DD: {problem}") from problem


if __name__ == "__main__":
    main()
