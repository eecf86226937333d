"""What a version is asked before and after it is deployed: what the warehouse knows, in the form the version takes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.datasets.provenance import join_keys_of, spec_of
from ml_assets.registry.versions import VersionRef
from serving.deploy.probe import Questions, about_customers, about_events

ASKED = 50

Ask = Callable[[VersionRef], Questions]


def questions_of(spec: ModelSpec, settings: Settings) -> Ask:
    """What to ask a version of the model: known customers, or the newest events; and somebody whom nobody knows."""
    return partial(_customers if spec.ranks else _events, spec, settings)


def _customers(spec: ModelSpec, settings: Settings, version: VersionRef) -> Questions:
    from ml_assets.storage.warehouse import some_customers

    return about_customers(some_customers(settings, ASKED), version.version, spec.serving.k)


def _events(spec: ModelSpec, settings: Settings, version: VersionRef) -> Questions:
    from ml_assets.datasets.labelled_set import newest_events

    trained = spec_of(version, spec)
    asked = newest_events(trained, settings, version.keys or join_keys_of(trained), ASKED, version.bounds)
    return about_events(asked, version.version, says=trained.says)
