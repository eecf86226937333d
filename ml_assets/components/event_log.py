"""Dagster's sqlite event log, writing a batch of asset events in one transaction instead of one each.

A run over a range of days records one materialization per asset and day: half a year of the shop is 3,800 of them, and
the stock storage opens two databases and waits for two disk flushes per event. `DAGSTER_EVENT_BATCH_SIZE` makes Dagster
hand them over in batches; this class is the part that the sqlite storage lacks (Postgres has it).
"""

from collections.abc import Sequence
from typing import Any, Self

from dagster._core.events import ASSET_EVENTS
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._serdes import ConfigurableClassData


class BatchedSqliteEventLog(SqliteEventLogStorage):
    """`event_log_storage` for `dagster.yaml`; takes the same `base_dir` as the stock one and reads the same files."""

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Self:
        """Build the storage from `dagster.yaml`."""
        return cls(inst_data=inst_data, **config_value)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events of one run: those of assets in two transactions, the rest (checks, mostly) one by one."""
        if len({event.run_id for event in events}) != 1:
            super().store_event_batch(events)
            return
        of_assets: list[EventLogEntry] = []
        others: list[EventLogEntry] = []
        for event in events:
            mirrored = event.is_dagster_event and event.dagster_event_type in ASSET_EVENTS
            (of_assets if mirrored else others).append(event)
        if of_assets:
            self._store_asset_events(of_assets)
        for event in others:
            self.store_event(event)

    def _store_asset_events(self, events: Sequence[EventLogEntry]) -> None:
        """All or none in the run's own file, then all or none in the index."""
        inserts = [self.prepare_insert_event(event) for event in events]
        with self.run_connection(events[0].run_id) as connection:
            for insert in inserts:
                connection.execute(insert)
        with self.index_transaction() as connection:
            keys = [connection.execute(insert).inserted_primary_key for insert in inserts]
            ids = [key[0] for key in keys if key is not None]
            self._store_asset_event_tags(connection, events, ids)
            newest = {event.get_dagster_event().asset_key: (event, at) for event, at in zip(events, ids, strict=True)}
            for event, at in newest.values():
                self._store_asset_event(connection, event, at)
