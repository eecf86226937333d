"""The command's flags, apart from what it does: every command of the project reads them to know its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

NAME = "scaffold"
ARGUMENTS: list[tuple[tuple[str, ...], dict[str, Any]]] = [
    (("file",), {"type": Path, "help": "CSV or Parquet, a row per event"}),
    (("--name",), {"help": "of the model"}),
    (("--entity",), {"action": "append", "help": "column that features are about; several: comma between, or again"}),
    (("--time",), {"help": "column that says when the prediction is wanted"}),
    (("--label",), {"help": "column that is to be predicted"}),
    (("--task",), {"help": "binary or regression"}),
    (("--positive",), {"help": "value of a binary label that is to be predicted, where that is not plain"}),
    (("--known-after",), {"action": "append", "help": "columns known only after the event, comma between"}),
    (
        ("--horizon-days",),
        {"type": int, "help": "days after the event until the label is known; 1 where it is not said"},
    ),
    (("--id",), {"help": "column that identifies an event; looked for where it is not said"}),
    (("--time-format",), {"help": "form of texts that are times, as strptime takes it, e.g. %%d/%%m/%%Y, or excel"}),
    (("--source",), {"help": "name of the source; that of the file where it is not said"}),
    (("--force",), {"action": "store_true", "help": "replace files that are there"}),
]


def add_command(commands: Any) -> None:
    """Add it to an argument parser's subparsers."""
    command = commands.add_parser(NAME, help="create a source, features and a model of your own from one file")
    for flags, options in ARGUMENTS:
        command.add_argument(*flags, **options)
