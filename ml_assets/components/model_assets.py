"""The assets that make a champion: training set, tuning, candidate, evaluation, gate."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from ml_assets.components.days import ONE_RUN
from ml_assets.components.label_checks import label_checks, leak_check
from ml_assets.components.pictures import picture
from ml_assets.components.tags import MODEL, SOURCE
from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import load_settings

FEATURES = dg.AssetKey(["feast", "definitions"])
HISTORY = ("int_sessions", "stg_products", "mart_products", "mart_daily_counts")
"""What retrieval reads: every interaction, and which products can be sold."""


class Fresh(dg.Config):
    """How a training set is cut."""

    fresh: bool = Field(default=False, description="cut as close to now as the labels allow: `retraining.split`")


class Cause(dg.Config):
    """Why a model is trained again; the sensors and schedules fill it in."""

    cause: str = Field(default="", description="empty: a person asked, so nothing is held back")
    cause_id: str = Field(default="", description="names the cause in the retraining journal")


def model_asset(spec: ModelSpec, **options: Any) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """`@dg.asset` for an asset of this model: key prefix, group, owner and tags are the model's."""
    decorate: Callable[[Callable[..., Any]], dg.AssetsDefinition] = dg.asset(
        key_prefix=spec.name, group_name=spec.name, owners=[spec.owner], backfill_policy=ONE_RUN,
        tags={MODEL: spec.name, SOURCE: spec.source},
        **options,
    )  # fmt: skip
    return decorate


def told(context: dg.AssetExecutionContext) -> Callable[[str, int, int], None]:
    """A progress callback that writes "what (3 of 8)" to the run's log."""

    def tell(what: str, done: int, of: int) -> None:
        context.log.info(f"{what} ({done} of {of})")

    return tell


def training_assets(spec: ModelSpec) -> list[dg.AssetsDefinition | dg.AssetChecksDefinition]:
    """Training set, refit, tuning, candidate, evaluation and champion of one model, with their checks."""
    return [*_data_assets(spec), _refit(spec), *_fit_assets(spec), *_gate_assets(spec)]


def upstream_of(spec: ModelSpec) -> tuple[str, ...]:
    """The dbt models a training set is made from: the spine, and what candidates or features come from."""
    from feature_repo.declared import SHOP_SERVICES, file_of

    service = spec.feature_service
    tables = () if service in SHOP_SERVICES else file_of(service).tables(service)
    return (spec.spine, *tables, *(HISTORY if spec.ranks else ()))


def _data_assets(spec: ModelSpec) -> list[dg.AssetsDefinition | dg.AssetChecksDefinition]:
    what = "Candidates and features" if spec.ranks else "Labelled events and features"

    @model_asset(
        spec, deps=[*upstream_of(spec), FEATURES], kinds={"duckdb", "feast"}, pool="warehouse",
        description=f"{what} as of each decision time, with labels, split by one global time cut.",
    )  # fmt: skip
    def training_set(context: dg.AssetExecutionContext, config: Fresh) -> dg.MaterializeResult[Any]:
        from feature_repo.store import open_store
        from ml_assets.datasets.build import build_training_set

        settings = load_settings()
        split = spec.retraining.split if config.fresh else None
        dataset = build_training_set(spec, settings, open_store(settings), split=split, progress=told(context))
        counts = {part.value: count.model_dump() for part, count in dataset.manifest.counts.items()}
        return dg.MaterializeResult(
            value={"path": str(dataset.path)},
            data_version=dg.DataVersion(dataset.fingerprint),
            metadata={
                "dagster/row_count": sum(count["rows"] for count in counts.values()),
                "parts": dg.MetadataValue.json(counts),
                "features": len(dataset.manifest.features),
                "path": dg.MetadataValue.path(dataset.path),
            },
        )

    @dg.asset_check(asset=training_set, blocking=True)
    def truth_within_reach(training_set: dict[str, Any]) -> dg.AssetCheckResult:
        """Every part has groups, and retrieval reaches at least a tenth of what was bought."""
        from ml_assets.datasets.training_set import DatasetRef

        counts = DatasetRef(Path(training_set["path"])).manifest.counts
        ceilings = {part.value: count.ceiling for part, count in counts.items() if count.relevant}
        passed = (
            all(count.groups for count in counts.values() if count.decisions)
            and min(ceilings.values(), default=0) >= 0.1
        )
        said = (
            ", ".join(f"{part} {ceiling:.2f}" for part, ceiling in ceilings.items()) or "nothing was bought in any part"
        )
        return dg.AssetCheckResult(passed=passed, description=f"share of the truth among the candidates: {said}")

    if spec.ranks:
        return [training_set, truth_within_reach, leak_check(spec, training_set)]
    return [training_set, *label_checks(spec, training_set)]


def _refit(spec: ModelSpec) -> dg.AssetsDefinition:
    helps = dg.AssetCheckSpec(
        "helps", asset=dg.AssetKey([spec.name, "refit"]),
        description="Training again helps, so that it was gone on with; a warning only: the champion goes on serving.",
    )  # fmt: skip

    @model_asset(spec, kinds={"lightgbm"}, output_required=False, check_specs=[helps])
    def refit(
        context: dg.AssetExecutionContext, config: Cause, training_set: dict[str, Any]
    ) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
        """Whether training again would help: the champion's own parameters refitted, before tuning is paid for."""
        from ml_assets.datasets.training_set import DatasetRef
        from ml_assets.journals import damages
        from ml_assets.release import standing_champion
        from ml_assets.retraining.attempt import attempt

        settings, dataset = load_settings(), DatasetRef(Path(training_set["path"]))
        for text in damages(settings, spec.name):
            context.log.warning(text)
        beaten = standing_champion(settings, spec)
        tried = attempt(spec, settings, dataset, beaten, cause=config.cause, cause_id=config.cause_id)
        context.log.info(tried.reason)
        yield dg.AssetCheckResult(
            check_name=helps.name, passed=tried.go_on, severity=dg.AssetCheckSeverity.WARN,
            description=tried.reason if tried.go_on else f"not trained again: {tried.reason}",
        )  # fmt: skip
        if tried.go_on:  # otherwise nothing downstream runs, and the journal says why
            said = {"reason": tried.reason}
            yield dg.MaterializeResult(value=said, metadata={**said, **tried.figures})

    return refit


def _fit_assets(spec: ModelSpec) -> list[dg.AssetsDefinition]:
    @model_asset(spec, kinds={"optuna", "lightgbm"})
    def tuning(
        context: dg.AssetExecutionContext, training_set: dict[str, Any], refit: dict[str, Any]
    ) -> dg.MaterializeResult[Any]:
        """The best hyperparameters of a pruned, resumable search on the validation decisions."""
        from ml_assets.datasets.training_set import DatasetRef
        from ml_assets.training.tune import tune
        from ml_assets.training.validation import metric_name

        found = tune(spec, load_settings(), DatasetRef(Path(training_set["path"])), progress=told(context))
        metadata: dict[str, Any] = {
            metric_name(spec): found.value or 0.0,
            "trials_complete": found.complete,
            "trials_pruned": found.pruned,
            "params": dg.MetadataValue.json(dict(found.params)),
        }
        return dg.MaterializeResult(value=dict(found.params), metadata=metadata)

    @model_asset(spec, kinds={"lightgbm", "mlflow"})
    def candidate(training_set: dict[str, Any], tuning: dict[str, Any]) -> dg.MaterializeResult[Any]:
        """A trained, published model version, not yet judged; its run is in MLflow."""
        from ml_assets.datasets.training_set import DatasetRef
        from ml_assets.training.train import train_once
        from ml_assets.training.validation import metric_name

        trained = train_once(spec, load_settings(), DatasetRef(Path(training_set["path"])), tuning)
        plots = {path.stem: picture(path.read_bytes()) for path in sorted(trained.plots.glob("*.png"))}
        return dg.MaterializeResult(
            value={"version": trained.version.version, "path": str(trained.version.path)},
            data_version=dg.DataVersion(trained.version.version),
            metadata={
                "version": trained.version.version,
                "mlflow_run": trained.run_id,
                "rounds": trained.rounds,
                metric_name(spec): trained.value,
                **plots,
            },
        )

    return [tuning, candidate]


def _gate_assets(spec: ModelSpec) -> list[dg.AssetsDefinition | dg.AssetChecksDefinition]:
    @model_asset(spec, kinds={"lightgbm", "evidently"})
    def evaluation(training_set: dict[str, Any], candidate: dict[str, Any]) -> dg.MaterializeResult[Any]:
        """The candidate next to the champion and every baseline, by slice, with intervals."""
        from ml_assets.datasets.training_set import DatasetRef
        from ml_assets.evaluation.evaluate import EVIDENTLY, REPORT, evaluate, evaluation_folder
        from ml_assets.evaluation.summary import markdown
        from ml_assets.registry.versions import load_version
        from ml_assets.release import standing_champion

        settings, version = load_settings(), load_version(Path(candidate["path"]))
        dataset = DatasetRef(Path(training_set["path"]))
        result = evaluate(spec, settings, dataset, version, standing_champion(settings, spec))
        folder = evaluation_folder(settings, spec.name, version.version)
        return dg.MaterializeResult(
            value={"version": version.version, "path": str(folder)},
            metadata={
                "report": dg.MetadataValue.url((folder / REPORT).as_uri()),
                "evidently": dg.MetadataValue.url((folder / EVIDENTLY).as_uri()),
                "metrics": dg.MetadataValue.md(markdown(result)),
            },
        )

    @model_asset(spec, kinds={"mlflow"}, output_required=False)
    def champion(
        context: dg.AssetExecutionContext, candidate: dict[str, Any], evaluation: dict[str, Any]
    ) -> Iterator[dg.MaterializeResult[Any]]:
        """The version that should serve: the candidate if the gate lets it through, else the champion before it."""
        from ml_assets.evaluation.apply_gate import pass_gate
        from ml_assets.release import taken_back

        settings, refused = load_settings(), taken_back(load_settings(), spec.name, candidate["version"])
        passed = pass_gate(spec, settings, Path(candidate["path"]), Path(evaluation["path"]), refused=refused)
        context.log.info(passed.decision.reason)
        if passed.champion is None:
            return  # nothing beat the baselines yet: there is nothing to serve, and downstream stays as it is
        yield dg.MaterializeResult(
            value={"version": passed.champion.version, "path": str(passed.champion.path)},
            data_version=dg.DataVersion(passed.champion.version),
            metadata={
                "version": passed.champion.version,
                "promoted": passed.decision.promote,
                "reason": passed.decision.reason,
                "checks": dg.MetadataValue.json([check.model_dump() for check in passed.decision.checks]),
            },
        )

    @dg.asset_check(asset=evaluation)
    def beats_reference(evaluation: dict[str, Any]) -> dg.AssetCheckResult:
        """The candidate passes the champion gate, or is the champion already (warning only: the old one stays)."""
        from ml_assets.evaluation.evaluate import RESULT
        from ml_assets.evaluation.gate import decision_of
        from ml_assets.evaluation.result import read_result

        result = read_result(Path(evaluation["path"]) / RESULT)
        decision = decision_of(result, spec.gate)
        kept = result.champion is not None
        whole = result.lacking is None  # else who was beaten is not who served
        return dg.AssetCheckResult(
            passed=(decision.promote and whole) or result.already_champion,
            severity=dg.AssetCheckSeverity.WARN if kept else dg.AssetCheckSeverity.ERROR,
            description=decision.reason,
        )

    return [evaluation, champion, beats_reference]
