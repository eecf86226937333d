"""What is checked of a training set before anything is learned from it."""

from pathlib import Path
from typing import Any

import dagster as dg

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import load_settings


def label_checks(spec: ModelSpec, training_set: dg.AssetsDefinition) -> list[dg.AssetChecksDefinition]:
    """The labels differ in every part, and no feature gives them away."""

    @dg.asset_check(asset=training_set, name="labels_differ", blocking=True)
    def labels_differ(training_set: dict[str, Any]) -> dg.AssetCheckResult:
        """Every part has events, and not all of them the same label."""
        from ml_assets.datasets.leakage import label_problems
        from ml_assets.datasets.training_set import DatasetRef

        problems = label_problems(spec, DatasetRef(Path(training_set["path"])))
        return dg.AssetCheckResult(
            passed=not problems, description="; ".join(problems) or "labels differ in every part"
        )

    return [labels_differ, leak_check(spec, training_set)]


def leak_check(spec: ModelSpec, training_set: dg.AssetsDefinition) -> dg.AssetChecksDefinition:
    """No feature gives the labels away."""

    @dg.asset_check(asset=training_set, name="no_leak", blocking=True)
    def no_leak(training_set: dict[str, Any]) -> dg.AssetCheckResult:
        """No feature alone predicts the label, and of events none is first known at their very moment."""
        from ml_assets.datasets.leakage import find_leaks
        from ml_assets.datasets.training_set import DatasetRef

        leaks = find_leaks(spec, DatasetRef(Path(training_set["path"])), load_settings())
        said = "; ".join(leak.text for leak in leaks)
        return dg.AssetCheckResult(passed=not leaks, description=said or "no feature gives the label away")

    return no_leak
