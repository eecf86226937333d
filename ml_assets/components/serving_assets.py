"""The assets that put a champion to work: retrieval index, Bento, deployment, batch predictions."""

from datetime import date, datetime
from pathlib import Path
from typing import Any

import dagster as dg

from ml_assets.components.days import shop_days
from ml_assets.components.model_assets import FEATURES, HISTORY, model_asset, told, upstream_of
from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import SHOP, Settings, load_settings

ONLINE = dg.AssetKey(["feast", "online_store"])


def serving_assets(spec: ModelSpec) -> list[dg.AssetsDefinition | dg.AssetChecksDefinition]:
    """Service and deployment of one model with checks, and batch predictions; of a ranking also the retrieval index."""
    if not spec.ranks:
        return _event_service(spec)
    return [_retrieval_index(spec), *_service_assets(spec), _batch_predictions(spec)]


def _retrieval_index(spec: ModelSpec) -> dg.AssetsDefinition:
    @model_asset(spec, deps=[*HISTORY], kinds={"scipy"}, pool="warehouse")
    def retrieval_index() -> dg.MaterializeResult[Any]:
        """Candidate generation as of now: histories, co-purchases, co-visits, popularity and launches."""
        from ml_assets.retrieval.publish import publish_index

        published = publish_index(spec, load_settings())
        return dg.MaterializeResult(
            value={"path": str(published.path), "as_of": published.as_of.isoformat()},
            data_version=dg.DataVersion(published.path.name),
            metadata={"products": published.products, "customers": published.customers},
        )

    return retrieval_index


def _service_assets(spec: ModelSpec) -> list[dg.AssetsDefinition | dg.AssetChecksDefinition]:
    @model_asset(spec, kinds={"bentoml"})
    def service(champion: dict[str, Any], retrieval_index: dict[str, Any]) -> dg.MaterializeResult[Any]:
        """A Bento: the service's code with the champion and its index built in as the last good version."""
        from ml_assets.retrieval.publish import verified_index

        as_of, index = datetime.fromisoformat(retrieval_index["as_of"]), verified_index(Path(retrieval_index["path"]))
        return _built(spec, champion, as_of, index)

    @model_asset(spec, deps=[ONLINE], kinds={"bentoml", "http"})
    def deployment(
        service: dict[str, Any], champion: dict[str, Any], retrieval_index: dict[str, Any]
    ) -> dg.MaterializeResult[Any]:
        """The model server: with the first champion at once, with a later one through shadow and canary."""
        from ml_assets.retrieval.publish import verified_index

        as_of, index = datetime.fromisoformat(retrieval_index["as_of"]), verified_index(Path(retrieval_index["path"]))
        return _rolled_out(spec, service, champion, as_of, index)

    return [service, deployment, *_deployment_checks(deployment, spec)]


def _event_service(spec: ModelSpec) -> list[dg.AssetsDefinition | dg.AssetChecksDefinition]:
    online = dg.AssetKey([spec.source, "online_store"]) if spec.source != SHOP else ONLINE

    @model_asset(spec, deps=[spec.spine], kinds={"bentoml"})
    def service(champion: dict[str, Any]) -> dg.MaterializeResult[Any]:
        """A Bento: the service's code with the champion built in as the last good version."""
        from ml_assets.datasets.calendar import now_of

        return _built(spec, champion, now_of(spec, load_settings()))

    @model_asset(spec, deps=[online], kinds={"bentoml", "http"})
    def deployment(service: dict[str, Any], champion: dict[str, Any]) -> dg.MaterializeResult[Any]:
        """The model server with the champion, on a port of its own."""
        return _rolled_out(spec, service, champion, datetime.fromisoformat(service["as_of"]), None)

    return [service, deployment, *_deployment_checks(deployment, spec), _event_predictions(spec)]


def _event_predictions(spec: ModelSpec) -> dg.AssetsDefinition:
    @model_asset(spec, deps=[*upstream_of(spec), FEATURES], kinds={"lightgbm", "parquet"}, pool="warehouse")
    def batch_predictions(champion: dict[str, Any]) -> dg.MaterializeResult[Any]:
        """The champion's predictions for every event of the spine whose label is still forming."""
        from feature_repo.store import open_store
        from ml_assets.datasets.provenance import spec_of
        from ml_assets.release import choose
        from ml_assets.scoring.scored_events import Scorer
        from ml_assets.scoring.unlabelled import score_unlabelled

        settings = load_settings()
        chosen = choose(settings, spec.name, Path(champion["path"]))
        version = chosen.version
        path, rows = score_unlabelled(Scorer(spec_of(version, spec), settings, open_store(settings), version))
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": rows,
                "version": version.version,
                "path": dg.MetadataValue.path(path),
                **_refused(chosen.refused),
            }
        )

    return batch_predictions


def _built(
    spec: ModelSpec, champion: dict[str, Any], as_of: datetime, index: Path | None = None
) -> dg.MaterializeResult[Any]:
    from ml_assets.release import choose
    from serving.deploy.build import build_bento

    settings = load_settings()
    chosen = choose(settings, spec.name, Path(champion["path"]))
    bento = build_bento(spec, chosen.version.path, settings, index_folder=index, as_of=as_of)
    return dg.MaterializeResult(
        value={**vars(bento), "path": str(bento.path), "as_of": as_of.isoformat()},
        data_version=dg.DataVersion(bento.digest),
        metadata={
            "tag": bento.tag,
            "path": dg.MetadataValue.path(bento.path),
            "built_in": chosen.version.version,
            **_refused(chosen.refused),
        },
    )


def _refused(why: str | None) -> dict[str, str]:
    return {} if why is None else {"refused": why}


def _rolled_out(
    spec: ModelSpec, bento: dict[str, Any], champion: dict[str, Any], as_of: datetime, index: Path | None
) -> dg.MaterializeResult[Any]:
    from ml_assets.journals import damages
    from serving.deploy.build import BentoRef
    from serving.deploy.questions import questions_of
    from serving.deploy.rollout import roll_out
    from serving.http.admission import open_to_all

    settings, version = served_by(spec), Path(champion["path"])
    built = BentoRef(**{name: bento[name] for name in bento if name != "as_of"} | {"path": Path(bento["path"])})
    ask = questions_of(spec, settings)
    rolled = roll_out(settings, spec, built, as_of=as_of, version=version, index=index, ask=ask)
    damaged = damages(settings, spec.name)
    warning = open_to_all(settings.host, settings)
    if warning:
        dg.get_dagster_logger().warning(warning)
    return dg.MaterializeResult(
        value={"url": rolled.url, "version": rolled.version, "refused": rolled.refused},
        metadata={
            "endpoint": dg.MetadataValue.url(f"{rolled.url}{spec.serving.route}"),
            "version": rolled.version,
            "state": rolled.text,
            "restarted": rolled.restarted,
            **_refused(rolled.refused),
            **({"damaged_journals": "\n".join(damaged)} if damaged else {}),
            **({"open to all": warning} if warning else {}),
        },
    )


def _deployment_checks(deployment: dg.AssetsDefinition, spec: ModelSpec) -> list[dg.AssetChecksDefinition]:
    @dg.asset_check(asset=deployment, blocking=True)
    def answers(deployment: dict[str, Any]) -> dg.AssetCheckResult:
        """The running server answers what the warehouse knows, and what nobody knows, with the deployed version."""
        from ml_assets.registry.versions import load_version, versions_home
        from serving.deploy.probe import probe
        from serving.deploy.questions import questions_of

        settings = load_settings()
        version = load_version(versions_home(settings, spec.name) / deployment["version"])
        questions = questions_of(spec, settings)(version)
        found = probe(deployment["url"], spec.serving.route, questions, headers=settings.key_header)
        return dg.AssetCheckResult(passed=found.ok, description=found.text, metadata={"p99_ms": found.p99_ms})

    @dg.asset_check(asset=deployment)
    def champion_allowed(deployment: dict[str, Any]) -> dg.AssetCheckResult:
        """The gate's champion may serve: it was not taken back (warning only: what serves goes on)."""
        refused = deployment.get("refused")
        return dg.AssetCheckResult(
            passed=refused is None,
            severity=dg.AssetCheckSeverity.WARN,
            description=refused or "it serves or is on its way",
        )

    return [answers, champion_allowed]


def served_by(spec: ModelSpec) -> Settings:
    """The settings of the model's server: a port of its own."""
    settings = load_settings()
    return settings.model_copy(update={"port": settings.port + spec.serving.port_offset})


def _batch_predictions(spec: ModelSpec) -> dg.AssetsDefinition:
    @model_asset(
        spec, deps=[ONLINE], kinds={"lightgbm", "parquet"}, pool="warehouse",
        partitions_def=shop_days(load_settings()),
    )  # fmt: skip
    def batch_predictions(context: dg.AssetExecutionContext, champion: dict[str, Any]) -> dg.MaterializeResult[Any]:
        """The champion's recommendations for every active customer, as of the end of the day."""
        from feature_repo.store import open_store
        from ml_assets.datasets.provenance import spec_of
        from ml_assets.release import choose
        from ml_assets.scoring.batch import predict_day

        settings, day = load_settings(), date.fromisoformat(context.partition_key)
        chosen = choose(settings, spec.name, Path(champion["path"]))
        trained, store = spec_of(chosen.version, spec), open_store(settings)
        written = predict_day(trained, settings, store, chosen.version.path, day, progress=told(context))
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": written.rows,
                "customers": written.customers,
                "version": written.version,
                "path": dg.MetadataValue.path(written.path),
                **_refused(chosen.refused),
            }
        )

    return batch_predictions
