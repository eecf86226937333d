"""The online store of each source beside the shop, and what holds it equal to the offline one."""

from typing import Any

import dagster as dg

from ml_assets.components.days import ONE_RUN
from ml_assets.components.model_assets import FEATURES
from ml_assets.components.tags import SOURCE
from ml_assets.config.settings import load_settings
from ml_assets.config.sources import sources_beside
from ml_assets.defs.jobs import ONLINE_STORE


@dg.definitions
def features_beside() -> dg.Definitions:
    """`<source>/online_store` and its check, for each source that declares features."""
    from feature_repo.declared import declared

    built = [_online(source) for source in sources_beside() if source in declared()]
    return dg.Definitions(assets=[asset for asset, _ in built], asset_checks=[check for _, check in built])


def _online(source: str) -> tuple[dg.AssetsDefinition, dg.AssetChecksDefinition]:
    from feature_repo.declared import declared

    file = declared()[source]
    tables = [view.table for view in file.views.values()]

    @dg.asset(
        key=dg.AssetKey([source, ONLINE_STORE]), deps=[FEATURES, *tables], group_name=source, owners=["team:data"],
        tags={SOURCE: source}, kinds={"feast"}, pool="warehouse", backfill_policy=ONE_RUN,
    )  # fmt: skip
    def online_store() -> dg.MaterializeResult[Any]:
        """The newest feature values of every key of this source, ready for the model server."""
        from feature_repo.online import materialize
        from feature_repo.store import open_store
        from ml_assets.storage.warehouse import newest_stamp

        settings = load_settings()
        moment = newest_stamp(settings, tables)
        written = materialize(open_store(settings), moment, source=source)
        metadata: dict[str, Any] = {"dagster/row_count": sum(written.values()), "as_of": moment.isoformat(), **written}
        return dg.MaterializeResult(metadata=metadata, data_version=dg.DataVersion(moment.isoformat()))

    @dg.asset_check(asset=online_store, blocking=True)
    def offline_equals_online() -> dg.AssetCheckResult:
        """For a sample of keys, training and serving read the same feature values at the same time."""
        from feature_repo.parity import check_parity
        from feature_repo.store import open_store
        from ml_assets.storage.warehouse import newest_stamp

        settings = load_settings()
        store, moment = open_store(settings), newest_stamp(settings, tables)
        reports = [check_parity(store, moment, service=service) for service in file.services]
        differ = [str(each) for report in reports for each in report.mismatches]
        return dg.AssetCheckResult(
            passed=bool(reports) and all(report.ok for report in reports),
            description=f"{sum(report.rows for report in reports)} keys compared, {len(differ)} values differ",
            metadata={"mismatches": dg.MetadataValue.json(differ[:20])},
        )

    return online_store, offline_equals_online
