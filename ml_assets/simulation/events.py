"""Clean events as aligned arrays, before they are written the way a shop's export would."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self

import numpy as np

from ml_assets.simulation.randomness import Bools, Ints

VIEW, CART, PURCHASE = 0, 1, 2
KINDS = ("view", "cart", "purchase")


@dataclass(frozen=True)
class Events:
    """Aligned arrays, one entry per event."""

    day: Ints  # day number on which it happened
    number: Ints  # running number within that day
    second: Ints  # of that day
    customer: Ints
    product: Ints
    kind: Ints  # VIEW, CART or PURCHASE
    session: Ints  # running number within that day
    quantity: Ints
    cents: Ints  # unit price
    anonymous: Bools  # the session is not reported
    placeless: Bools  # the country is not reported

    def __len__(self) -> int:
        return len(self.day)

    def take(self, rows: Ints) -> Self:
        """Return the given rows in the given order."""
        return type(self)(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def followed_by(self, other: Events) -> Self:
        """Return these events and then the others."""
        columns = {f.name: (getattr(self, f.name), getattr(other, f.name)) for f in fields(self)}
        return type(self)(**{name: np.concatenate(pair) for name, pair in columns.items()})

    @classmethod
    def none(cls) -> Self:
        """No events."""
        kinds = {"Bools": np.bool_, "Ints": np.int64}
        return cls(**{f.name: np.zeros(0, kinds[str(f.type)]) for f in fields(cls)})
