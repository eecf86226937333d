"""What the fork server imports once, so that a step costs a fork and not the imports of everything it uses."""

from __future__ import annotations

LIGHT = (
    "dagster",
    "dagster_dbt",
    "dbt.cli.main",
    "dbt.adapters.duckdb",
    "sqlalchemy",
    "alembic",
    "dagster._core.storage.event_log.sqlite",
    "dagster._core.storage.runs.sqlite",
    "dagster._core.storage.schedules.sqlite",
    "duckdb",
    "pyarrow.parquet",
    "upath",
)
"""For runs that move data only."""

HEAVY = (
    *LIGHT,
    "ml_assets.execution.feast_import",
    "lightgbm",
    "mlflow",
    "optuna",
    "matplotlib.pyplot",
    "scipy.sparse",
)
"""For runs that train, deploy or watch: each of these would otherwise be imported anew by every step that needs it."""


def preload(job: str) -> tuple[str, ...]:
    """Modules that the steps of a job find imported."""
    ours = ("ml_assets.execution.fork_server.bound", "ml_assets.execution.fork_server.prewarm")
    return ("ml_assets.execution.fork_server.gc_disable", *(LIGHT if job == "ingest" else HEAVY), *ours)
