"""A graph of three steps for tests of running one: the second tells where it ran, the third fails."""

import os

import dagster as dg

from ml_assets.defs.resources import forked


@dg.asset
def first() -> dg.MaterializeResult:
    return dg.MaterializeResult()


@dg.asset(deps=[first])
def second(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    context.log.info(f"child of {os.getppid()}")
    return dg.MaterializeResult()


@dg.asset(deps=[second])
def third() -> dg.MaterializeResult:
    raise ValueError("the third step fails")


@dg.asset_check(asset=second)
def held() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


defs = dg.Definitions(
    assets=[first, second, third],
    asset_checks=[held],
    jobs=[dg.define_asset_job("ingest", executor_def=forked("ingest"))],
)
