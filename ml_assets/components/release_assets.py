"""The asset that carries a release on: shadow, canary, promoted or rolled back."""

from typing import Any

import dagster as dg

from ml_assets.components.daily_checks import Verdict
from ml_assets.components.model_assets import model_asset
from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import load_settings


def release_assets(spec: ModelSpec) -> list[dg.AssetsDefinition | dg.AssetChecksDefinition]:
    """The release of one model, and the check that it did no harm."""

    @model_asset(spec, deps=[dg.AssetKey([spec.name, "deployment"])], kinds={"duckdb", "bentoml"})
    def release(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        """The challenger judged on its own traffic so far, and the step that follows from it."""
        from ml_assets.journals import damages
        from ml_assets.prediction_log import collect
        from ml_assets.release import step

        settings = load_settings()
        context.log.info(collect(settings, spec.name).text)
        for text in damages(settings, spec.name):
            context.log.warning(text)
        verdict = step(settings, spec)
        context.log.info(verdict.reason)
        return dg.MaterializeResult(
            value={"action": verdict.action.value, "reason": verdict.reason},
            metadata={"action": verdict.action.value, "reason": verdict.reason, **verdict.figures},
        )

    @dg.asset_check(asset=release)
    def no_harm(release: dict[str, Any]) -> dg.AssetCheckResult:
        """The challenger was not rolled back or stopped."""
        from ml_assets.release.judge import Action

        action, reason = release["action"], release["reason"]
        harmless = None if action == Action.IDLE else action not in {Action.ROLLED_BACK, Action.STOPPED}
        return dg.AssetCheckResult(**Verdict(harmless, reason).said(dg.AssetCheckSeverity.WARN))

    return [release, no_harm]
