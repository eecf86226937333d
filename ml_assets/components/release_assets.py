"""The asset that carries a release on: shadow, canary, promoted or rolled back."""

from typing import Any

import dagster as dg

from ml_assets.components.model_assets import model_asset
from ml_assets.learning.spec import ModelSpec
from ml_assets.settings import load_settings


def release_assets(spec: ModelSpec) -> list[dg.AssetsDefinition | dg.AssetChecksDefinition]:
    """The release of one model, and the check that it did no harm."""

    @model_asset(spec, deps=[dg.AssetKey([spec.name, "deployment"])], kinds={"duckdb", "bentoml"})
    def release(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        """The challenger judged on its own traffic so far, and the step that follows from it."""
        from ml_assets.predictions import collect
        from ml_assets.release import step

        settings = load_settings()
        context.log.info(collect(settings, spec.name).text)
        verdict = step(settings, spec)
        context.log.info(verdict.reason)
        return dg.MaterializeResult(
            value={"action": verdict.action.value, "reason": verdict.reason},
            metadata={"action": verdict.action.value, "reason": verdict.reason, **verdict.figures},
        )

    @dg.asset_check(asset=release)
    def no_harm(release: dict[str, Any]) -> dg.AssetCheckResult:
        """The challenger was not rolled back or stopped."""
        return dg.AssetCheckResult(
            passed=release["action"] not in {"rolled_back", "stopped"},
            severity=dg.AssetCheckSeverity.WARN,
            description=release["reason"],
        )

    return [release, no_harm]
