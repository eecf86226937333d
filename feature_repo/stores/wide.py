"""What this project's Feast online stores have in common: packed rows, whoever keeps them.

Feast's own stores write a protobuf per feature and row; here a row is one value. A newer row is never overwritten
by an older one, and rows past their view's ttl are not handed out.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from feast import Entity, FeatureView
from feast.infra.online_stores.online_store import OnlineStore
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.repo_config import RepoConfig
from feast.value_type import ValueType

from feature_repo.stores.packed import WideTable, microseconds

if TYPE_CHECKING:
    from feature_repo.stores.packing import Packed

_KINDS = {
    ValueType.STRING: ("string", "string_val"),
    ValueType.INT32: ("int", "int32_val"),
    ValueType.INT64: ("int", "int64_val"),
    ValueType.FLOAT: ("float", "float_val"),
    ValueType.DOUBLE: ("float", "double_val"),
    ValueType.BOOL: ("bool", "bool_val"),
    ValueType.BYTES: ("bytes", "bytes_val"),
    ValueType.UNIX_TIMESTAMP: ("timestamp", "unix_timestamp_val"),
}
Row = tuple[Any, dict[str, Any], datetime, datetime | None]
Keys = Sequence[tuple[str, ...]]


@dataclass(frozen=True)
class Progress:
    """Up to when a table is materialized.

    Attributes:
        watermark: the moment it was materialized for, unix microseconds.
        boundary: later source rows are read again by the next run, unix microseconds.
        fingerprint: digest of the source's rows up to `boundary`.
        recent: Arrow IPC stream of the keys and event times that were written for later than `boundary`.
    """

    watermark: int
    boundary: int
    fingerprint: str
    recent: bytes = b""


def table_of(config: RepoConfig, view: FeatureView) -> WideTable:
    """The wide table that holds a feature view.

    Raises:
        TypeError: when a feature is of a type a packed row cannot hold.
    """
    kinds = []
    for field in view.features:
        value_type = field.dtype.to_value_type()
        if value_type not in _KINDS:
            raise TypeError(
                f"feature {view.name}:{field.name} is of type {value_type.name}, which the online store "
                f"cannot hold; it holds {', '.join(kind.name for kind in _KINDS)}"
            )
        kinds.append((field.name, _KINDS[value_type][0]))
    return WideTable(
        table=f"{config.project}__{view.name}",
        keys=tuple(view.join_keys),
        features=tuple(kinds),
        ttl_seconds=view.ttl.total_seconds() if isinstance(view.ttl, timedelta) else 0.0,
    )


class WideOnlineStore(OnlineStore):
    """Feast's way to the packed rows, and materialization's; `feature_repo.reader` reads them without Feast."""

    @abstractmethod
    def address(self, config: RepoConfig) -> Path | str:
        """Where the store is, as `feature_repo.reader.open_reader` takes it; without a password."""

    @abstractmethod
    def define(self, config: RepoConfig, kept: Sequence[WideTable], dropped: Sequence[str]) -> None:
        """Make the tables that are not there yet, drop those named.

        A table whose view changed keeps serving as it is until rows of the new form are written.
        """

    @abstractmethod
    def exclusive(self, config: RepoConfig) -> AbstractContextManager[Any]:
        """Held while a view is materialized: materializations take turns, whatever process they are in."""

    @abstractmethod
    def progress(self, config: RepoConfig, table: WideTable) -> Progress | None:
        """Up to when the table is materialized; None when it never was, or held rows of another form."""

    @abstractmethod
    def advance(
        self, config: RepoConfig, table: WideTable, parts: Iterable[Packed], progress: Callable[[], Progress]
    ) -> int:
        """Add rows of the offline store, note the progress; returns the rows given. Newer rows stay."""

    @abstractmethod
    def rebuild(
        self, config: RepoConfig, table: WideTable, parts: Iterable[Packed], progress: Callable[[], Progress]
    ) -> int:
        """Let the table hold these rows, and of what was pushed what is newer; returns the rows given.

        Readers see the rows before or those after, never some of both.
        """

    def tidy(self, config: RepoConfig) -> None:
        """Remove what rebuilds left behind; called after all views were materialized."""
        return

    @abstractmethod
    def push(self, config: RepoConfig, table: WideTable, parts: Iterable[Packed]) -> None:
        """Write rows that did not come from the offline store; newer rows stay."""

    @abstractmethod
    def fetch(self, config: RepoConfig, table: str, keys: Keys) -> tuple[WideTable | None, list[bytes | None]]:
        """The table as it stands (None: it is not there), and its row of each key."""

    @abstractmethod
    def describe(self, config: RepoConfig, text: str | None = None) -> str | None:
        """The description of the feature services beside the rows (None: there is none); `text` becomes it."""

    def update(  # noqa: PLR0917 - Feast's signature
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
        partial: bool,
    ) -> None:
        """Make the tables of new views, drop those of removed ones."""
        kept = [table_of(config, view) for view in tables_to_keep]
        self.define(config, kept, [f"{config.project}__{view.name}" for view in tables_to_delete])

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[Row],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Write rows in Feast's form; of several rows of a key, the newest stays."""
        from feature_repo.stores.packing import Packed

        wide, rows, times = table_of(config, table), [], []
        for _, values, when, _ in data:
            times.append(microseconds(when))
            rows.append(wide.layout.pack({name: _native(value) for name, value in values.items()}, times[-1]))
        keys = [_key(wide, entity_key) for entity_key, *_ in data]
        columns = [[key[place] for key in keys] for place in range(len(wide.keys))]
        self.push(config, wide, [Packed(columns, times, rows)])
        if progress:
            progress(len(rows))

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[tuple[datetime | None, dict[str, Value] | None]]:
        """Read the rows of the keys, in their order; (None, None) where there is none or it is expired."""
        wide = table_of(config, table)
        there, rows = self.fetch(config, wide.table, [_key(wide, each) for each in entity_keys])
        kept = {name for name, _ in there.features} if there else set()
        asked = kept.intersection(requested_features) if requested_features is not None else kept
        fields = [field for field in table.features if field.name in asked]
        oldest = microseconds(datetime.now(UTC)) - wide.ttl_seconds * 1_000_000
        found: list[tuple[datetime | None, dict[str, Value] | None]] = []
        for row in rows:
            when, values = there.layout.unpack(row) if there and row else (0, {})
            if not values or not fields or (wide.ttl_seconds and when < oldest):
                found.append((None, None))
                continue
            protos = {field.name: _proto(field, values[field.name]) for field in fields}
            found.append((datetime.fromtimestamp(0, UTC) + timedelta(microseconds=when), protos))
        return found


def _native(value: Any) -> Any:
    which = value.WhichOneof("val")
    return getattr(value, which) if which else None


def _key(table: WideTable, entity_key: Any) -> tuple[str, ...]:
    named = dict(zip(entity_key.join_keys, entity_key.entity_values, strict=True))
    return tuple(str(_native(named[key])) for key in table.keys)


def _proto(field: Any, value: Any) -> Any:
    proto = Value()
    if value is not None:
        setattr(proto, _KINDS[field.dtype.to_value_type()][1], value)
    return proto
