"""Bins that are fixed on the reference: quantiles for numbers, the most frequent values for categories.

Bin 0 is what is missing, the last one what is above, or otherwise than, everything the reference named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Edges = NDArray[np.float32]

LEVELS = np.arange(1, 10) / 10
VALUES = 10
"""A number with at most as many different values gets a bin for each."""
NAMES = 20
"""Categories with a bin of their own; the rest share one."""

MISSING, OTHER = "missing", "other"


@dataclass(frozen=True)
class NumberBins:
    """A float32 column; bin i + 1 holds what is above edge i - 1 and at most edge i."""

    column: str
    edges: tuple[float, ...]

    @property
    def size(self) -> int:
        """Number of bins."""
        return len(self.edges) + 2

    @property
    def sql(self) -> str:
        """The bin of a row, an unsigned byte."""
        value = f'"{self.column}"'
        above = " + ".join(["1::utinyint", *(f"({value} > {edge!r}::float)::utinyint" for edge in self.edges)])
        return f"(case when {value} is null or isnan({value}) then 0::utinyint else {above} end)"

    @property
    def labels(self) -> tuple[str, ...]:
        """What people call the bins."""
        if not self.edges:
            return (MISSING, "any")
        inner = (_between(low, high) for low, high in zip(self.edges, self.edges[1:], strict=False))
        return (MISSING, f"≤ {self.edges[0]:.4g}", *inner, f"> {self.edges[-1]:.4g}")


@dataclass(frozen=True)
class CategoryBins:
    """A text column and the values that have a bin each."""

    column: str
    names: tuple[str, ...]

    @property
    def size(self) -> int:
        """Number of bins."""
        return len(self.names) + 2

    @property
    def sql(self) -> str:
        """The bin of a row, an unsigned byte."""
        listed = ", ".join("'" + name.replace("'", "''") + "'" for name in self.names)
        position = f'coalesce(list_position([{listed}]::varchar[], "{self.column}"), 0)'
        place = f"case {position} when 0 then {len(self.names) + 1} else {position} end"
        return f'(case when "{self.column}" is null then 0 else {place} end)::utinyint'

    @property
    def labels(self) -> tuple[str, ...]:
        """What people call the bins."""
        return (MISSING, *self.names, OTHER)


Bins = NumberBins | CategoryBins


def number_bins(column: str, values: Sequence[float] | NDArray[np.float32]) -> NumberBins:
    """Bins on the deciles of `values` (NaN: missing); few different values get a bin each.

    A value that holds two deciles or more, zero for instance, is cut off from what lies below it. Any strictly
    increasing change of the values moves the edges with it.
    """
    found = np.asarray(values, dtype=np.float32)
    found = found[np.isfinite(found)]
    different = np.unique(found)
    if len(different) <= VALUES:
        return NumberBins(column, tuple(map(float, different)))
    decile = np.quantile(found, LEVELS, method="inverted_cdf")
    frequent = decile[1:][decile[1:] == decile[:-1]]
    below = np.nextafter(frequent, np.float32(-np.inf), dtype=np.float32)
    return NumberBins(column, tuple(map(float, np.unique(np.concatenate([decile, below])))))


def _between(low: float, high: float) -> str:
    alone = np.nextafter(np.float32(high), np.float32(-np.inf)) == np.float32(low)
    return f"{high:.4g}" if alone else f"{low:.4g} to {high:.4g}"
