"""Whose rows are watched: what differs between the traffic of lists and of predicted events."""

from __future__ import annotations

from dataclasses import dataclass

from ml_assets.config.model_spec import ModelSpec

CATEGORY, EVENT = "category_id", "session_event"


@dataclass(frozen=True)
class Population:
    """One kind of traffic.

    Attributes:
        unit: SQL of answers and of their rows: what is of one unit is alike, whoever counts it.
        kin: SQL of rows: those with one value share the values of features.
        row: SQL of rows: identifies one, in the order in which samples are drawn.
        asked: columns of an answer that say what was asked.
        categories: columns of texts that are judged besides the numbers, and the relation each is in.
        demand: what customers want is judged as well.
        rests: days are judged though the features were never refreshed: much of what is asked does not wait for it.
        called: what rows and units are called among people, and the word between them.
    """

    unit: str
    kin: str
    row: str
    asked: tuple[str, ...]
    categories: tuple[tuple[str, str], ...]
    demand: bool
    rests: bool
    called: tuple[str, str]
    joined: str

    def volume(self, rows: int, units: int) -> str:
        """How much traffic there was, in words."""
        return f"{rows:,} {self.called[0]} {self.joined} {units:,} {self.called[1]}"


LISTS = Population(
    unit="customer_id", kin=CATEGORY, row="prediction_id, position", asked=("session",),
    categories=(("traffic", CATEGORY), ("events", EVENT)), demand=True, rests=False,
    called=("products shown", "customers"), joined="to",
)  # fmt: skip
EVENTS = Population(
    unit="coalesce(event, prediction_id)", kin="keys", row="prediction_id", asked=(), categories=(), demand=False,
    rests=True, called=("predictions", "events"), joined="of",
)  # fmt: skip


def population_of(spec: ModelSpec) -> Population:
    """The kind of traffic a model has."""
    return LISTS if spec.ranks else EVENTS
