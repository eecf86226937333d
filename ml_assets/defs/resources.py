"""What every asset of this deployment may ask for: where references are kept, how steps are run."""

import dagster as dg

from ml_assets.components.references import JsonReferences
from ml_assets.config.settings import load_settings
from ml_assets.execution.preload_modules import preload


def forked(job: str) -> dg.ExecutorDefinition:
    """Steps of the job run in processes forked from a server that has imported what they need, two at a time."""
    return dg.multiprocess_executor.configured(
        {"max_concurrent": 2, "start_method": {"forkserver": {"preload_modules": list(preload(job))}}}
    )


@dg.definitions
def resources() -> dg.Definitions:
    """The IO manager and the default executor."""
    folder = load_settings().shop_home / "references"
    return dg.Definitions(resources={"io_manager": JsonReferences(folder=str(folder))}, executor=forked("ingest"))
