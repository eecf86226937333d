"""What a process that answers requests finds in its environment: nothing that it has no use for."""

import json
import subprocess

import httpx
import psutil
import pytest
from pydantic import SecretStr
from served_shop import SPEC

from ml_assets.config.settings import Settings, load_settings
from ml_assets.config.streaming_config import StreamingSpec
from serving.config import ServiceConfig
from serving.deploy import build
from serving.deploy.environment import plain_environment, serving_environment
from serving.deploy.process import start, stop
from serving.stream.process import stream_environment

SECRETS = {
    "SHOP_DB": "postgresql://reader:s3cret@db/shop",
    "AWS_SECRET_ACCESS_KEY": "s3cret",
    "ML_ASSETS_MLFLOW_ADDRESS": "postgresql://mlflow:s3cret@db/mlflow",
    "ML_ASSETS_REGISTRY_ADDRESS": "postgresql://feast:s3cret@db/feast",
    "ML_ASSETS_REDIS_PASSWORD": "s3cret",
    "MLFLOW_TRACKING_URI": "postgresql://mlflow:s3cret@db/mlflow",
    "ML_ASSETS_FEAST_REGISTRY": "postgresql://feast:s3cret@db/feast",
}


@pytest.fixture
def secrets(monkeypatch):
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LC_TIME", "C.UTF-8")


@pytest.mark.usefixtures("secrets")
def test_no_process_of_a_running_server_has_a_secret_in_its_environment(shop):
    everything = {"mlflow_address": SECRETS["ML_ASSETS_MLFLOW_ADDRESS"], "redis_password": SecretStr("s3cret")}
    settings = shop.settings.model_copy(update=everything)
    bento = shop.build(shop.version(1))
    try:
        handle = start(settings, bento, timeout=90)
        assert httpx.post(f"{handle.url}/recommend", json={"customer": "u1"}, trust_env=False).status_code == 200
        supervisor = psutil.Process(handle.pid)
        family = [supervisor, *supervisor.children(recursive=True)]
        environments = [process.environ() for process in family]
        arguments = [process.cmdline() for process in family]
    finally:
        stop(settings, SPEC.name)
    assert len(environments) == 2, "a supervisor and a worker"
    assert "s3cret" not in json.dumps([environments, arguments])
    for environment in environments:
        assert not SECRETS.keys() & environment.keys()
        assert (environment["LC_TIME"], environment["OMP_NUM_THREADS"]) == ("C.UTF-8", "1")
        assert environment["ML_ASSETS_HOME"] == str(settings.home)


@pytest.mark.usefixtures("secrets")
def test_what_builds_a_bento_has_no_secret_either(shop, monkeypatch):
    given, run = [], subprocess.run
    monkeypatch.setattr(build.subprocess, "run", lambda *what, **how: given.append(how["env"]) or run(*what, **how))
    shop.build(shop.version(2))
    (environment,) = given
    assert "s3cret" not in json.dumps(environment)


def test_the_settings_of_a_server_are_those_that_serving_reads(tmp_path):
    settings = Settings(
        home=tmp_path, shop="simulated", port=3399, replay=True, online_store_address="rediss://feast@db:6380/2",
        redis_password=SecretStr("for Redis"), mlflow_address="http://mlflow",
    )  # fmt: skip
    again = load_settings(serving_environment(settings))
    assert again == settings.model_copy(update={"mlflow_address": None})


def test_a_password_without_a_redis_goes_nowhere(tmp_path):
    settings = Settings(home=tmp_path, shop="simulated", redis_password=SecretStr("for nobody"))
    assert "for nobody" not in serving_environment(settings).values()


@pytest.mark.usefixtures("secrets")
def test_a_stream_gets_the_variables_that_its_topic_names_and_no_others(tmp_path, monkeypatch):
    config = {"sasl.username": "${KAFKA_USER}", "sasl.password": "${KAFKA_PASSWORD}"}
    topics = {"requests": "r", "answers": "a", "dead_letters": "d", "group": "g"}
    spec = StreamingSpec(bootstrap="${KAFKA}:${KAFKA_PORT}", config=config, **topics)
    (tmp_path / "baked").mkdir()
    (tmp_path / "baked" / "service.json").write_text(ServiceConfig(streaming=spec).model_dump_json())
    named = {"KAFKA": "broker", "KAFKA_USER": "me", "KAFKA_PASSWORD": "of Kafka"}
    for name, value in {**named, "KAFKA_ADMIN_PASSWORD": "s3cret"}.items():
        monkeypatch.setenv(name, value)
    environment = stream_environment(Settings(home=tmp_path, shop="simulated", stream_port=3398), tmp_path)
    assert named.items() <= environment.items()
    assert environment["ML_ASSETS_STREAM_PORT"] == "3398"
    assert "s3cret" not in json.dumps(environment)
    assert "KAFKA_PORT" not in environment, "what is not set is missed by the stream, which says so"


@pytest.mark.parametrize("name", ["BENTO_CLOUD_API_KEY", "PGPASSWORD", "PYTHON_KEYRING_SECRET", "HTTPS_PROXY", "PATHS"])
def test_what_is_not_named_is_not_passed(monkeypatch, name):
    monkeypatch.setenv(name, "s3cret")
    assert name not in plain_environment()
