"""The life as it happened: steps with their time, the curves, and what becomes of them as JSON."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from rich.console import Console


class StepMissed(RuntimeError):  # noqa: N818 - what went wrong, in the words of the story
    """Something that had to happen did not."""


class Step(BaseModel):
    """One thing that happened."""

    name: str
    day: date = Field(description="the shop's day on which it happened")
    began: float = Field(description="seconds since the start")
    seconds: float
    text: str
    ok: bool = True


class Point(BaseModel):
    """One day of the curves."""

    day: date
    answers: int
    click_rate: float
    by_version: dict[str, tuple[int, int]] = Field(description="version -> answers, answers with a click")
    alarms: list[str] = Field(default=[], description="drift, loss, bad data")


class Story(BaseModel):
    """The summary, `summary.json`."""

    model_config = ConfigDict(protected_namespaces=())

    ok: bool = False
    shop: str
    scenario: str
    changed_on: date
    seconds: float = 0.0
    steps: list[Step] = []
    curve: list[Point] = []
    figures: dict[str, Any] = {}


class Teller:
    """Prints the timeline while it grows."""

    def __init__(self, story: Story, console: Console) -> None:
        self.story, self.console = story, console
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began

    @contextmanager
    def step(self, name: str, day: date) -> Iterator[list[str]]:
        """Tell one step: the block appends what it found; a `StepMissed` in it is told and ends the story."""
        began, said = self.seconds, list[str]()
        self.console.print(f"{began:5.0f} s  {day}  [bold]{name}[/] …")
        try:
            yield said
        except StepMissed as missed:
            self._told(Step(name=name, day=day, began=began, seconds=self.seconds - began, text=str(missed), ok=False))
            raise
        self._told(Step(name=name, day=day, began=began, seconds=self.seconds - began, text="; ".join(said)))

    def _told(self, step: Step) -> None:
        self.story.steps.append(step)
        mark = "[green]✓[/]" if step.ok else "[red]✗[/]"
        self.console.print(f"{self.seconds:5.0f} s  {step.day}  {mark} {step.name}: {step.text}", soft_wrap=True)


def must(happened: bool, otherwise: str) -> None:
    """End the story when something that had to happen did not.

    Raises:
        StepMissed: with `otherwise`.
    """
    if not happened:
        raise StepMissed(otherwise)
