"""Plots where people look: inside an asset's metadata in the UI."""

import base64

import dagster as dg


def picture(png: bytes) -> dg.MarkdownMetadataValue:
    """A PNG shown inside the asset's metadata."""
    return dg.MetadataValue.md(f"![plot](data:image/png;base64,{base64.b64encode(png).decode()})")
