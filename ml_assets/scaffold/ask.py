"""What the flags leave open: asked for on a terminal with a proposal, refused elsewhere."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console
from rich.prompt import Prompt

from ml_assets.scaffold.errors import ScaffoldError
from ml_assets.scaffold.kinds import Kind
from ml_assets.scaffold.label_stats import NEGATIVE, POSITIVE
from ml_assets.scaffold.names import looks_like_id, snake
from ml_assets.scaffold.options import TASKS, Wanted, check
from ml_assets.scaffold.profile import Look
from ml_assets.scaffold.raw_column import Column

QUESTIONS = {
    "entity": "Who or what do events belong to: the column(s) features are about, comma between",
    "time": "When is the prediction wanted",
    "label": "What is to be predicted",
    "name": "What is the model called",
}
ASKED = ("entity", "time", "label", "task", "name")


def wanted(given: argparse.Namespace, look: Look, console: Console | None) -> Wanted:
    """The answers: from flags, and from the person at the console where there is one.

    Raises:
        ScaffoldError: when something is missing and nobody can be asked; it lists the columns.
    """
    if given.task == "ranking":
        _check_early(given)
    missing = [flag for flag in ASKED if not getattr(given, flag)]
    if missing and console is None:
        flags = ", ".join(f"--{flag}" for flag in missing)
        raise ScaffoldError(f"say {flags}; the columns of {look.path.name} are\n{look.listing()}")
    if missing and console is not None:
        console.print(f"{look.path.name}: {look.rows:,} rows\n{look.listing()}", soft_wrap=True)
        for flag in missing:
            setattr(given, flag, _ask(flag, given, look, console))
        console.print()
    found = Wanted(
        file=look.path, name=given.name, entities=_split(given.entity), time=given.time, label=given.label,
        task=given.task, positive=given.positive, known_after=_split(given.known_after), event=given.id,
        source=given.source, time_format=given.time_format, horizon_days=given.horizon_days,
    )  # fmt: skip
    check(found)
    label = look.column(found.label)
    if console is not None and found.task == "binary" and found.positive is None and _unclear(label):
        chosen = Prompt.ask(f"Which {label.raw} is to be predicted?", choices=list(label.values), console=console)
        return Wanted(**{**vars(found), "positive": chosen})
    return found


def _check_early(given: argparse.Namespace) -> None:
    check(Wanted(Path(), "any", ("any",), "any", "any", given.task))


def _split(given: list[str] | None) -> tuple[str, ...]:
    """Names given one by one or with commas between, each once."""
    return tuple(dict.fromkeys(name.strip() for part in given or () for name in part.split(",") if name.strip()))


def _unclear(label: Column) -> bool:
    low = {value.lower() for value in label.values}
    return label.distinct == 2 and not (low & set(POSITIVE) and low & set(NEGATIVE))


def _ask(flag: str, given: argparse.Namespace, look: Look, console: Console) -> object:
    if flag == "task":
        likely = "binary" if look.column(given.label).distinct == 2 else "regression"
        question = "Predict whether (binary) or how much (regression)"
        return Prompt.ask(question, choices=list(TASKS), default=likely, console=console)
    proposal = propose(flag, given, look)
    while True:
        answer = Prompt.ask(QUESTIONS[flag], default=proposal, console=console) or ""
        named = [answer] if flag == "entity" else answer
        try:
            for name in _split([answer]) if flag != "name" else ():
                look.column(name)
        except ScaffoldError as error:
            console.print(str(error), soft_wrap=True)
        else:
            if answer:
                return named


def propose(flag: str, given: argparse.Namespace, look: Look) -> str | None:
    """A sane answer, where the columns suggest one."""
    named = {name for part in (given.entity or (), (given.time, given.label)) for name in part if name}
    left = [column for column in look.columns if not named & {column.raw, column.name}]
    if flag == "name":
        return look.column(given.label).name
    if flag == "entity":
        repeated = [c for c in left if 1 < c.distinct < look.rows and c.kind in {Kind.TEXT, Kind.WHOLE}]
        fitting = [c for c in repeated if looks_like_id(c.name)]
    elif flag == "time":
        words = {"time", "date", "timestamp", "ts", "at", "day"}
        moments = [c for c in left if c.kind is Kind.MOMENT]
        fitting = moments or [c for c in left if words & set(snake(c.raw).split("_"))]
    else:
        fitting = [c for c in reversed(left) if c.numeric and c.distinct == 2]
    return fitting[0].raw if fitting else None
