"""What every asset of this deployment may ask for: where references are kept, how steps are run."""

import dagster as dg

from ml_assets.components.references import JsonReferences
from ml_assets.settings import load_settings

LIGHT = (
    "dagster",
    "dagster_dbt",
    "sqlalchemy",
    "alembic",
    "dagster._core.storage.event_log.sqlite",
    "dagster._core.storage.runs.sqlite",
    "dagster._core.storage.schedules.sqlite",
    "ml_assets.definitions",
    "ml_assets.components",
    "duckdb",
    "pyarrow.parquet",
)
"""Imported once by the fork server, so that a step costs about a second instead of seven."""

HEAVY = (*LIGHT, "feast", "lightgbm", "mlflow", "optuna", "matplotlib.pyplot", "scipy.sparse")
"""For runs that train and deploy: each of these would otherwise be imported anew by every step that needs it."""


def forked(preload: tuple[str, ...]) -> dg.ExecutorDefinition:
    """Steps run in processes forked from a server that has imported `preload`, two at a time."""
    return dg.multiprocess_executor.configured(
        {"max_concurrent": 2, "start_method": {"forkserver": {"preload_modules": list(preload)}}}
    )


@dg.definitions
def resources() -> dg.Definitions:
    """The IO manager and the default executor."""
    folder = load_settings().shop_home / "references"
    return dg.Definitions(resources={"io_manager": JsonReferences(folder=str(folder))}, executor=forked(LIGHT))
