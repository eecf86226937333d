"""The loop's page and its story: what is told is what happened, also when a step is missed."""

from __future__ import annotations

from datetime import date
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console

from ml_assets.demo.loop.page import write_page
from ml_assets.demo.loop.story import Point, StepMissed, Story, Teller, must

DAY = date(2026, 4, 6)


@pytest.fixture
def story() -> Story:
    return Story(shop="tiny", scenario="taste_shift", changed_on=DAY)


def test_a_missed_step_is_told_as_such(story: Story) -> None:
    teller = Teller(story, Console(quiet=True))
    with teller.step("first", DAY) as said:
        said.append("went well")
    with pytest.raises(StepMissed, match="no alarm"), teller.step("second", DAY):
        must(False, "no alarm")
    assert [(step.name, step.ok, step.text) for step in story.steps] == [
        ("first", True, "went well"),
        ("second", False, "no alarm"),
    ]


def test_the_page_shows_steps_curves_and_figures_and_loads_nothing(story: Story, tmp_path: Path) -> None:
    teller = Teller(story, Console(quiet=True))
    with teller.step("<b>escaped</b>", DAY) as said:
        said.append("seen")
    story.curve += [
        Point(day=DAY, answers=10, click_rate=0.3, by_version={"a": (10, 3)}, alarms=["loss"]),
        Point(day=date(2026, 4, 7), answers=20, click_rate=0.5, by_version={"a": (10, 4), "b": (10, 6)}),
    ]
    story.figures["share_recovered"] = 0.8
    write_page(story, tmp_path / "index.html")
    page = (tmp_path / "index.html").read_text()
    assert "&lt;b&gt;escaped" in page and "0.800" in page and "<svg" in page
    found: list[str] = []

    class Links(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.extend(value or "" for name, value in attrs if name in {"src", "href"})

    Links().feed(page)
    assert [link for link in found if not link.startswith("#")] == []
