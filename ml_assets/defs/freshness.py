"""How old each asset may become, in one place; the UI shows it and `freshness_sensor` acts on it.

Dagster's policies know when an asset was made last; how old the data in it is, the sensor asks `ingestion.freshness`.
"""

import warnings
from datetime import timedelta

import dagster as dg

from ml_assets.components.tags import MODEL
from ml_assets.config.model_spec import ModelSpec, model_specs
from ml_assets.config.settings import SHOP, load_settings
from ml_assets.config.sources import source_of, sources_beside
from ml_assets.defs.jobs import TRAINED, groups_of, refreshed
from ml_assets.ingestion.days import freshness as data

DAILY = dg.FreshnessPolicy.time_window(fail_window=data.WITHIN, warn_window=timedelta(hours=26))
"""For what every new day renews."""


def trained_within(spec: ModelSpec) -> dg.FreshnessPolicy:
    """For what training renews: it may become as old as the model's YAML says."""
    oldest = timedelta(days=spec.retraining.max_age_days)
    return dg.FreshnessPolicy.time_window(fail_window=oldest, warn_window=oldest * 0.8)


def with_freshness(defs: dg.Definitions) -> dg.Definitions:
    """The same definitions with a freshness policy on every raw, feature, model and deployment asset.

    Of a source only while its calendar runs: nothing could renew what comes after its end.
    """
    living = {name for name in (SHOP, *sources_beside()) if not _ended(name)}
    specs = {spec.name: spec for spec in model_specs() if spec.source in living}
    groups = frozenset().union(*(groups_of(source) for source in living))

    def policy(asset: dg.AssetSpec) -> dg.FreshnessPolicy | None:
        if asset.group_name in groups:
            return DAILY
        model, name = specs.get(asset.tags.get(MODEL, "")), asset.key.path[-1]
        if model is None:
            return None
        return DAILY if name in refreshed(model) else trained_within(model) if name in TRAINED else None

    def apply(asset: dg.AssetSpec) -> dg.AssetSpec:
        found = policy(asset)
        return asset if found is None else dg.apply_freshness_policy(asset, found)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return defs.map_resolved_asset_specs(func=apply)


def _ended(source: str) -> bool:
    end = source_of(source, load_settings()).calendar.end
    return end is not None and end < data.clock().date()
