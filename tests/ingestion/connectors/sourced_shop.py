"""A tiny shop whose events come from a source, with shortcuts to land, ingest and look."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml
from databases import EventTable
from tiny_shop import TinyShop, at, day

from ml_assets.config.settings import PROJECT, Settings
from ml_assets.config.source_spec import SourceSpec, merge, parse_source
from ml_assets.ingestion.connectors.land import Landed, journal_of, land, unlanded

MAPPING = {
    "event_id": "event_id", "event_ts": "ts", "customer_id": "customer_id", "product_id": "product_id",
    "event_type": "event_type", "session_id": "session_id", "quantity": "quantity", "price": "price",
    "country": "country",
}  # fmt: skip
NEXT_MORNING = timedelta(days=1, hours=3)


def spec_of(source: Mapping[str, Any], mapping: Mapping[str, str] | None = None) -> SourceSpec:
    """The simulated shop's contract with events from a source."""
    shops = PROJECT / "shops"
    content = yaml.safe_load((shops / "simulated.yaml").read_text())
    del content["extends"], content["simulation"]
    content["calendar"] = {"start": day(0)}
    content["tables"]["events"] = {
        "source": {"attempts": 2, "longest_pause": "0.01 seconds", **source}, "columns": mapping or MAPPING,
    }  # fmt: skip
    return parse_source(merge(yaml.safe_load((shops / "contract.yaml").read_text()), content))


@dataclass
class SourcedShop(TinyShop):
    """A shop whose events are landed."""

    env: dict[str, str] = field(default_factory=dict)

    def land(self, number: int = 0, after: timedelta = NEXT_MORNING) -> Landed:
        """Land at 03:00 after the n-th day."""
        return land(
            self.source, "events", self.settings, now=at(number, "00:00").replace(tzinfo=UTC) + after, env=self.env
        )

    def unlanded(self, now: datetime) -> str | None:
        """What waits at the source."""
        return unlanded(self.source, self.source.table("events"), self.settings, now.replace(tzinfo=UTC), self.env)

    @property
    def journal(self):
        """The journal of events."""
        return journal_of(self.settings, self.source.table("events"))

    def landed_files(self) -> list[Path]:
        """Files in the day folders."""
        return sorted(self.journal.folder.glob("[0-9]*/*"))

    def landed(self) -> list[tuple[str, dict[str, Any]]]:
        """Landed rows of Parquet files with their day, in the order ingestion reads them."""
        return [
            (path.parent.name, row) for path in self.landed_files() for row in pq.ParquetFile(path).read().to_pylist()
        ]

    def landed_values(self, column: str) -> list[Any]:
        """One column of the landed rows."""
        return [row[column] for _, row in self.landed()]


def sourced_shop(
    home: Path, source: Mapping[str, Any], env: Mapping[str, str] | None = None, **more: Any
) -> SourcedShop:
    """A shop in a home of its own."""
    settings = Settings(home=home, shop="simulated", threads=1, memory="512MB")
    return SourcedShop(settings, spec_of(source, **more), env=dict(env or {}))


def landed_shop(folder: Path) -> SourcedShop:
    """A shop whose events are in a database, two on each of three days, and have landed."""
    address = f"sqlite:///{folder / 'shop.db'}"
    database = EventTable(address)
    for number in range(3):
        database.write([10 * number, 10 * number + 1], at(number))
    database.engine.dispose()
    source = {"kind": "sql", "address": "${DB}", "table": "events", "cursor": "id", "overlap": 1, "day": "written"}
    shop = sourced_shop(folder / "home", source, {"DB": address})
    shop.open_days(3)
    shop.land(2)
    return shop
