"""Looking for an id in everything under the shop's home, whatever form it has there."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq

from ml_assets.config.settings import Settings
from ml_assets.retention.places import How, Place, files
from ml_assets.retention.removal import CHUNK, find_in_database
from ml_assets.retention.rows import batches
from ml_assets.retention.stores import find_in_warehouse, redis_keys
from ml_assets.retention.subject import Subject

OTHER = "places unknown to this code"


def find(settings: Settings, who: Subject, raw: dict[str, Subject]) -> dict[str, int]:
    """Occurrences of the entity by what the place holds: rows of tables, hits in files; none: it is nowhere.

    Parquet is read, the warehouse is asked, everything else is looked through byte by byte, free pages included.

    Args:
        settings: the deployment.
        who: the entity.
        raw: the same by folder of the landing, with the names that its raw files use.
    """
    found: Counter[str] = Counter()
    for path, place in files(settings):
        if count := _in_file(path, place, _named(settings, path, raw) or who):
            found[place.what if place else OTHER] += count
    if settings.warehouse.exists():
        found["dbt's tables, the offline store"] += sum(find_in_warehouse(settings, who).values())
    if not isinstance(settings.online_store, Path):
        found["online store"] += len(redis_keys(settings, who))
    return {what: count for what, count in sorted(found.items()) if count}


def _named(settings: Settings, path: Path, raw: dict[str, Subject]) -> Subject | None:
    if settings.landing not in path.parents:
        return None
    return raw.get(path.relative_to(settings.landing).parts[0])


def _in_file(path: Path, place: Place | None, who: Subject) -> int:
    if path.suffix in {".parquet", ".pq"} and not path.name.startswith("."):
        return _in_parquet(path, who)
    if place is not None and place.how is How.WAREHOUSE and not who.telling:
        return 0  # its rows are asked for
    count, overlap = 0, b""
    if place is not None and place.how in {How.ONLINE, How.DATABASE} and path.suffix == ".db":
        count += find_in_database(path, who)
    with path.open("rb") as opened:
        while block := opened.read(CHUNK):
            count += sum(1 for _ in who.pattern.finditer(overlap + block))
            overlap = block[-(4 * len(who.id) + 256) :]  # a hit in it is counted twice rather than cut in two
    return count


def _in_parquet(path: Path, who: Subject) -> int:
    with pq.ParquetFile(path) as opened:
        return sum(int(who.rows(batch).sum()) for batch in batches(opened))
