"""What a table's `source:` may say: a SQL table or query, objects in a store, or a Kafka topic.

Secrets are never in the YAML: `${NAME}` stands for an environment variable, and where a secret is expected nothing
else is accepted.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from ml_assets.config.day_address import PLACE, check_days, has_day
from ml_assets.config.yaml_file import Strict

REFERENCE = r"^\$\{[A-Za-z_][A-Za-z0-9_]*\}$"
SECRET = re.compile(r"password|passwd|secret|token|credential|(^|[._])key$|private", re.IGNORECASE)
LOOK = timedelta(seconds=5)
"""Longest silence of a broker that a sensor's look waits through."""
LONGEST = 1e12
"""Seconds that a timedelta can hold, and nobody means."""
UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}


def _duration(value: Any) -> Any:
    """`15 minutes` as a timedelta; anything else is left to pydantic."""
    found = (
        re.fullmatch(r"(\d+(?:\.\d+)?) (second|minute|hour|day)s?", value.strip()) if isinstance(value, str) else None
    )
    return value if found is None else timedelta(seconds=min(float(found[1]) * UNITS[found[2]], LONGEST))


Duration = Annotated[timedelta, BeforeValidator(_duration), Field(ge=timedelta(0), le=timedelta(days=3650))]


class LandedSource(Strict, ABC):
    """What every kind of source has."""

    attempts: int = Field(default=6, ge=1, le=1000, description="tries of one piece before the run fails")
    longest_pause: Duration = Field(default=timedelta(seconds=30), description="upper bound of the pause between tries")
    every: Duration = Field(default=timedelta(minutes=15), description="least pause between two landings by the sensor")
    settles: Duration = Field(
        default=timedelta(minutes=15), description="a day counts as complete this long after its end (UTC)"
    )

    @property
    def by_day(self) -> bool:
        """Whether a day is complete when its files are there, rather than when it is over."""
        return False

    @property
    @abstractmethod
    def named(self) -> str:
        """What it is, for people."""

    def hurried(self) -> Self:
        """The same source for a look that must not take long."""
        return self


class SqlSource(LandedSource):
    """Rows of a table or query of any database SQLAlchemy speaks to, by a column that only grows."""

    kind: Literal["sql"] = Field(description="names this kind of source")
    address: str = Field(pattern=REFERENCE, description="`${NAME}`: the variable that holds the SQLAlchemy address")
    table: str | None = Field(default=None, description="`table` or `schema.table`")
    query: str | None = Field(default=None, description="a select statement, instead of a table")
    cursor: str = Field(description="column that grows with every new row: a sequence or the time of the change")
    key: tuple[str, ...] = Field(default=(), description="columns that tell rows with the same cursor value apart")
    overlap: Annotated[int, Field(ge=0, strict=True)] | Duration = Field(
        description="how far below the newest cursor value a row may still be committed: a number, or `15 minutes`"
    )
    day: str | None = Field(default=None, description="column with the row's day (a time in UTC); default: the cursor")
    piece_rows: int = Field(default=200_000, ge=1, le=10**9, description="rows landed in one step")

    @model_validator(mode="after")
    def _one_relation(self) -> Self:
        if (self.table is None) == (self.query is None):
            raise ValueError("a source of kind sql has either a `table:` or a `query:`")
        return self

    @property
    def named(self) -> str:
        """The table, or that it is a query."""
        return f"table {self.table} of {self.address}" if self.table else f"a query on {self.address}"

    @property
    def identity(self) -> tuple[str, ...]:
        """The columns that make a row the same row: the cursor and the key, in the order they are read in."""
        return (self.cursor, *(name for name in self.key if name != self.cursor))


class FilesSource(LandedSource):
    """Objects of a store that fsspec speaks to: `s3://`, `gs://`, `abfs://`, `sftp://`, `file://`."""

    kind: Literal["files"] = Field(description="names this kind of source")
    address: str = Field(
        pattern=r"^[a-z0-9]+://",
        description="glob; `{day}` (YYYY-MM-DD, or as `{day:%Y%m%d}` says), otherwise an object's day is its time",
    )
    options: dict[str, Any] = Field(default_factory=dict, description="fsspec options; texts may be `${NAME}`")
    piece_objects: int = Field(default=64, ge=1, le=10**6, description="objects landed in one step")

    @model_validator(mode="after")
    def _no_secrets(self) -> Self:
        refuse_secrets("options", self.options)
        check_days(self.address)
        if len(PLACE.findall(self.address)) > 1:
            raise ValueError("address: `{day}` may stand there once")
        return self

    @property
    def named(self) -> str:
        """The address."""
        return self.address

    @property
    def by_day(self) -> bool:
        """Whether the address says the day."""
        return has_day(self.address)


class KafkaSource(LandedSource):
    """Messages of a topic, every partition from its first message on."""

    kind: Literal["kafka"] = Field(description="names this kind of source")
    bootstrap: str = Field(description="host:port,... or `${NAME}`")
    topic: str = Field(description="name of the topic")
    format: Literal["json", "text"] = Field(
        default="json", description="json: the keys of each message are raw columns"
    )
    day: str | None = Field(default=None, description="key with the row's day; default: the message's timestamp")
    gaps: Literal["refuse", "accept"] = Field(
        default="refuse", description="what to do when the broker deleted messages before they were landed"
    )
    config: dict[str, str | int | float | bool] = Field(
        default_factory=dict, description="librdkafka settings (security.protocol, sasl.*); texts may be `${NAME}`"
    )
    patience: Duration = Field(default=timedelta(seconds=30), description="silence after which a broker counts as gone")
    piece_rows: int = Field(default=100_000, ge=1, le=10**9, description="messages landed in one step")

    @model_validator(mode="after")
    def _reads_by_itself(self) -> Self:
        refuse_secrets("config", self.config)
        if self.day is not None and self.format == "text":
            raise ValueError("day: a message of format text has no keys; its day is the message's timestamp")
        return self

    @property
    def named(self) -> str:
        """The topic."""
        return f"topic {self.topic} of {self.bootstrap}"

    def hurried(self) -> Self:
        """With little patience."""
        return self.model_copy(update={"patience": min(self.patience, LOOK)})


Source = Annotated[SqlSource | FilesSource | KafkaSource, Field(discriminator="kind")]


def refuse_secrets(where: str, values: Mapping[str, Any]) -> None:
    """Refuse secrets that are written down instead of referred to.

    Raises:
        ValueError: naming the key, below `where`.
    """
    for name, value in values.items():
        if isinstance(value, dict):
            refuse_secrets(f"{where}.{name}", value)
        elif SECRET.search(name) and isinstance(value, str) and not re.match(REFERENCE, value):
            raise ValueError(f"{where}.{name}: secrets do not belong here; write ${{NAME}} and set the variable NAME")
