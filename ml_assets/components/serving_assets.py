"""The assets that put a champion to work: retrieval index, Bento, deployment, batch predictions."""

from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from ml_assets.components.days import shop_days
from ml_assets.components.model_assets import FEATURES, HISTORY, model_asset, told, upstream_of
from ml_assets.learning.spec import ModelSpec
from ml_assets.settings import SHOP, Settings, load_settings

if TYPE_CHECKING:
    from serving.build import BentoRef

ONLINE = dg.AssetKey(["feast", "online_store"])
PROBED = 50


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
        from serving.build import build_bento

        as_of = datetime.fromisoformat(retrieval_index["as_of"])
        index = Path(retrieval_index["path"])
        bento = build_bento(spec, Path(champion["path"]), load_settings(), index_folder=index, as_of=as_of)
        return _built(bento)

    @model_asset(spec, deps=[ONLINE], kinds={"bentoml", "http"})
    def deployment(
        service: dict[str, Any], champion: dict[str, Any], retrieval_index: dict[str, Any]
    ) -> dg.MaterializeResult[Any]:
        """The model server: with the first champion at once, with a later one through shadow and canary."""
        as_of, index = datetime.fromisoformat(retrieval_index["as_of"]), Path(retrieval_index["path"])
        return _rolled_out(spec, service, champion, as_of, index)

    @dg.asset_check(asset=deployment, blocking=True)
    def answers(deployment: dict[str, Any]) -> dg.AssetCheckResult:
        """The running server recommends products to a known and to an unknown customer, with the deployed version."""
        from ml_assets.warehouse import some_customers
        from serving.probe import probe

        customers = some_customers(load_settings(), 50)
        found = probe(deployment["url"], spec.serving.route, deployment["version"], customers, k=spec.serving.k)
        return dg.AssetCheckResult(passed=found.ok, description=found.text, metadata={"p99_ms": found.p99_ms})

    return [service, deployment, answers]


def _event_service(spec: ModelSpec) -> list[dg.AssetsDefinition | dg.AssetChecksDefinition]:
    online = dg.AssetKey([spec.source, "online_store"]) if spec.source != SHOP else ONLINE

    @model_asset(spec, deps=[spec.spine], kinds={"bentoml"})
    def service(champion: dict[str, Any]) -> dg.MaterializeResult[Any]:
        """A Bento: the service's code with the champion built in as the last good version."""
        from ml_assets.learning.calendar import now_of
        from serving.build import build_bento

        settings = load_settings()
        moment = now_of(spec, settings)
        bento = build_bento(spec, Path(champion["path"]), settings, index_folder=None, as_of=moment)
        return _built(bento, as_of=moment.isoformat())

    @model_asset(spec, deps=[online], kinds={"bentoml", "http"})
    def deployment(service: dict[str, Any], champion: dict[str, Any]) -> dg.MaterializeResult[Any]:
        """The model server with the champion, on a port of its own."""
        bento = {name: said for name, said in service.items() if name != "as_of"}
        return _rolled_out(spec, bento, champion, datetime.fromisoformat(service["as_of"]), None)

    @dg.asset_check(asset=deployment, blocking=True)
    def answers(deployment: dict[str, Any]) -> dg.AssetCheckResult:
        """The running server predicts the newest events, and one of which nothing is known, with this version."""
        from feature_repo.declared import file_of
        from ml_assets.learning.labelled_set import newest_events
        from serving.probe import probe_events

        keys = file_of(spec.feature_service).keys(spec.feature_service)
        asked = newest_events(spec, load_settings(), keys, PROBED)
        found = probe_events(deployment["url"], spec.serving.route, deployment["version"], asked, says=spec.says)
        return dg.AssetCheckResult(passed=found.ok, description=found.text, metadata={"p99_ms": found.p99_ms})

    return [service, deployment, answers, _event_predictions(spec)]


def _event_predictions(spec: ModelSpec) -> dg.AssetsDefinition:
    @model_asset(spec, deps=[*upstream_of(spec), FEATURES], kinds={"lightgbm", "parquet"}, pool="warehouse")
    def batch_predictions(champion: dict[str, Any]) -> dg.MaterializeResult[Any]:
        """The champion's predictions for every event of the spine whose label is still forming."""
        from feature_repo.store import open_store
        from ml_assets.learning.scored_events import Scorer
        from ml_assets.learning.unlabelled import score_unlabelled
        from ml_assets.registry.versions import load_version

        settings, version = load_settings(), load_version(Path(champion["path"]))
        path, rows = score_unlabelled(Scorer(spec, settings, open_store(settings), version))
        return dg.MaterializeResult(
            metadata={"dagster/row_count": rows, "version": version.version, "path": dg.MetadataValue.path(path)}
        )

    return batch_predictions


def _built(bento: "BentoRef", **beside: str) -> dg.MaterializeResult[Any]:
    return dg.MaterializeResult(
        value={**vars(bento), "path": str(bento.path), **beside},
        data_version=dg.DataVersion(bento.digest),
        metadata={"tag": bento.tag, "path": dg.MetadataValue.path(bento.path)},
    )


def _rolled_out(
    spec: ModelSpec, bento: dict[str, Any], champion: dict[str, Any], as_of: datetime, index: Path | None
) -> dg.MaterializeResult[Any]:
    from serving.build import BentoRef
    from serving.rollout import roll_out

    built = BentoRef(**{**bento, "path": Path(bento["path"])})
    rolled = roll_out(served_by(spec), spec, built, as_of=as_of, version=Path(champion["path"]), index=index)
    return dg.MaterializeResult(
        value={"url": rolled.url, "version": rolled.version},
        metadata={
            "endpoint": dg.MetadataValue.url(f"{rolled.url}{spec.serving.route}"),
            "version": rolled.version,
            **({"release": rolled.text} if spec.ranks else {}),
            "restarted": rolled.restarted,
        },
    )


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
        from ml_assets.learning.batch import predict_day

        settings, day = load_settings(), date.fromisoformat(context.partition_key)
        written = predict_day(spec, settings, open_store(settings), Path(champion["path"]), day, progress=told(context))
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": written.rows,
                "customers": written.customers,
                "version": written.version,
                "path": dg.MetadataValue.path(written.path),
            }
        )

    return batch_predictions
