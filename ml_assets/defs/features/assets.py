"""Feast as assets: the definitions applied, the online store materialized, offline and online held equal."""

from collections.abc import Callable
from typing import Any

import dagster as dg

from ml_assets.components.days import ONE_RUN
from ml_assets.components.tags import SOURCE
from ml_assets.config.settings import SHOP, load_settings

VIEWS = ("feat_customer", "feat_product", "feat_category", "feat_customer_product", "feat_customer_category")


def feature_asset(**options: Any) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """`@dg.asset` for an asset of the feature store."""
    decorate: Callable[[Callable[..., Any]], dg.AssetsDefinition] = dg.asset(
        group_name="feature_store", key_prefix="feast", owners=["team:data"], backfill_policy=ONE_RUN,
        tags={SOURCE: SHOP},
        **options,
    )  # fmt: skip
    return decorate


@feature_asset(deps=VIEWS, kinds={"feast"})
def definitions() -> dg.MaterializeResult[Any]:
    """Entities, feature views and services, applied to Feast's SQL registry; code that lies there is deleted unread."""
    from feature_repo.store import apply, open_store

    applied = apply(open_store(load_settings()))
    return dg.MaterializeResult(metadata={"objects": dg.MetadataValue.json(applied)})


@feature_asset(deps=[definitions, *VIEWS], kinds={"feast"}, pool="warehouse")
def online_store() -> dg.MaterializeResult[Any]:
    """The newest feature values of every key, ready for the model server."""
    from feature_repo.online import materialize
    from feature_repo.store import open_store
    from ml_assets.storage.warehouse import as_of

    settings = load_settings()
    moment = as_of(settings)
    written = materialize(open_store(settings), moment)
    metadata: dict[str, Any] = {"dagster/row_count": sum(written.values()), "as_of": moment.isoformat(), **written}
    return dg.MaterializeResult(metadata=metadata, data_version=dg.DataVersion(moment.isoformat()))


@dg.asset_check(asset=online_store, blocking=True)
def offline_equals_online() -> dg.AssetCheckResult:
    """For a sample of keys, training and serving read the same feature values at the same time."""
    from feature_repo.parity import check_parity
    from feature_repo.store import open_store
    from ml_assets.storage.warehouse import as_of

    settings = load_settings()
    report = check_parity(open_store(settings), as_of(settings))
    return dg.AssetCheckResult(
        passed=report.ok,
        description=f"{report.rows} keys x {report.features} features compared, {len(report.mismatches)} differ",
        metadata={"mismatches": dg.MetadataValue.json([str(each) for each in report.mismatches[:20]])},
    )
