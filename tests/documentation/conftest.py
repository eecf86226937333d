"""The pages people read, and what they speak of."""

from pathlib import Path
from typing import Any

import pytest

from ml_assets.config.settings import VARIABLES


@pytest.fixture(scope="session")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The asset graph of the default shop."""
    from ml_assets.definitions import defs

    home: Path = tmp_path_factory.mktemp("documented")
    with pytest.MonkeyPatch.context() as patch:
        for variable in VARIABLES.values():
            patch.delenv(variable, raising=False)
        patch.setenv("ML_ASSETS_HOME", str(home))
        yield defs().resolve_asset_graph()
