"""The Dagster code location: everything under `defs/`, run step by step in forked processes."""

from __future__ import annotations

import sys
import warnings
from functools import cache
from pathlib import Path

import dagster as dg

from ml_assets.components.checked import config_error_in
from ml_assets.config.settings import Settings, load_settings
from ml_assets.config.yaml_file import ConfigError
from ml_assets.defs.freshness import with_freshness
from ml_assets.validate.project import check_configuration


@dg.definitions
def defs() -> dg.Definitions:
    """All assets, checks, jobs, sensors and schedules of this deployment.

    Raises:
        ConfigError: when a setting or a YAML file says what cannot be; no traceback buries the text.
    """
    try:
        settings = load_settings()
        settings.export()
        return loaded(settings)
    except ConfigError:
        sys.tracebacklimit = 0
        raise


@cache
def loaded(settings: Settings) -> dg.Definitions:
    """The definitions under these settings; built once per process, since Dagster asks for them at every step.

    Raises:
        ConfigError: when a YAML file says what cannot be.
    """
    warnings.filterwarnings("ignore", category=dg.BetaWarning)  # Dagster's word to itself: it warns of its own calls
    check_configuration(settings)
    try:
        return with_freshness(dg.load_from_defs_folder(path_within_project=Path(__file__)))
    except Exception as error:  # Dagster puts errors of its own around what a component raises
        if told := config_error_in(error):
            raise told from None
        raise
