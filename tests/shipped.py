"""What ships beside the shop and anybody may take out: tests that are about it are skipped where it is not there."""

from __future__ import annotations

import pytest

from ml_assets.config.model_spec import model_specs

TAXI = pytest.mark.skipif(
    "taxi_tips" not in {spec.name for spec in model_specs()}, reason="this deployment has no model taxi_tips any more"
)
"""Of a test that is about the example taxi_tips itself."""


def require(model: str) -> None:
    """Skip the test where the deployment has no such model."""
    if model not in {spec.name for spec in model_specs()}:
        pytest.skip(f"this deployment has no model {model} any more")
