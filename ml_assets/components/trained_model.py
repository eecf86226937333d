"""A model from one YAML file: its whole life as assets, from the training set to the running service."""

from typing import Self

import dagster as dg
from pydantic import BaseModel

from ml_assets.components.checked import Checked
from ml_assets.components.model_assets import training_assets
from ml_assets.components.model_scaffolder import ModelScaffolder
from ml_assets.components.monitoring_assets import monitoring_assets
from ml_assets.components.release_assets import release_assets
from ml_assets.components.serving_assets import serving_assets
from ml_assets.components.spine_checks import spine_checks
from ml_assets.config.model_spec import ModelSpec


@dg.scaffold_with(ModelScaffolder)
class TrainedModel(Checked):
    """A model as a YAML file, from its training set to its service and what watches it there.

    Training set, refit, tuning, candidate, evaluation, champion, service, deployment, batch predictions; prediction
    log, predictions, drift, quality, skew, service level. Of a ranking also: retrieval index, release.

    The attributes are those of `ml_assets.config.model_spec.ModelSpec`: an unknown key or a value out of range stops
    the code location from loading, with file, line and key.
    """

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec

    @classmethod
    def attributes(cls) -> type[BaseModel]:
        """What the attributes may be."""
        return ModelSpec

    @classmethod
    def made(cls, attributes: BaseModel, context: dg.ComponentLoadContext) -> Self:
        """The model that they describe."""
        assert isinstance(attributes, ModelSpec)  # noqa: S101  # what `attributes` promises
        return cls(attributes)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The assets and checks of this model."""
        spec = self.spec
        built = [spine_checks(spec), *training_assets(spec), *serving_assets(spec), *monitoring_assets(spec)]
        if spec.ranks:
            built += release_assets(spec)
        checks = [each for each in built if isinstance(each, dg.AssetChecksDefinition)]
        assets = [each for each in built if not isinstance(each, dg.AssetChecksDefinition)]
        return dg.Definitions(assets=assets, asset_checks=checks)
