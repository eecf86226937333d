"""All that is configured, looked at before anything runs: the shop, the sources, their features, the models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from feature_repo.declared import declared
from ml_assets.config.component_files import DEFS, component_files, components
from ml_assets.config.model_spec import models, read_model
from ml_assets.config.settings import SHOP, Settings
from ml_assets.config.sources import source_of, sources_beside
from ml_assets.config.yaml_file import ConfigError, config_error
from ml_assets.validate.models import check_features, check_spec


def check_configuration(settings: Settings) -> None:
    """Read every YAML file of this deployment and check that what it names is there.

    Raises:
        ConfigError: every problem of the first kind that has any, with file, line and key.
    """
    _all(sources_beside, lambda: _shop(settings), declared, *_models(DEFS))
    _all(check_features, *(partial(check_spec, spec, part) for spec, part in models(DEFS).values()))


def _models(defs: Path) -> Iterator[Callable[[], object]]:
    """A look at each file of components, and at each model in it."""
    for file in component_files(defs):
        yield partial(components, file, defs)
        try:
            yield from (partial(read_model, each) for each in components(file, defs) if each.is_model)
        except ConfigError:
            continue  # told by the look before


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
