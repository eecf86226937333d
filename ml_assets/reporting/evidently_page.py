"""Evidently's page of how two tables differ: for people, no gate; it names the columns that Evidently cannot draw."""

from __future__ import annotations

import html
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from ml_assets.storage.files import replace_file

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger("ml_assets.reporting.evidently_page")

BLANK = "<!doctype html><html><head><meta charset='utf-8'></head><body></body></html>"


def save_page(current: pd.DataFrame, reference: pd.DataFrame, out: Path) -> None:
    """Write the page; a column that is missing throughout on a side is named with why it is not drawn.

    Evidently raises on such columns. A page that it cannot draw at all says so.

    Args:
        current: the rows that are looked at.
        reference: the rows they are compared with, of the same columns.
        out: takes the HTML.
    """
    left_out = {name: why for name in current.columns if (why := _why(name, current, reference))}
    drawn = [name for name in current.columns if name not in left_out]
    with replace_file(out) as aside:
        problem = _draw(current[drawn], reference[drawn], aside) if drawn else "every column is missing throughout"
        page = BLANK if problem else aside.read_text(encoding="utf8")
        notes = [f"Not drawn: {problem}."] if problem else []
        notes += [f"{name} is left out: {why}." for name, why in left_out.items()]
        aside.write_text(_with_notes(page, notes), encoding="utf8")


def _why(name: str, current: pd.DataFrame, reference: pd.DataFrame) -> str | None:
    now, before = bool(current[name].notna().any()), bool(reference[name].notna().any())
    if now and before:
        return None
    if before:
        return "it has values in the reference and none in the rows looked at, so it has changed most of all"
    if now:
        return "it has values in the rows looked at and none in the reference, so it has changed most of all"
    return "it has no value on either side"


def _draw(current: pd.DataFrame, reference: pd.DataFrame, out: Path) -> str | None:
    """Evidently's own page; why there is none, when it cannot draw."""
    from evidently import Report
    from evidently.presets import DataDriftPreset

    try:
        Report([DataDriftPreset()]).run(current, reference).save_html(str(out))
    except Exception as error:  # a page for people must not fail what it is about
        logger.warning("Evidently could not draw: %s", error, exc_info=True)
        return f"Evidently says {error}"
    return None


def _with_notes(page: str, notes: list[str]) -> str:
    """The page with the notes at its top."""
    if not notes:
        return page
    items = "".join(f"<li>{html.escape(note)}</li>" for note in notes)
    before, body, after = page.partition("<body>")
    said = f'<ul style="font-family: sans-serif">{items}</ul>'
    return f"{before}{body}{said}{after}" if body else f"{said}{page}"
