"""Keys of a model's YAML that had another name once: what was recorded by it is still read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RENAMED = {
    "request": "request_features",
    "known_after": "post_outcome_columns",
    "cluster": "bootstrap_unit",
    "truth_grade": "relevance_threshold",
}
"""The first name of a key, which addresses and records of training sets keep, and the one it has in YAML today."""


def todays_names(said: Mapping[str, Any]) -> dict[str, Any]:
    """What was recorded of a spec, by the names of today."""
    return {RENAMED.get(name, name): value for name, value in said.items()}


def first_names(said: Mapping[str, Any]) -> dict[str, Any]:
    """What is recorded of a spec: by first names, so that a renamed key makes no new training set."""
    first = {today: name for name, today in RENAMED.items()}
    return {first.get(name, name): value for name, value in said.items()}
