"""The typed description of a shop's sources: everything a `shops/<name>.yaml` may say.

A shop is a YAML file. It `extends` the canonical contract (`shops/contract.yaml`: types, nulls, ranges,
allowed values, declared once) and adds addresses, the column mapping and rules of its own.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from ml_assets.config.connector_spec import Source
from ml_assets.config.day_address import check_days, has_day
from ml_assets.config.numbers import Bounds
from ml_assets.config.yaml_file import ConfigError, Strict, place, read_yaml, validated

NAME = r"^[a-z][a-z0-9_]*$"
SqlType = Literal["VARCHAR", "INTEGER", "BIGINT", "DOUBLE", "BOOLEAN", "TIMESTAMP", "DATE"]
Format = Literal["parquet", "csv", "jsonl", "messages"]
LANDED = "{{landing}}/{table}/{{day}}"
"""Address of a table that has a `source`."""


FOREVER = date(2200, 1, 1)
"""Days from here on are words of systems for never and without an end, as 9999-12-31."""


EARLIEST = date(1970, 1, 1)
"""A calendar that starts before is a typing error, or would have tens of thousands of days."""


class CalendarSpec(Strict):
    """The days the shop trades: one partition each."""

    start: date = Field(description="first day")
    end: date | None = Field(
        default=None, description="last day; none (or a day from 2200 on) while the shop is still trading"
    )

    @field_validator("start")
    @classmethod
    def _of_our_time(cls, start: date) -> date:
        if not EARLIEST <= start < FOREVER:
            raise ValueError(f"{start} is no day to start at: say one from {EARLIEST} on, each day is a partition")
        return start

    @field_validator("end")
    @classmethod
    def _without_end(cls, end: date | None) -> date | None:
        return None if end is not None and end >= FOREVER else end

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.end is not None and self.end < self.start:
            raise ValueError(f"calendar.end {self.end} lies before calendar.start {self.start}")
        return self


class ColumnSpec(Strict):
    """One canonical column: where it comes from, and what its values must satisfy."""

    source: str = Field(
        alias="from", description="SQL expression over the raw columns (all of them text, nested ones as JSON)"
    )
    type: SqlType = Field(description="DuckDB type; a value that does not cast breaks the contract")
    description: str = Field(min_length=1, description="what it is, for people")
    unit: str | None = Field(default=None, description="of a number, for people")
    nullable: bool = Field(default=False, description="whether it may be missing")
    min: float | None = Field(default=None, description="least allowed value")
    above: float | None = Field(default=None, description="values must be strictly greater than this")
    max: float | None = Field(default=None, description="greatest allowed value")
    allowed: tuple[str, ...] | None = Field(default=None, description="the only values it may have")
    pattern: str | None = Field(default=None, description="regular expression the whole text must match")

    @property
    def bounds(self) -> Bounds:
        """What its numbers may be."""
        return Bounds(min=self.min, above=self.above, max=self.max, whole=self.type in {"INTEGER", "BIGINT"})

    @model_validator(mode="after")
    def _checks_fit_the_type(self) -> Self:
        numeric = self.type in {"INTEGER", "BIGINT", "DOUBLE"}
        if not numeric and any(bound is not None for bound in (self.min, self.above, self.max)):
            raise ValueError(f"min, above and max are for numbers, not for {self.type}")
        least = max((bound for bound in (self.min, self.above) if bound is not None), default=-math.inf)
        if self.max is not None and (self.max < least or self.max == self.above):
            raise ValueError(f"max ({self.max:g}) lies below min or above ({least:g}): no value could be good")
        if self.type != "VARCHAR" and (self.allowed is not None or self.pattern is not None):
            raise ValueError(f"allowed and pattern are for VARCHAR, not for {self.type}")
        return self


class TimeSpec(Strict):
    """When a row happened, and how far from its partition's day that may lie."""

    column: str = Field(description="when a row happened: a TIMESTAMP that is not nullable")
    max_lateness_days: int | None = Field(
        default=None, ge=0, le=36_500, description="older rows are `late`; none accepts any age"
    )
    future_tolerance_minutes: int = Field(
        default=0, ge=0, le=525_600, description="grace past the day's end before `future`"
    )


class OutlierSpec(Strict):
    """A number is an outlier when it is `max_ratio` times more or less than what the lake knew that day."""

    relative_to: str = Field(pattern=r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$", description="table.column in the lake")
    by: str = Field(description="key column, of the same name in both tables")
    max_ratio: float = Field(gt=1, le=1e9, description="|ln(value / reference)| > ln(max_ratio) is an outlier")


class TrafficSpec(Strict):
    """When a day looks broken rather than different; the statistics are in `ml_assets.ingestion.traffic`."""

    enabled: bool = Field(default=True, description="false: the table's days are not judged")
    volume: float | None = Field(default=2.0, gt=1, le=1e6, description="factor of rows that matters; none: not judged")
    shift: float = Field(default=0.05, gt=0, lt=1, description="a share that moved by less is no finding")
    factor: float = Field(default=2.5, gt=1, le=1e6, description="nor is one whose odds moved by less than this factor")
    confidence: float = Field(default=0.999, gt=0.5, lt=1, description="how sure a finding must be")
    min_history: int = Field(default=7, ge=3, le=3650, description="days before that it takes to judge a day")
    min_rows: int = Field(default=200, ge=1, le=10**9, description="smaller days are not judged")


class TableSpec(Strict):
    """One table of the lake: where its raw files are, and the contract its rows meet or are set aside by."""

    name: str = Field(pattern=NAME, description="name of the table in the lake")
    description: str = Field(min_length=1, description="one sentence for the lineage graph")
    address: str = Field(
        description="file, folder or glob; replaced: `{landing}`, `{project}`, `{day}`, `{day:%Y%m%d}`, `${VARIABLE}`"
    )
    source: Source | None = Field(default=None, description="where the files come from, when nobody delivers them")
    override: bool = Field(default=False, description="the setting `data` replaces the address")
    format: Format | None = Field(default=None, description="inferred from the suffix when absent")
    delimiter: str = Field(default=",", min_length=1, max_length=1, description="of CSV files")
    encoding: str = Field(default="utf8", description="of CSV and JSON-lines files")
    day: str | None = Field(
        default=None, description="SQL over raw columns: the row's partition, where the address has no {day}"
    )
    derive: str | None = Field(
        default=None,
        description="SQL over `raw` that makes this table's raw rows; keeps _source, _day, _row, _line",
    )
    columns: dict[str, ColumnSpec] = Field(min_length=1, description="the canonical columns, in order")
    time: TimeSpec
    key: tuple[str, ...] = Field(min_length=1, description="unique among good rows, also over late arrivals")
    references: dict[str, str] = Field(default_factory=dict, description="column -> table.column in the lake")
    outliers: dict[str, OutlierSpec] = Field(default_factory=dict, description="column -> when it is an outlier")
    rules: dict[str, str] = Field(
        default_factory=dict, description="reason -> SQL condition over raw columns bad rows meet"
    )
    max_quarantine_share: float = Field(ge=0, le=1, description="more than this fails the blocking check")
    quarantine_min_rows: int = Field(
        default=200, ge=1, le=10**9, description="smaller days are judged only in the run's sum"
    )
    traffic: TrafficSpec = Field(default_factory=TrafficSpec, description="does a day look like the days before it")

    @model_validator(mode="before")
    @classmethod
    def _landed_where(cls, given: Any) -> Any:
        """A table with a source says neither where its files are nor in which form: landing decides both."""
        if not isinstance(given, Mapping) or given.get("source") is None:
            return given
        for key in ("address", "override", "day"):
            if given.get(key):
                raise ValueError(f"{key}: a table with a `source` has no `{key}`; take one of the two out")
        kind = given["source"].get("kind") if isinstance(given["source"], Mapping) else given["source"].kind
        landed = {"address": LANDED.format(table=given.get("name"))}
        if kind == "kafka":
            text = isinstance(given["source"], Mapping) and given["source"].get("format") == "text"
            landed["format"] = "parquet" if text else "messages"
        return {**given, **landed}

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        named = {"time.column": [self.time.column], "key": self.key, "references": self.references}
        named["outliers"] = [*self.outliers, *(rule.by for rule in self.outliers.values())]
        for where, columns in named.items():
            for column in columns:
                if column not in self.columns:
                    raise ValueError(f"{where}: no column {column!r}; there are {', '.join(self.columns)}")
        if self.columns[self.time.column].type != "TIMESTAMP" or self.columns[self.time.column].nullable:
            raise ValueError(f"time.column {self.time.column!r} must be a TIMESTAMP that is not nullable")
        check_days(self.address)
        if has_day(self.address) == (self.day is not None):
            raise ValueError("say the day of a row once: `{day}` in the address, or `day:` as SQL over raw columns")
        return self

    @property
    def upstream(self) -> tuple[str, ...]:
        """Tables of the lake this one is checked against; they are ingested first."""
        named = [*self.references.values(), *(rule.relative_to for rule in self.outliers.values())]
        return tuple(sorted({address.split(".")[0] for address in named}))

    @property
    def fingerprint(self) -> str:
        """Hex SHA-256 of the contract: the same rows under another contract are not the same table.

        Where rows come from and how days are compared with each other decides about no row.
        """
        return hashlib.sha256(self.model_dump_json(exclude={"traffic", "source"}).encode()).hexdigest()


class SourceSpec(Strict):
    """A shop: its calendar and its raw tables."""

    name: str = Field(pattern=NAME, description="name of the file without its suffix")
    description: str = Field(min_length=1, description="one sentence for people")
    calendar: CalendarSpec
    simulation: dict[str, Any] | None = Field(default=None, description="read by ml_assets.simulation only")
    tables: dict[str, TableSpec] = Field(min_length=1, description="the raw tables, by name")

    @model_validator(mode="after")
    def _references_exist(self) -> Self:
        for table in self.tables.values():
            rules = {**table.references, **{name: rule.relative_to for name, rule in table.outliers.items()}}
            for column, address in rules.items():
                other, _, target = address.partition(".")
                if other not in self.tables or target not in self.tables[other].columns or other == table.name:
                    raise ValueError(f"tables.{table.name}: {column} refers to {address!r}, which does not exist")
        return self

    @property
    def own_clock(self) -> bool:
        """Whether its days are no days of ours: a simulated world that ends is played when somebody plays it."""
        return self.simulation is not None and self.calendar.end is not None

    def table(self, name: str) -> TableSpec:
        """The table of that name.

        Raises:
            KeyError: when there is none; it names those there are.
        """
        if name not in self.tables:
            raise KeyError(f"shop {self.name} has no table {name!r}; it has {', '.join(sorted(self.tables))}")
        return self.tables[name]


def load_source(path: Path) -> SourceSpec:
    """Read a shop's YAML on top of the contract it `extends`.

    Raises:
        FileNotFoundError: when there is no such shop; it names the ones there are.
        ConfigError: when a key or value is wrong; it names file, line and key.
    """
    if not path.exists():
        shops = sorted(shop.stem for shop in path.parent.glob("*.yaml") if shop.stem != "contract")
        raise FileNotFoundError(f"no shop at {path}; there are: {', '.join(shops) or 'none'}")
    files = _with_bases(path)
    content: dict[str, Any] = {}
    for each in reversed(files.values()):
        content = merge(content, each)
    return validated(SourceSpec, _named(content), list(files))


def parse_source(content: Mapping[str, Any]) -> SourceSpec:
    """Build the spec from a mapping as YAML gives it; a column given as text is its `from`."""
    return SourceSpec.model_validate(_named(content))


def _named(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content with the name of each table in the table."""
    tables = content.get("tables")
    if not isinstance(tables, Mapping):
        return dict(content)
    named = {name: {"name": name, **each} if isinstance(each, Mapping) else each for name, each in tables.items()}
    return {**content, "tables": named}


def _with_bases(path: Path) -> dict[Path, dict[str, Any]]:
    """The content of a file and of those it is laid upon, by file, itself first."""
    content = read_yaml(path)
    if not isinstance(content, Mapping):
        raise ConfigError(f"{path}: a source is a mapping of keys: name, description, calendar, tables")
    own = {key: value for key, value in content.items() if key != "extends"}
    if "extends" not in content:
        return {path: own}
    base = path.parent / str(content["extends"])
    if not base.is_file() or base == path:
        raise ConfigError(f"{place([path], ['extends'])}: there is no file {base} to lay this one upon")
    return {path: own, **_with_bases(base)}


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay `over` on `base`, mapping by mapping; text laid on a mapping becomes its `from`."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(below, Mapping):
            merged[key] = merge(below, value if isinstance(value, Mapping) else {"from": value})
        else:
            merged[key] = value
    return merged
