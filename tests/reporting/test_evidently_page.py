"""Evidently's page: columns it cannot draw are named with why, and a page there is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ml_assets.reporting.evidently_page import save_page


@pytest.fixture
def rows() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    return pd.DataFrame(rng.normal(size=(120, 3)), columns=["price", "views", "never"]).assign(never=np.nan)


def test_a_column_that_went_missing_is_named_with_why(rows: pd.DataFrame, tmp_path: Path) -> None:
    save_page(rows.assign(views=np.nan), rows, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert "views is left out: it has values in the reference and none in the rows looked at" in text
    assert "never is left out: it has no value on either side" in text
    assert "price is left out" not in text
    save_page(rows, rows.assign(views=np.nan), tmp_path / "page.html")
    assert "views is left out: it has values in the rows looked at" in (tmp_path / "page.html").read_text()


def test_where_nothing_can_be_drawn_the_page_says_so(rows: pd.DataFrame, tmp_path: Path) -> None:
    save_page(rows[["never"]], rows[["never"]], tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert "Not drawn: every column is missing throughout" in text
    assert "never is left out" in text
