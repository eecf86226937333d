"""A tiny shop whose landing folder tests fill row by row, in any of the formats."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from ml_assets.config.settings import PROJECT, Settings
from ml_assets.config.source_spec import SourceSpec, load_source, merge, parse_source
from ml_assets.ingestion.days.made import made_of, note
from ml_assets.ingestion.days.report import IngestReport
from ml_assets.ingestion.ingest import ingest
from ml_assets.ingestion.publish import part

FIRST = date(2026, 1, 1)
EVENT_COLUMNS = (
    "event_id",
    "ts",
    "customer_id",
    "product_id",
    "event_type",
    "session_id",
    "quantity",
    "price",
    "country",
)
PRODUCT_COLUMNS = ("product_id", "name", "category", "price", "available", "changed_at")
Row = Mapping[str, str | None]


def day(number: int) -> date:
    """The shop's n-th day, from 0."""
    return FIRST + timedelta(days=number)


def event(event_id: str | None, number: int = 0, **changes: str | None) -> dict[str, str | None]:
    """A good event of the n-th day, then changed."""
    good = {
        "event_id": event_id, "ts": f"{day(number)}T10:00:00", "customer_id": "C1", "product_id": "P1",
        "event_type": "view", "session_id": "S1", "quantity": "1", "price": "10.00", "country": "GB",
    }  # fmt: skip
    return {**good, **changes}


def product(product_id: str | None, number: int = 0, **changes: str | None) -> dict[str, str | None]:
    """A good catalogue change of the n-th day, then changed."""
    good = {
        "product_id": product_id, "name": "Mug", "category": "kitchen", "price": "10.00", "available": "true",
        "changed_at": f"{day(number)}T00:00:00",
    }  # fmt: skip
    return {**good, **changes}


def write_rows(path: Path, rows: Sequence[Row], columns: Sequence[str]) -> Path:
    """Write rows as text, in the format the suffix names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.table({name: pa.array([r.get(name) for r in rows], pa.string()) for name in columns}), path)
    elif path.suffix == ".csv":
        with path.open("w", newline="") as opened:
            writer = csv.DictWriter(opened, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    else:
        path.write_text("".join(json.dumps({name: r.get(name) for name in columns}) + "\n" for r in rows) or "\n")
    return path


def simulated_shop(changes: Mapping[str, object] | None = None) -> SourceSpec:
    """The shipped simulated shop, with changes laid on its YAML."""
    shops = PROJECT / "shops"
    base = yaml.safe_load((shops / "contract.yaml").read_text())
    content = yaml.safe_load((shops / "simulated.yaml").read_text())
    del content["extends"]
    return parse_source(merge(merge(base, content), changes or {}))


@dataclass
class TinyShop:
    """A shop in a folder of its own, with shortcuts for tests."""

    settings: Settings
    source: SourceSpec = field(default_factory=lambda: load_source(PROJECT / "shops" / "simulated.yaml"))
    suffix: str = ".parquet"

    def land_events(self, number: int, rows: Sequence[Row], columns: Sequence[str] = EVENT_COLUMNS) -> Path:
        """Drop the events file of the n-th day."""
        return write_rows(self.settings.landing / "events" / f"{day(number)}{self.suffix}", rows, columns)

    def land_products(self, number: int, rows: Sequence[Row]) -> Path:
        """Drop the catalogue file of the n-th day."""
        return write_rows(self.settings.landing / "products" / f"{day(number)}.parquet", rows, PRODUCT_COLUMNS)

    def open_days(self, count: int) -> None:
        """Land and ingest a catalogue (P1 and P2 on the first day) for `count` days."""
        for number in range(count):
            self.land_products(number, [product("P1"), product("P2", price="2.00")] if number == 0 else [])
        self.ingest(0, count - 1, "products")

    def ingest(self, first: int, last: int | None = None, table: str = "events") -> IngestReport:
        """Ingest from the `first` to the `last` day."""
        return ingest(self.source, table, self.settings, day(first), day(first if last is None else last))

    def made(self, first: int, last: int) -> None:
        """Note that the dbt models were built on these days."""
        self.settings.warehouse.parent.mkdir(parents=True, exist_ok=True)
        self.settings.warehouse.touch()
        days = [day(number) for number in range(first, last + 1)]
        note(self.source, self.settings, ["stg_events"], days, made_of(self.source, self.settings))

    def part(self, number: int, table: str = "events") -> Path:
        """The published file of the n-th day."""
        return part(self.settings.lake, table, day(number))

    def good(self, number: int = 0, table: str = "events") -> list[dict[str, object]]:
        """Published rows of the n-th day."""
        return pq.ParquetFile(self.part(number, table)).read().to_pylist()

    def ids(self, number: int = 0) -> list[object]:
        """Published event ids of the n-th day, in the file's order."""
        return [row["event_id"] for row in self.good(number)]

    def bad(self, number: int = 0, table: str = "events") -> list[dict[str, object]]:
        """Quarantined rows of the n-th day."""
        return self.good(number, f"{table}_quarantine")

    def files(self) -> dict[str, bytes]:
        """Every file of the lake but locks, by its path in it."""
        lake = self.settings.lake
        return {
            path.relative_to(lake).as_posix(): path.read_bytes()
            for path in sorted(lake.rglob("*"))
            if path.is_file() and path.suffix != ".lock"
        }


def tiny_shop(home: Path, **arguments: object) -> TinyShop:
    """A tiny shop in `home`, for tests that need more than one."""
    settings = Settings(home=home, shop="simulated", threads=1, memory="512MB")
    return TinyShop(settings, **arguments)  # type: ignore[arg-type]  # forwarded as they are


def at(number: int, clock: str = "10:00:00") -> datetime:
    """A moment of the n-th day."""
    return datetime.fromisoformat(f"{day(number)}T{clock}")
