"""A version that is loaded and can score: its booster, index, feature reader, and where each column comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ml_assets.config.keys import KeyForm
from ml_assets.config.numbers import Bounds
from ml_assets.registry.pointer import Pointer
from ml_assets.retrieval.index import RetrievalIndex
from serving.model.features import Reader

if TYPE_CHECKING:
    import lightgbm

Positions = NDArray[np.intp]


class LoadError(RuntimeError):
    """A version is intact but cannot serve; the text says what does not fit."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Where each of the booster's columns comes from: positions in the source and in the booster's matrix."""

    retrieval_from: Positions
    retrieval_to: Positions
    reader_from: Positions
    reader_to: Positions
    customer: Positions
    request: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """All that one answer needs, of one version; never changed after it was made.

    Of a binary or regression model there is no index; `keys` and `request` are what a request for it names, `forms` how
    its keys are written and `bounds` what its numbers may be (empty: not recorded), `prior` is the mean label.
    """

    pointer: Pointer
    booster: lightgbm.Booster
    features: tuple[str, ...]
    index: RetrievalIndex | None
    reader: Reader
    plan: Plan
    keys: tuple[str, ...] = ()
    forms: Mapping[str, KeyForm] = field(default_factory=dict)
    bounds: Mapping[str, Bounds] = field(default_factory=dict)
    prior: float = 0.0
    baked: bool = False

    @property
    def request(self) -> tuple[str, ...]:
        """The numbers that a request for this version names."""
        return tuple(name for name, _ in self.plan.request)

    @property
    def retrieval(self) -> RetrievalIndex:
        """The index of a ranking.

        Raises:
            LoadError: when there is none.
        """
        if self.index is None:
            raise LoadError(f"version {self.pointer.model_version} was deployed without a retrieval index")
        return self.index
