"""Pictures: text is text, and a picture that cannot be drawn fails nothing."""

from __future__ import annotations

import base64

import pytest
from matplotlib.figure import Figure

from ml_assets.evaluation.charts import forest
from ml_assets.evaluation.result import Gain
from ml_assets.reporting.figures import inline, new_figure

LABELS = ("$5_", "a$b$c", "\\$", "$\\frac{$", "50 % & <b>", "\x07", "_{^", "名無し")


@pytest.mark.parametrize("label", LABELS)
def test_text_is_text(label: str) -> None:
    rows = [(f"price band: {label}", Gain(gain=0.1, low=0.0, high=0.2, customers=9, groups=9))]
    assert inline(lambda: forest(rows, f"gain over {label}", None, None)).startswith("data:image/png")


def test_a_picture_that_cannot_be_drawn_says_so() -> None:
    def broken() -> Figure:
        raise RuntimeError("no <ink>\x00 left")

    kind, _, drawn = inline(broken).partition(";base64,")
    assert kind == "data:image/svg+xml"
    assert "could not be drawn: no &lt;ink&gt;  left" in base64.b64decode(drawn).decode()


def test_a_figure_that_breaks_when_it_is_saved_says_so() -> None:
    def wrong() -> Figure:
        figure = new_figure(2, 2)
        figure.text(0, 0, "$\\frac{$", parse_math=True)
        return figure

    assert inline(wrong).startswith("data:image/svg+xml")
