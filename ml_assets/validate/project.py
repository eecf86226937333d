"""All that is configured, looked at before anything runs: the shop, the sources, their features, the models."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import ValidationError

from feature_repo.declared import declared
from ml_assets.config.model_spec import MODELS, load_model_spec
from ml_assets.config.settings import SHOP, Settings
from ml_assets.config.sources import source_of, sources_beside
from ml_assets.config.yaml_file import ConfigError, config_error
from ml_assets.validate.models import check_features, check_spec


def check_configuration(settings: Settings) -> None:
    """Read every YAML file of this deployment and check that what it names is there.

    Raises:
        ConfigError: every problem of the first kind that has any, with file, line and key.
    """
    files = sorted(MODELS.glob("*/defs.yaml"))
    _all(
        sources_beside, lambda: _shop(settings), declared, *(lambda file=file: load_model_spec(file) for file in files)
    )
    checks = [lambda file=file: check_spec(load_model_spec(file), file) for file in files]
    _all(check_features, *checks)


def _shop(settings: Settings) -> None:
    from ml_assets.simulation.spec import SimulationSpec, read_simulation

    source = source_of(SHOP, settings)
    try:
        read_simulation(source.simulation or {})
    except ValidationError as error:
        raise config_error(error, SimulationSpec, [settings.shop_file], ["simulation"]) from None


def _all(*looks: Callable[[], object]) -> None:
    """Make every look, and tell what all of them found."""
    told: dict[str, None] = {}
    for look in looks:
        try:
            look()
        except (ConfigError, FileNotFoundError) as error:
            told.update(dict.fromkeys(str(error).splitlines()))
    if told:
        raise ConfigError("\n".join(told))
