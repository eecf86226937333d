"""The two halves of the graph as jobs: what a day of data does, and what a model does."""

import dagster as dg

from ml_assets.components.days import shop_days
from ml_assets.defs.resources import HEAVY, LIGHT, forked
from ml_assets.settings import load_settings

DATA_GROUPS = ("raw", "staging", "intermediate", "features", "marts")


@dg.definitions
def jobs() -> dg.Definitions:
    """`ingest`: raw days to features; `train`: features to a deployed model and its batch predictions."""
    data = dg.AssetSelection.groups(*DATA_GROUPS)
    days = shop_days(load_settings())
    ingest = dg.define_asset_job(
        "ingest", data, partitions_def=days, executor_def=forked(LIGHT),
        description="Land, check and publish days of raw data, and bring every dbt model up to them.",
    )  # fmt: skip
    train = dg.define_asset_job(
        "train", dg.AssetSelection.all() - data, partitions_def=days, executor_def=forked(HEAVY),
        description="Materialize the online store, train, evaluate, gate, deploy, and score all active customers.",
    )  # fmt: skip
    return dg.Definitions(jobs=[ingest, train])
