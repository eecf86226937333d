"""The pages under `docs/reference/`, made from the code they describe."""

from __future__ import annotations

from ml_assets.reference.pages import FOLDER, pages, write

__all__ = ["FOLDER", "pages", "write"]
