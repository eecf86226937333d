"""The suite on a terminal: which item runs, and a table of what came of all."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.conformance.page import publish
from ml_assets.conformance.suite import Item, check_model
from ml_assets.conformance.verdict import Conformance, Outcome

INTERRUPTED = 130
"""The exit status after ctrl-C."""
COLOURS = {Outcome.PASSED: "green", Outcome.FAILED: "red", Outcome.SKIPPED: "dim"}


def check_and_show(settings: Settings, spec: ModelSpec, console: Console) -> int:
    """Check the model's champion, publish and show the verdicts; the exit status: 0 only when none failed."""
    with console.status(f"{spec.name}: looking for the version to check") as status:

        def tell(item: Item, done: int, of: int) -> None:
            said = f"{spec.name}: {item.title.lower()} ({done + 1} of {of})"
            status.update(said)
            if not console.is_terminal:
                console.print(said)

        try:
            report = check_model(settings, spec, progress=tell)
        except KeyboardInterrupt:
            console.print(f"{spec.name}: stopped; nothing was written")
            return INTERRUPTED
    page = publish(settings, spec, report)
    show(console, report, page)
    return 0 if report.ok else 1


def show(console: Console, report: Conformance, page: Path) -> None:
    """A row per item, and where the page is."""
    table = Table(title=f"{report.model}, {report.text}", title_justify="left", title_style="bold", show_lines=True)
    table.add_column("item", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("s", justify="right", no_wrap=True)
    table.add_column("what was found", overflow="fold")
    for each in report.verdicts:
        colour = COLOURS[each.outcome]
        table.add_row(each.item, f"[{colour}]{each.outcome.value}[/]", f"{each.seconds:.1f}", each.text)
    console.print(table)
    console.print(page.as_uri(), soft_wrap=True)
