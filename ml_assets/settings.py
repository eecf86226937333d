"""Where this deployment keeps its things: the only reader of the environment.

Everything lives under one home folder. Each address has an embedded default (files, sqlite) and a
grown-up twin behind the same variable (Postgres for MLflow, the Feast registry, ...).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, SecretStr

PROJECT = Path(__file__).resolve().parent.parent

SHOP = "shop"
"""The source that `ML_ASSETS_SHOP` names; every other one is a file of `sources/`."""

QUIET = {
    "DO_NOT_TRACK": "1",
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "0",
    "BENTOML_DO_NOT_TRACK": "True",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "FEAST_USAGE": "False",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "GIT_PYTHON_REFRESH": "quiet",
    "MPLBACKEND": "Agg",
}
"""Telemetry off, no pickle, no display: exported by `Settings.export`."""


REDIS = ("redis", "rediss")
WRONG_ADDRESS = "the online store is a path or redis://host:port/db"


def store_address(given: object) -> Path | str:
    """The address of an online store: a file's path, or `redis://host:port/db` (`rediss://`: over TLS).

    Raises:
        ValueError: when it is of another form, or has a password in it, which would end up in files and logs.
    """
    if not isinstance(given, Path | str):
        raise ValueError(WRONG_ADDRESS)
    if isinstance(given, Path) or "://" not in given:
        return Path(given).expanduser().resolve()
    parts = urlsplit(given)
    if parts.scheme not in REDIS or not parts.hostname or parts.port == 0:  # asking for the port checks it
        raise ValueError(WRONG_ADDRESS)
    if parts.password:
        raise ValueError("the password belongs into ML_ASSETS_REDIS_PASSWORD")
    return given


def split_password(address: str) -> tuple[str, str | None]:
    """An address without its password, and the password."""
    parts = urlsplit(address)
    if parts.password is None:
        return address, None
    user, _, host = parts.netloc.rpartition("@")
    name = user.partition(":")[0]
    return parts._replace(netloc=f"{name}@{host}" if name else host).geturl(), unquote(parts.password)


StoreAddress = Annotated[Path | str, PlainValidator(store_address)]


class Settings(BaseModel):
    """Typed settings of one deployment: paths and addresses, never data."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)  # an address may have a password in it

    home: Path = Field(description="folder that holds everything this project writes")
    shop: str = Field(description="name of the shop: `shops/<name>.yaml`", pattern=r"^[a-z][a-z0-9_]*$")
    data: str | None = Field(default=None, description="overrides the address of the shop's event file or folder")
    host: str = Field(default="127.0.0.1", description="address every server binds to")
    port: int = Field(default=3300, ge=1, le=65535, description="port of the model server")
    stream_port: int = Field(default=3301, ge=1, le=65535, description="port of the stream's metrics and readiness")
    ui_port: int = Field(default=3000, ge=1, le=65535, description="port of Dagster's pages")
    mlflow_port: int = Field(default=5000, ge=1, le=65535, description="port of MLflow's pages")
    mlflow_address: str | None = Field(default=None, description="MLflow tracking address; default sqlite")
    registry_address: str | None = Field(default=None, description="Feast SQL registry address; default sqlite")
    online_store_address: StoreAddress | None = Field(
        default=None, description="online store (ML_ASSETS_ONLINE_STORE): a sqlite file or redis://host:port/db"
    )
    redis_password: SecretStr | None = Field(default=None, description="password of the online store's Redis")
    threads: int = Field(default=2, ge=1, description="threads for DuckDB and LightGBM; fixed, for equal bits")
    replay: bool = Field(default=False, description="requests may say when they were made (simulations, replays)")
    sensor_seconds: int = Field(default=30, ge=1, description="pause between two looks of each sensor")
    memory: str = Field(default="2GB", description="memory limit of each DuckDB connection")

    @property
    def shop_home(self) -> Path:
        """Folder of everything that belongs to this shop."""
        return self.home / self.shop

    @property
    def shop_file(self) -> Path:
        """The YAML file that describes this shop's sources."""
        return PROJECT / "shops" / f"{self.shop}.yaml"

    @property
    def landing(self) -> Path:
        """Folder where the simulated outside world drops its files."""
        return self.shop_home / "landing"

    @property
    def dagster_home(self) -> Path:
        """The Dagster instance: runs, events, schedules."""
        return self.shop_home / "dagster"

    @property
    def lake(self) -> Path:
        """Folder of published raw tables: `<table>/event_day=YYYY-MM-DD/part.parquet`."""
        return self.shop_home / "lake"

    @property
    def warehouse(self) -> Path:
        """The DuckDB file that dbt writes and features are read from."""
        return self.shop_home / "warehouse.duckdb"

    @property
    def feast_registry(self) -> str:
        """SQLAlchemy address of Feast's SQL registry."""
        return self.registry_address or f"sqlite:///{self.feast_home / 'registry.db'}"

    @property
    def feast_home(self) -> Path:
        """Folder of Feast's own files."""
        return self.shop_home / "feast"

    @property
    def online_store(self) -> Path | str:
        """Address of the online store: its sqlite file, or `redis://host:port/db` without a password."""
        return self.online_store_address or self.feast_home / "online.db"

    @property
    def online_store_type(self) -> str:
        """The class Feast writes the online store with."""
        kind = "sqlite.WideSqlite" if isinstance(self.online_store, Path) else "redis.WideRedis"
        return f"feature_repo.stores.wide_{kind}OnlineStore"

    @property
    def mlflow_uri(self) -> str:
        """MLflow tracking and registry address."""
        return self.mlflow_address or f"sqlite:///{self.shop_home / 'mlflow' / 'mlflow.db'}"

    @property
    def mlflow_artifacts(self) -> Path:
        """Folder of MLflow artifacts."""
        return self.shop_home / "mlflow" / "artifacts"

    @property
    def bentoml_home(self) -> Path:
        """BentoML's store."""
        return self.shop_home / "bentoml"

    def model_home(self, model: str) -> Path:
        """Folder of one model: training sets, versions, journal, pointer, reports, prediction log."""
        return self.shop_home / "models" / model

    def export(self) -> None:
        """Put into this process's environment what libraries read from theirs (dbt, MLflow, BentoML, Feast)."""
        os.environ.update(QUIET)
        tools = str(Path(sys.executable).parent)  # dbt and dagster of this environment, also where it is not activated
        if tools not in os.environ.get("PATH", "").split(os.pathsep):
            os.environ["PATH"] = os.pathsep.join([tools, os.environ.get("PATH", "")])
        os.environ.update(
            {
                "ML_ASSETS_HOME": str(self.home),
                "ML_ASSETS_SHOP": self.shop,
                "ML_ASSETS_HOST": self.host,
                "ML_ASSETS_PORT": str(self.port),
                "ML_ASSETS_STREAM_PORT": str(self.stream_port),
                "ML_ASSETS_LAKE": str(self.lake),
                "ML_ASSETS_WAREHOUSE": str(self.warehouse),
                "ML_ASSETS_THREADS": str(self.threads),
                "ML_ASSETS_MEMORY": self.memory,
                "ML_ASSETS_REPLAY": str(self.replay).lower(),
                "ML_ASSETS_SENSOR_SECONDS": str(self.sensor_seconds),
                "ML_ASSETS_FEAST_REGISTRY": self.feast_registry,
                "ML_ASSETS_ONLINE_STORE": str(self.online_store_address or ""),
                "ML_ASSETS_FEAST_ONLINE_STORE": str(self.online_store),
                "ML_ASSETS_FEAST_ONLINE_STORE_TYPE": self.online_store_type,
                "ML_ASSETS_REDIS_PASSWORD": self.redis_password.get_secret_value() if self.redis_password else "",
                "ML_ASSETS_EVENT_LOG": str(self.dagster_home / "history"),
                "DAGSTER_EVENT_BATCH_SIZE": "1000",
                "MLFLOW_TRACKING_URI": self.mlflow_uri,
                "BENTOML_HOME": str(self.bentoml_home),
            }
        )


VARIABLES = {name: f"ML_ASSETS_{name.upper()}" for name in Settings.model_fields} | {
    "online_store_address": "ML_ASSETS_ONLINE_STORE"
}
"""The environment variable of each setting."""


def load_settings(env: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from the environment (`ML_ASSETS_*`); unset or empty variables take the default.

    Raises:
        pydantic.ValidationError: when a variable has a value of the wrong form; it names the field.
    """
    env = os.environ if env is None else env
    given = {name: env.get(variable) or None for name, variable in VARIABLES.items()}
    if given["online_store_address"]:
        given["online_store_address"], password = split_password(given["online_store_address"])
        given["redis_password"] = given["redis_password"] or password
    home = Path(given.pop("home") or PROJECT / "var").expanduser().resolve()
    values = {name: value for name, value in given.items() if value is not None}
    return Settings.model_validate({"home": home, "shop": "simulated", **values})
