"""Features computed at the moment that is asked about: which feature service has which, declared here alone.

Feast knows the stored features of a service only. It would keep a function of ours as a pickle and as source text in
its registry, and run whatever lies there each time it reads the row. So `derive` is called by our own code: for
training sets, batch predictions, the parity check and the model server alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from feature_repo import transforms
from feature_repo.transforms import INPUTS, NOW, FloatArray

if TYPE_CHECKING:
    import pyarrow as pa

PREFIX = "derived__"
DERIVED: Mapping[str, tuple[str, ...]] = {
    "product_recommender": tuple(f"{PREFIX}{name}" for name in transforms.OUTPUTS),
}
"""The derived features of each service that has any, in order; they come after its stored ones."""


def derived_of(service: str) -> tuple[str, ...]:
    """Names `derived__<feature>` of a service's derived features; none when it has only stored ones."""
    return DERIVED.get(service, ())


def stored_for(names: Iterable[str]) -> tuple[str, ...]:
    """The stored features `<view>__<feature>` that these take: stored ones themselves, the inputs of derived ones."""
    asked = tuple(names)
    inputs = INPUTS if any(name.startswith(PREFIX) for name in asked) else ()
    return tuple(dict.fromkeys([*(name for name in asked if not name.startswith(PREFIX)), *inputs]))


def derive(columns: Mapping[str, FloatArray], now: FloatArray) -> dict[str, FloatArray]:
    """Every derived feature of n rows, by its name: `columns` has INPUTS as float64 [n], `now` is unix seconds [n]."""
    return {f"{PREFIX}{name}": values for name, values in transforms.derive({**columns, NOW: now}).items()}


def numbers(column: pa.ChunkedArray) -> FloatArray:
    """The column as float64 [n], NaN where missing; moments are whole unix seconds, as in the online store."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_timestamp(column.type):
        moments = column.to_numpy().astype("datetime64[s]")
        return np.where(np.isnat(moments), np.nan, moments.astype(np.int64).astype(np.float64))
    return np.asarray(pc.cast(column, pa.float64(), safe=False).to_numpy(), dtype=np.float64)
