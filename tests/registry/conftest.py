"""Published versions with real MLflow runs behind them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.evaluation.result import GateDecision
from ml_assets.registry.mlflow_client import experiment, open_mlflow
from ml_assets.registry.versions import VersionRef, publish_version

Publish = Callable[[str], VersionRef]


@pytest.fixture
def settings(tracked: Settings) -> Settings:
    return tracked


@pytest.fixture(scope="session")
def spec() -> ModelSpec:
    return ModelSpec(name="recommender", description="d", spine="s", feature_service="f")


@pytest.fixture
def publish(settings: Settings, spec: ModelSpec) -> Publish:
    """Publish a version with this text as its booster, trained by a run of its own."""
    client = open_mlflow(settings)
    where = experiment(client, settings, spec.name)

    def make(text: str) -> VersionRef:
        run = client.create_run(where)
        data = {"data": {"last_event_day": "2011-12-04"}}
        ref = publish_version(
            settings,
            spec.name,
            text,
            run.info.run_id,
            features=("a", "b"),
            params={},
            training_set="t1",
            metrics={},
            created_from=data,
        )
        client.log_artifacts(run.info.run_id, str(ref.path), "model")
        return ref

    return make


def decision(candidate: str, champion: str | None = None, promote: bool = True) -> GateDecision:
    return GateDecision(
        candidate=candidate,
        champion=champion,
        reference="champion" if champion else "ease",
        promote=promote,
        reason="beats ease: +0.05" if promote else "does not displace ease: +0.00",
        checks=(),
    )


@pytest.fixture(scope="session")
def decide() -> Callable[..., GateDecision]:
    return decision
