"""Taking an entity out of the warehouse and of a Redis online store."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import duckdb

from ml_assets.config.settings import Settings
from ml_assets.ingestion.reading.readers import literal, quote
from ml_assets.retention.aside import fewer_beside
from ml_assets.retention.removal import masked
from ml_assets.retention.subject import Subject
from ml_assets.storage.files import sync
from ml_assets.storage.warehouse import WarehouseError, spill

PATIENCE = 120.0


def clean_warehouse(settings: Settings, who: Subject) -> int:
    """Delete the entity's rows from every table, and write the file anew: deleted rows stay in its free blocks.

    What was summed up over many (products, days) stays as it was: it names nobody.
    """
    path = settings.warehouse
    aside = fewer_beside(path)
    aside.unlink(missing_ok=True)
    with _writer(settings) as connection:
        count = 0
        for schema, table, columns in _holding(connection, who):
            where = " or ".join(f"{quote(name)}::varchar = $id" for name in columns)
            row = connection.execute(
                f"delete from {quote(schema)}.{quote(table)} where {where}", {"id": who.id}
            ).fetchone()
            count += int(row[0]) if row else 0
        if count:
            connection.execute("checkpoint")
        elif not _in_free_blocks(path, who):
            return 0
        name = connection.execute("select current_database()").fetchone() or ("warehouse",)
        connection.execute(f"attach {literal(aside)} as fewer")
        connection.execute(f"copy from database {quote(name[0])} to fewer")
        connection.execute("detach fewer")
        sync(aside)
        aside.replace(path)  # while no other process may open the file
        sync(path.parent)
    return count


def _writer(settings: Settings) -> duckdb.DuckDBPyConnection:
    """Open the warehouse for writing, waiting for those who read or write it now."""
    path, deadline = settings.warehouse, time.monotonic() + PATIENCE
    while True:
        try:
            return duckdb.connect(
                str(path),
                config={
                    "threads": settings.threads, "memory_limit": settings.memory, "temp_directory": str(spill(path)),
                },
            )  # fmt: skip
        except duckdb.IOException as error:
            if "lock" not in str(error).lower() or time.monotonic() > deadline:
                raise WarehouseError(f"cannot write the warehouse {path}: {error}") from error
            time.sleep(0.5)


def _holding(connection: duckdb.DuckDBPyConnection, who: Subject) -> list[tuple[str, str, list[str]]]:
    """Schema, table and the columns of it that may hold the id: those of its names; of a telling one, all texts.

    Views have no rows of their own.
    """
    found = connection.execute(
        "select schema_name, table_name, list(column_name) from duckdb_columns() "
        "join duckdb_tables() using (schema_name, table_name) "
        "where list_contains($names, column_name) or ($telling and data_type = 'VARCHAR') group by all order by all",
        {"names": sorted(who.names), "telling": who.telling},
    ).fetchall()
    return [(schema, table, sorted(columns)) for schema, table, columns in found]


def _in_free_blocks(path: Path, who: Subject) -> bool:
    """Whether the file's bytes have the id though no row has it: a removal was killed before the file was new."""
    return who.telling and who.within(path.read_bytes())


def find_in_warehouse(settings: Settings, who: Subject) -> dict[str, int]:
    """Rows of the entity by table."""
    from ml_assets.storage.warehouse import connect

    with connect(settings) as connection:
        found = {}
        for schema, table, columns in _holding(connection, who):
            where = " or ".join(f"{quote(name)}::varchar = $id" for name in columns)
            counted = connection.execute(
                f"select count(*) from {quote(schema)}.{quote(table)} where {where}", {"id": who.id}
            ).fetchone()
            if counted and counted[0]:
                found[f"{schema}.{table}"] = int(counted[0])
    return found


def redis_keys(settings: Settings, who: Subject) -> list[bytes]:
    """Names of rows of the entity, of every generation: a key that is called as it is has its id."""
    with _redis(settings) as client:
        return [row for rows in _redis_rows(client, who).values() for row, _ in rows]


def clean_redis(settings: Settings, who: Subject) -> int:
    """Delete the entity's rows, and what else names it."""
    with _redis(settings) as client:
        found = _redis_rows(client, who)
        for table, rows in found.items():
            for row, end in rows:
                client.delete(row)
                client.srem(f"{table}:pushed", end)
            recent = client.hget(f"{table}:progress", "recent")
            if recent is not None and who.id.encode() in recent:
                client.hset(f"{table}:progress", "recent", masked(recent, who))
    return sum(map(len, found.values()))


def _redis(settings: Settings) -> Any:
    from feature_repo.stores.wide_redis_rows import connect

    return connect(str(settings.online_store), PATIENCE)


def _redis_rows(client: Any, who: Subject) -> dict[str, list[tuple[bytes, bytes]]]:
    """Table -> name and end of the name of each row of the entity."""
    from feature_repo.stores.wide_redis_rows import look, parts_of

    names = [key.decode().removesuffix(":generation") for key in client.scan_iter(match="*:generation", count=1000)]
    found: dict[str, list[tuple[bytes, bytes]]] = {}
    for name, table in zip(names, look(client, names).tables if names else (), strict=True):
        own = [at for at, key in enumerate(table.keys) if key in who.names] if table else []
        rows = (
            (row, row[len(name) + 1 :].partition(b":")) for row in client.scan_iter(match=f"{name}:*:*", count=1000)
        )
        ends = ((row, end) for row, (number, _, end) in rows if number.isdigit() and own)
        parts = ((row, end, parts_of(end.decode(), len(table.keys) if table else 1)) for row, end in ends)
        found[name] = [(row, end) for row, end, said in parts if any(said[at] == who.id for at in own)]
    return found
