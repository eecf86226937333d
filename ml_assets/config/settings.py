"""Where this deployment keeps its things: the only reader of the environment.

Everything lives under one home folder. Each address has an embedded default (files, sqlite) and a
grown-up twin behind the same variable (Postgres for MLflow, the Feast registry, ...).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from ml_assets.config.keep import Keep
from ml_assets.config.setting_types import KEY_LENGTH, ApiKey, Origins, PageNames, as_variable, is_secret
from ml_assets.config.store_address import StoreAddress, split_password
from ml_assets.config.yaml_file import ConfigError, nearest

PROJECT = Path(__file__).resolve().parent.parent.parent

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


OWN = 0o077
"""What new files and folders do not allow (umask): anything to anybody else. They hold personal data."""


def in_url(host: str) -> str:
    """A host as an address has it: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


class Settings(BaseModel):
    """Typed settings of one deployment: paths and addresses, never data."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)  # an address may have a password in it

    home: Path = Field(description="folder that holds everything this project writes")
    shop: str = Field(description="name of the shop: `shops/<name>.yaml`", pattern=r"^[a-z][a-z0-9_]*$")
    data: str | None = Field(default=None, description="overrides the address of the shop's event file or folder")
    host: str = Field(default="127.0.0.1", description="address the model server binds to, and nothing else does")
    port: int = Field(default=3300, ge=1, le=65535, description="port of the model server")
    api_key: ApiKey | None = Field(
        default=None, description=f"key that the model server asks for; at least {KEY_LENGTH} characters"
    )
    origins: Origins = Field(
        default=(), description="web pages that may ask the model server, comma between: `https://shop.example.com`"
    )
    stream_host: str = Field(default="127.0.0.1", description="address the stream's metrics and readiness bind to")
    stream_port: int = Field(default=3301, ge=1, le=65535, description="port of the stream's metrics and readiness")
    ui_host: str = Field(default="127.0.0.1", description="address Dagster's pages bind to")
    ui_port: int = Field(default=3000, ge=1, le=65535, description="port of Dagster's pages")
    mlflow_host: str = Field(default="127.0.0.1", description="address MLflow's pages bind to")
    mlflow_port: int = Field(default=5000, ge=1, le=65535, description="port of MLflow's pages")
    pages_names: PageNames = Field(
        default=(), description="`name` or `name:port` of Dagster's and MLflow's pages behind a proxy, comma between"
    )
    pages_anywhere: bool = Field(
        default=False, description="Dagster's and MLflow's pages may bind to any address: who reaches them runs code"
    )
    mlflow_address: str | None = Field(default=None, description="MLflow tracking address; default sqlite")
    registry_address: str | None = Field(default=None, description="Feast SQL registry address; default sqlite")
    online_store_address: StoreAddress | None = Field(
        default=None, description="online store (ML_ASSETS_ONLINE_STORE): a sqlite file or redis://host:port/db"
    )
    redis_password: SecretStr | None = Field(default=None, description="password of the online store's Redis")
    feedback_key: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="secret that signs `feedback_token`, where servers share no files; default a file per model",
    )
    threads: int = Field(default=2, ge=1, le=1024, description="threads for DuckDB and LightGBM; fixed, for equal bits")
    replay: bool = Field(default=False, description="requests may say when they were made (simulations, replays)")
    sensor_seconds: int = Field(default=30, ge=1, le=86_400, description="pause between two looks of each sensor")
    memory: str = Field(
        default="2GB",
        pattern=r"^[0-9]+(\.[0-9]+)? ?([KMGT]i?)?B$",
        description="memory limit of each DuckDB connection, as `2GB` or `512MiB`",
    )
    keep: Keep = Field(default=Keep(), description="days that each kind of data is kept, see below")

    @field_validator("home")
    @classmethod
    def _readable_by_duckdb(cls, home: Path) -> Path:
        """DuckDB takes a folder `name=value` for a column, and a backslash beside a pattern's sign for a folder."""
        if odd := next((part for part in home.parts if "=" in part or "\\" in part), None):
            raise ValueError(f"{home}: the folder {odd!r} has a = or a backslash in its name: choose another home")
        return home

    @property
    def url(self) -> str:
        """Address of the model server."""
        return f"http://{in_url(self.host)}:{self.port}"

    @property
    def ui_url(self) -> str:
        """Address of Dagster's pages."""
        return f"http://{in_url(self.ui_host)}:{self.ui_port}"

    @property
    def mlflow_url(self) -> str:
        """Address of MLflow's pages."""
        return f"http://{in_url(self.mlflow_host)}:{self.mlflow_port}"

    @property
    def key_header(self) -> dict[str, str]:
        """What a client of the model server sends along: the API key, when there is one."""
        return {"authorization": f"Bearer {self.api_key.get_secret_value()}"} if self.api_key else {}

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

    @property
    def exported(self) -> dict[str, str]:
        """What libraries and our own processes read from their environment (dbt, MLflow, BentoML, Feast)."""
        return {
            **{variable: as_variable(getattr(self, name)) for name, variable in VARIABLES.items()},
            "ML_ASSETS_LAKE": str(self.lake),
            "ML_ASSETS_WAREHOUSE": str(self.warehouse),
            "ML_ASSETS_FEAST_REGISTRY": self.feast_registry,
            "ML_ASSETS_FEAST_ONLINE_STORE": str(self.online_store),
            "ML_ASSETS_FEAST_ONLINE_STORE_TYPE": self.online_store_type,
            "ML_ASSETS_EVENT_LOG": str(self.dagster_home / "history"),
            "DAGSTER_EVENT_BATCH_SIZE": "1000",
            "MLFLOW_TRACKING_URI": self.mlflow_uri,
            "BENTOML_HOME": str(self.bentoml_home),
        }

    def export(self) -> None:
        """Put that into this process's environment, with the tools of this one in front of others.

        What this process and those it starts write from now on is for its user alone.
        """
        os.umask(OWN)
        os.environ.update(QUIET)
        tools = str(Path(sys.executable).parent)  # dbt and dagster of this environment, also where it is not activated
        if tools not in os.environ.get("PATH", "").split(os.pathsep):
            os.environ["PATH"] = os.pathsep.join([tools, os.environ.get("PATH", "")])
        os.environ.update(self.exported)


VARIABLES = {name: f"ML_ASSETS_{name.upper()}" for name in Settings.model_fields} | {
    "online_store_address": "ML_ASSETS_ONLINE_STORE"
}
"""The environment variable of each setting."""
SECRETS = frozenset(VARIABLES[name] for name, field in Settings.model_fields.items() if is_secret(field.annotation))
"""Variables that are never printed: the type of the setting says so."""


NOT_OURS = frozenset(("ML_ASSETS_SHARED", "ML_ASSETS_CASES", "ML_ASSETS_SLOW"))
"""Variables that the tests read."""
SHOWN = (
    *("shop", "host", "port", "stream_host", "stream_port", "ui_host", "ui_port", "mlflow_host", "mlflow_port"),
    *("origins", "pages_names", "pages_anywhere", "threads", "replay", "sensor_seconds", "memory"),
)
"""Settings whose wrong value may be repeated: no secret, nor an address that may have one in it."""


def load_settings(env: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from the environment (`ML_ASSETS_*`); unset or empty variables take the default.

    Raises:
        ConfigError: when a variable has a value of the wrong form; it names each.
    """
    env = os.environ if env is None else env
    given = {name: env.get(variable) or None for name, variable in VARIABLES.items()}
    if given["online_store_address"]:
        given["online_store_address"], password = split_password(given["online_store_address"])
        given["redis_password"] = given["redis_password"] or password
    home = Path(given.pop("home") or PROJECT / "var").expanduser().resolve()
    values = {name: value for name, value in given.items() if value is not None}
    try:
        return Settings.model_validate({"home": home, "shop": "simulated", **values})
    except ValidationError as error:
        wrong = {str(each["loc"][0]): each["msg"].removeprefix("Value error, ") for each in error.errors()}
        raise ConfigError("\n".join(_refused(name, values, why) for name, why in wrong.items())) from None


def _refused(name: str, values: Mapping[str, str], why: str) -> str:
    value = f"={values[name]}" if name in SHOWN and name in values else ""
    return f"{VARIABLES[name]}{value}: {why} (docs/reference/settings.md)"


def unknown_variables(env: Mapping[str, str], settings: Settings) -> list[str]:
    """A text for each variable that looks like a setting and is none: it would do nothing."""
    known = {*VARIABLES.values(), *settings.exported, *NOT_OURS}
    odd = sorted(name for name in env if name.startswith("ML_ASSETS_") and name not in known)
    return [f"{name} is no setting and does nothing{nearest(name, VARIABLES.values())}" for name in odd]


def require_shop(settings: Settings) -> None:
    """Refuse a shop that has no file.

    Raises:
        ConfigError: it names the shops there are.
    """
    folder = settings.shop_file.parent
    shops = {path.stem for path in folder.glob("*.yaml")} - {"contract"}
    if settings.shop not in shops:
        raise ConfigError(f"{VARIABLES['shop']}={settings.shop}: there is no such shop{nearest(settings.shop, shops)}")
