"""The project's definitions, and what only the benchmark runs: `train` less the model server, steps that do nothing."""

from __future__ import annotations

from typing import Any

import dagster as dg

from ml_assets.config.settings import SHOP
from ml_assets.defs.jobs import DATA_GROUPS, FEATURE_STORE, of_models
from ml_assets.defs.resources import forked

GRAPH, DAY = "train_without_server", "day_without_server"
STEPS = 4
EMPTY = {"forked": "empty_forked", "spawned": "empty_spawned"}
"""Jobs of `STEPS` empty steps, one after the other, by how each step gets its process."""


def empty_steps() -> list[dg.AssetsDefinition]:
    """A chain of assets that do nothing."""
    built: list[dg.AssetsDefinition] = []
    for number in range(STEPS):

        @dg.asset(name=f"empty_{number}", deps=built[-1:], group_name="empty")
        def empty() -> dg.MaterializeResult[Any]:
            return dg.MaterializeResult()

        built.append(empty)
    return built


@dg.definitions
def defs() -> dg.Definitions:
    """Everything of the project, and the benchmark's jobs."""
    from ml_assets.definitions import defs as project  # at the top, Dagster would find two in this module

    own, steps = project(), empty_steps()
    train = own.get_job_def("train")
    selection = dg.AssetSelection.assets(*train.asset_layer.executable_asset_keys) - of_models(SHOP, "deployment")
    renewed = dg.AssetSelection.groups(*DATA_GROUPS, FEATURE_STORE) | of_models(SHOP, "retrieval_index")
    nothing = dg.AssetSelection.assets(*steps)
    spawned = dg.multiprocess_executor.configured({"max_concurrent": 2})
    jobs = [
        dg.define_asset_job(GRAPH, selection, partitions_def=train.partitions_def, executor_def=forked("train")),
        dg.define_asset_job(DAY, renewed, partitions_def=train.partitions_def, executor_def=forked("daily")),
        dg.define_asset_job(EMPTY["forked"], nothing, executor_def=forked("train")),
        dg.define_asset_job(EMPTY["spawned"], nothing, executor_def=spawned),
    ]
    return dg.Definitions.merge(own, dg.Definitions(assets=steps, jobs=jobs))
