"""Landed messages as rows: the keys the mapping reads become raw columns; what is no JSON object is unreadable.

Messages have no schema: a key that a message leaves out is null there. Which keys are looked for follows from the
shop's SQL alone, so that all files of a table have the same columns, whatever their messages hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from ml_assets.config.ingestion_error import IngestionError
from ml_assets.ingestion.connectors.addresses import SourceFile
from ml_assets.ingestion.connectors.landed import stamp_of
from ml_assets.ingestion.reading.json_lines import given_twice, pointer
from ml_assets.ingestion.reading.readers import NUMBERED, RawFile, literal, parquet, quote
from ml_assets.storage.files import sha256_file

VALUE = "kafka_value"
ENVELOPE = ("kafka_partition", "kafka_offset", "kafka_timestamp", "kafka_key", "kafka_headers", VALUE)
"""What every landed message has, beside its keys; `kafka_value` is the message as it came."""


def open_messages(file: SourceFile, keys: Sequence[str], copy: Path, connection: duckdb.DuckDBPyConnection) -> RawFile:
    """Copy a landed file to `copy` with a text column per key, and `_line` for what is no JSON object.

    Raises:
        IngestionError: when the file is not as it was landed.
    """
    stamp = stamp_of(file.path)
    is_row = f"coalesce(case when json_valid({VALUE}) then json_type({VALUE}) = 'OBJECT' end, false)"
    twice = given_twice(f"json_keys(case when {is_row} then {VALUE} else '{{}}' end)", keys)
    members = [f"""case when {is_row} then {VALUE} ->> {pointer(key)} end as {quote(key)}""" for key in keys]
    line = f"case when not {is_row} then coalesce({VALUE}, '') end as _line"
    chosen = ", ".join([*ENVELOPE, *members, line])
    try:
        sha256 = sha256_file(file.path)
        connection.execute(
            f"copy (select {chosen} from {parquet(file.path, options=NUMBERED)} "
            f"order by file_row_number) to {literal(copy)} (format parquet)"
        )
        [(count,)] = connection.execute(f"select count(*) from {parquet(file.path)} where {twice}").fetchall()
        with pq.ParquetFile(copy) as opened:
            rows = opened.metadata.num_rows
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        why = str(error).splitlines()[0][:200]
        remedy = "landed files do not change: put it back from a backup"
        raise IngestionError(f"the landed file cannot be read ({why})", file=file.path, remedy=remedy) from error
    note = f"{count:,} messages of {file.label} give a key twice: of each such key the first value counts"
    return RawFile(file, copy, (*ENVELOPE, *keys), rows, sha256, stamp, note=note if count else "")
