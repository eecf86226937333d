"""What customers are about to want: habits that come back with a cycle, and things left in a cart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from ml_assets.simulation.randomness import Bools, Floats, Ints, sigmoid

ONCE = 0.0
"""The cycle of a need that does not come back."""
PATIENCE = 14.0
"""Days after which a need of one time is forgotten."""


@dataclass(frozen=True)
class Needs:
    """Aligned arrays sorted by `key` (customer * products + product), which is unique."""

    key: Ints
    cycle: Floats  # days from purchase to purchase; ONCE for a single wish
    due: Floats  # day number at which it is wanted again

    def __len__(self) -> int:
        return len(self.key)

    def take(self, rows: Ints) -> Self:
        """Return the given rows, which must be in ascending order."""
        return type(self)(self.key[rows], self.cycle[rows], self.due[rows])

    def urgency(self, day: int) -> Floats:
        """Probability that a visit on `day` turns to each need: low until due, then high."""
        habit = self.cycle > ONCE
        lateness = (day - self.due) / np.where(habit, self.cycle, 1.0)
        wish = np.where(day >= self.due, 0.45, 0.05)
        return np.where(habit, 0.92 * sigmoid(np.clip((lateness + 0.08) / 0.06, -30, 30)), wish)

    def look_up(self, keys: Ints, day: int) -> tuple[Floats, Bools]:
        """(urgency, is a habit) per key; (0, False) where there is no such need."""
        if not len(self):
            return np.zeros(keys.shape), np.zeros(keys.shape, dtype=np.bool_)
        at = np.minimum(np.searchsorted(self.key, keys), len(self) - 1)
        known = self.key[at] == keys
        return np.where(known, self.urgency(day)[at], 0.0), known & (self.cycle[at] > ONCE)

    def joined(self, key: Ints, cycle: Floats, due: Floats) -> Needs:
        """Add needs; of two for the same pair a habit wins over a wish, then the older over the newer."""
        keys = np.concatenate([self.key, key])
        cycles = np.concatenate([self.cycle, cycle])
        dues = np.concatenate([self.due, due])
        order = np.lexsort((np.arange(len(keys)), cycles == ONCE, keys))
        first = np.concatenate([[True], np.diff(keys[order]) > 0])[: len(keys)]
        kept = order[first]
        return Needs(keys[kept], cycles[kept], dues[kept])

    def remembered(self, day: int) -> Needs:
        """Forget single wishes that nobody came back for."""
        return self.take(np.flatnonzero((self.cycle > ONCE) | (day <= self.due + PATIENCE)))

    @classmethod
    def none(cls) -> Needs:
        """No needs."""
        return cls(np.zeros(0, np.int64), np.zeros(0), np.zeros(0))
