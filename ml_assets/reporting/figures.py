"""Pictures of pages: text in them is text, and one that cannot be drawn says so instead of failing its page."""

from __future__ import annotations

import base64
import html
import io
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger("ml_assets.reporting.figures")

SHORT = 200
"""Characters of an error that are shown."""


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches; `$` in its texts begins no formula."""
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams["text.parse_math"] = False  # a label is somebody's data
    return Figure(figsize=(width, height), layout="constrained")


def inline(draw: Callable[[], Figure]) -> str:
    """What `draw` makes as a data address, for an `img` that needs no other file."""
    try:
        return address(png(draw(), 120))
    except Exception as error:  # whatever a picture fails by, the page is of use without it
        logger.warning("a picture could not be drawn: %s", error, exc_info=True)
        return address(instead(error), "svg+xml")


def png(figure: Figure, dpi: int) -> bytes:
    """The figure as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def instead(error: Exception) -> bytes:
    """An SVG file that says why there is no picture."""
    said = html.escape("".join(sign if sign.isprintable() else " " for sign in str(error))[:SHORT])
    text = f'<text x="8" y="24" font-size="13">This picture could not be drawn: {said}</text>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="960" height="36">{text}</svg>'.encode()


def address(content: bytes, kind: str = "png") -> str:
    """A picture's bytes as a data address."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
