"""`make demo-loop`: the life of a deployed model with nobody at the wheel, told as it happens."""

from __future__ import annotations

import os
import shutil

from rich.console import Console

from ml_assets.config.settings import Settings
from ml_assets.config.source_spec import load_source
from ml_assets.demo.loop.life import Life
from ml_assets.demo.loop.page import write_page
from ml_assets.demo.loop.story import StepMissed, Story, Teller
from ml_assets.execution.runs import dagster_home
from ml_assets.simulation.spec import read_simulation
from ml_assets.storage.files import write_text_atomically

SHOP = "simulated_loop"


def run_loop(settings: Settings) -> int:
    """Live through it all; 0 only when every step happened."""
    console = Console(highlight=False)
    folder = settings.home / "demo-loop"
    mine = _deployment(settings)
    source = load_source(mine.shop_file)
    simulation = read_simulation(source.simulation or {})
    if simulation.scenario is None:
        raise ValueError(f"{mine.shop_file}: simulation.scenario says what changes in the loop, and when")
    story = Story(shop=source.name, scenario=simulation.scenario.name, changed_on=simulation.scenario.day)
    teller = Teller(story, console)
    console.print(f"[bold]{source.name}[/]: {source.description}\neverything under {mine.shop_home}, made anew")
    console.print(f"watch it live, once the first model serves: {mine.ui_url}\n")
    try:
        Life(mine, simulation, teller).live()
        story.ok = True
    except StepMissed:
        console.print(f"\n[bold red]A step did not happen.[/] Logs: {mine.shop_home / 'logs'}")
    finally:
        story.seconds = round(teller.seconds, 1)
        write_text_atomically(folder / "summary.json", story.model_dump_json(indent=1) + "\n")
        write_page(story, folder / "index.html")
        _stop(mine)
    verdict = "[bold green]every step happened[/]" if story.ok else "[bold red]failed[/]"
    console.print(f"\n{verdict} in {story.seconds:.0f} s")
    console.print(f"  the curves: {folder / 'index.html'}\n  this summary: {folder / 'summary.json'}", soft_wrap=True)
    console.print(f"  the graph afterwards: make ui SHOP={SHOP}", soft_wrap=True)
    return 0 if story.ok else 1


def _deployment(settings: Settings) -> Settings:
    """A deployment of its own beside the demo's: another shop, another port, quick sensors; empty."""
    changed = {
        "shop": SHOP,
        "data": None,
        "port": settings.port + 1,
        "ui_port": settings.ui_port + 1,
        "replay": True,
        "sensor_seconds": 5,
    }
    mine = settings.model_copy(update=changed)
    _stop(mine)
    shutil.rmtree(mine.shop_home, ignore_errors=True)
    mine.export()
    os.environ.pop("ML_ASSETS_DATA", None)
    dagster_home(mine)
    return mine


def _stop(settings: Settings) -> None:
    from serving.deploy.process import stop

    for model in settings.shop_home.glob("models/*"):
        stop(settings, model.name)
