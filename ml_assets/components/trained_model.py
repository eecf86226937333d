"""A model from one YAML file: its whole life as assets, from the training set to the running service."""

from pathlib import Path
from typing import Self

import dagster as dg
from pydantic import BaseModel

from ml_assets.components.model_assets import training_assets
from ml_assets.components.monitoring_assets import monitoring_assets
from ml_assets.components.release_assets import release_assets
from ml_assets.components.serving_assets import serving_assets
from ml_assets.learning.spec import ModelSpec
from ml_assets.learning.spec_checks import check_spec


class TrainedModel(dg.Component):
    """A model as a YAML file, from its training set to its service and what watches it there.

    Training set, refit, tuning, candidate, evaluation, champion, service, deployment, batch predictions; prediction
    log, predictions, drift, quality, skew, service level. Of a ranking also: retrieval index, release.

    The attributes are those of `ml_assets.learning.spec.ModelSpec`: an unknown key or a value out of range stops the
    code location from loading, with file, line and key.
    """

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """The schema of the YAML's `attributes`."""
        return ModelSpec

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """Take the attributes Dagster has validated."""
        assert isinstance(attributes, ModelSpec)  # noqa: S101  # what get_model_cls promises
        return cls(attributes)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The assets and checks of this model."""
        spec = self.spec
        check_spec(spec, Path(context.path) / "defs.yaml")
        built = [*training_assets(spec), *serving_assets(spec), *monitoring_assets(spec)]
        if spec.ranks:
            built += release_assets(spec)
        checks = [each for each in built if isinstance(each, dg.AssetChecksDefinition)]
        assets = [each for each in built if not isinstance(each, dg.AssetChecksDefinition)]
        return dg.Definitions(assets=assets, asset_checks=checks)
