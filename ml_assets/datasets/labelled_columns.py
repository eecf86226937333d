"""The spine's columns that a binary or regression model needs, by the key of its YAML that names them."""

from __future__ import annotations

from ml_assets.config.model_spec import ModelSpec


def spine_columns(spec: ModelSpec) -> dict[str, tuple[str, ...]]:
    """Columns by key; what features are read by comes on top."""
    return {
        "entity": (spec.entity,),
        "time": (spec.time,),
        "label": (spec.label,),
        "request_features": spec.request_features,
        "slices": spec.slices,
        "bootstrap_unit": (spec.bootstrap_unit,) if spec.bootstrap_unit else (),
    }
