"""What a number may be wherever one is read: by ingestion, a request, a file to be scored, a training set."""

from __future__ import annotations

from dataclasses import dataclass

MOST = 3.4028234663852886e38
"""Largest number that float32 holds, which is what models read."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a contract says of a number; None: it does not say.

    Attributes:
        min: the least.
        above: what it must be greater than.
        max: the greatest.
        whole: whether it has no fraction.
    """

    min: float | None = None
    above: float | None = None
    max: float | None = None
    whole: bool = False

    def holds(self, number: float) -> bool:
        """Whether a number is one of these."""
        return (
            (self.min is None or number >= self.min)
            and (self.above is None or number > self.above)
            and (self.max is None or number <= self.max)
            and (not self.whole or number == int(number))
        )

    def outside_sql(self, value: str) -> str:
        """SQL: whether a number is less or more; null or empty where nothing is said of it."""
        limits = {"<": self.min, "<=": self.above, ">": self.max}
        return " or ".join(f"{value} {sign} {limit!r}" for sign, limit in limits.items() if limit is not None)

    def broken_sql(self, value: str) -> str:
        """SQL: whether a number is none of these; null of a missing one."""
        fraction = f"{value} <> trunc({value})" if self.whole else ""
        return " or ".join(part for part in (self.outside_sql(value), fraction) if part) or "false"

    @property
    def asked(self) -> str:
        """What is asked, for people."""
        said = {"at least": self.min, "more than": self.above, "at most": self.max}
        limits = [f"{word} {limit:.15g}" for word, limit in said.items() if limit is not None]
        return f"a {'whole ' * self.whole}number" + (f" of {' and '.join(limits)}" if limits else "")


ANY = Bounds()
