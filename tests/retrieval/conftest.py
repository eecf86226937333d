"""The small shop of `tiny_history`, and a spec whose quotas bind in it."""

from __future__ import annotations

import pyarrow as pa
import pytest
from tiny_history import AS_OF, make_catalogue, make_interactions

from ml_assets.config.retrieval_config import RetrievalSpec
from ml_assets.retrieval.index import RetrievalIndex, build_index


@pytest.fixture(scope="session")
def interactions() -> pa.Table:
    return make_interactions()


@pytest.fixture(scope="session")
def catalogue() -> pa.Table:
    return make_catalogue()


@pytest.fixture(scope="session")
def small_spec() -> RetrievalSpec:
    return RetrievalSpec(
        total=15,
        own=6,
        co_purchase=4,
        co_visitation=4,
        similar=4,
        popular=5,
        launches=2,
        similar_customers=10,
        neighbours=8,
    )


@pytest.fixture(scope="session")
def index(interactions: pa.Table, catalogue: pa.Table, small_spec: RetrievalSpec) -> RetrievalIndex:
    return build_index(interactions, catalogue, AS_OF, small_spec)
