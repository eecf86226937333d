"""The on-demand feature view `derived`: Feast's way into `transforms.derive`."""

from __future__ import annotations

import hashlib
import inspect

import numpy as np
import pandas as pd
from feast import Field, OnDemandFeatureView, RequestSource
from feast.types import Float64

from feature_repo import transforms
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


_FORMULAS = hashlib.sha256(inspect.getsource(transforms).encode()).hexdigest()[:12]

# Feast stores a function as its source and compares definitions by it. This source imports the real
# function, so there is one copy of the formulas, and names their digest, so that changed formulas are a
# changed definition.
_SOURCE = f"""# formulas {_FORMULAS}
def derive_frame(inputs):
    from feature_repo.on_demand import derive_frame as derive_frame_of_the_repository

    return derive_frame_of_the_repository(inputs)
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
