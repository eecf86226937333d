"""The shop's features as one defines them with Feast alone: the derived ones by an on-demand view.

Feast keeps its function in the registry as code, which the project itself does not (`feature_repo.derived`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from feast import FeatureService, Field, OnDemandFeatureView, RequestSource
from feast.types import Float64

from feature_repo import services, transforms
from feature_repo.views import VIEWS

now = RequestSource(
    name="now",
    schema=[Field(name=transforms.NOW, dtype=Float64)],
    description="Moment the features are computed for, in unix seconds.",
)


def derive_frame(inputs: pd.DataFrame) -> pd.DataFrame:
    """`transforms.derive` on a frame; timestamps become whole unix seconds, as in the online store."""
    columns = {name: _floats(inputs[name], name) for name in (*transforms.INPUTS, transforms.NOW)}
    return pd.DataFrame(transforms.derive(columns))


def _floats(column: pd.Series, name: str) -> transforms.FloatArray:
    if not name.endswith("_at"):
        return np.asarray(column.astype("float64"), dtype=np.float64)
    if not pd.api.types.is_datetime64_any_dtype(column):  # a column without any moment arrives as objects
        column = pd.to_datetime(column, utc=True)
    moments = column.to_numpy(dtype="datetime64[s]")
    return np.where(np.isnat(moments), np.nan, moments.astype("int64").astype("float64"))


_SOURCE = """
def derive_frame(inputs):
    from benchmarks.peers.on_demand import derive_frame as derive_frame_here

    return derive_frame_here(inputs)
"""

derived = OnDemandFeatureView(
    name="derived",
    sources=[
        now,
        *(
            view[[name.partition("__")[2] for name in transforms.INPUTS if name.partition("__")[0] == view.name]]
            for view in VIEWS
        ),
    ],
    schema=[Field(name=name, dtype=Float64) for name in transforms.OUTPUTS],
    udf=derive_frame,  # type: ignore[arg-type]  # any function with annotations is meant
    udf_string=_SOURCE,
    mode="pandas",
    description="Recency, decayed counts, shares, due-ness and price ratios at the moment `now`.",
)


def definitions() -> list[Any]:
    """Entities, views and the shop's feature service with its derived features."""
    stored = services.product_recommender
    service = FeatureService(name=stored.name, features=[*stored._features, derived])
    return [*services.ENTITIES, now, *VIEWS, derived, service]
