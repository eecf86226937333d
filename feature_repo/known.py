"""Which join keys of a row nothing is known of: one rule for scored files, batch predictions and live answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]


def columns_by_key(names: Sequence[str], views: Mapping[str, Sequence[str]]) -> dict[str, list[int]]:
    """The columns that are looked up by each key, in the order of the columns.

    Args:
        names: columns `<view>__<feature>`; those of no view have no key.
        views: the join keys of each view; several keys of one view are one, with `and` between.
    """
    found: dict[str, list[int]] = {}
    for at, name in enumerate(names):
        if keys := views.get(name.partition("__")[0]):
            found.setdefault(" and ".join(keys), []).append(at)
    return found


def known_by_key(there: Flags, by_key: Mapping[str, Sequence[int]]) -> Flags:
    """Whether anything is known of each key: [rows, keys], of what is there [rows, columns]."""
    return np.column_stack(
        [np.zeros((len(there), 0), dtype=bool), *(there[:, at].any(axis=1) for at in by_key.values())]
    )


def unknown_keys(known: Flags, by_key: Mapping[str, Sequence[int]]) -> list[str]:
    """The keys of one row [keys] of which nothing is known."""
    return [key for key, there in zip(by_key, known, strict=True) if not there]
