"""Features on disk to ranked scores on disk: any Parquet file, whatever its size, killed and resumed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ml_assets.config.numbers import MOST
from ml_assets.metrics.ranking import IntArray
from ml_assets.registry.versions import VersionRef
from ml_assets.scoring.list_check import wrong_lists
from ml_assets.scoring.pieces import PIECE, Piece, groups, join_parts, published, score_in_parts, work_folder
from ml_assets.scoring.predictor import Predictor

BUFFER = 1 << 16
"""Bytes read ahead of each column: a whole column chunk of a large row group would not be constant memory."""


class UnfitFrameError(ValueError):
    """The file cannot be scored; the text says what is wrong with it."""


def score_file(
    ref: VersionRef,
    frame: Path,
    out: Path,
    keys: Sequence[str],
    k: int,
    *,
    threads: int = 2,
    rows: int = PIECE,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Rank the rows of each group of a Parquet file by the version's score; returns the rows written to `out`.

    Memory is bounded by some pieces of `rows` rows (and the largest group), however large the file and its row groups
    are. Finished parts are kept beside `out` until it is published: a killed run goes on after them and ends with the
    same bytes.

    Args:
        ref: the model version.
        frame: Parquet with the keys and the version's features (missing is null or NaN); rows of a group lie together.
        out: takes the keys, `rank` and `score` of the best rows, by group and rank.
        keys: columns that say whose row it is, the ranked item last; the others make the group.
        k: rows kept per group.
        threads: pieces scored at the same time.
        rows: rows of a piece, about.
        progress: called with (rows done, rows in all).

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when k is less than 1.
        UnfitFrameError: when it is no Parquet file, lacks a key or a feature, a feature is no number or more than
            models read, or it holds no lists: a key without a value, a group in two places, an item twice in a group.
    """
    footer = _checked(ref, frame, out, keys, k)
    inputs = _inputs(ref, frame, footer, [*keys, k, rows])
    if published(out, inputs) is None and (wrong := wrong_lists(frame, keys)):
        raise UnfitFrameError(f"{frame}: {wrong}")
    with work_folder(out, inputs) as work:
        if (known := published(out, inputs)) is not None:
            return known
        pieces = partial(pieces_of, frame, list(keys), list(Predictor(ref).used), rows)

        def told(done: int) -> None:
            if progress:
                progress(done, footer.num_rows)

        parts = score_in_parts(pieces, work, ref, k=k, threads=threads, progress=told)
        return join_parts(parts, out, inputs, _schema(footer, keys))


def _checked(ref: VersionRef, frame: Path, out: Path, keys: Sequence[str], k: int) -> pq.FileMetaData:
    """The file's footer, once it is known to be fit."""
    if k < 1:
        raise ValueError(f"k is {k}: keep at least one row of each group")
    if out.exists() and out.samefile(frame):
        raise UnfitFrameError(f"{frame}: its scores would replace it; name another file for them")
    try:
        footer = pq.read_metadata(frame)
    except pa.ArrowInvalid as error:
        raise UnfitFrameError(f"{frame}: no Parquet file ({error})") from None
    schema = footer.schema.to_arrow_schema()
    if missing := sorted({*keys, *ref.features} - set(schema.names)):
        raise UnfitFrameError(f"{frame}: lacks columns that scoring by version {ref.version} needs: {missing}")
    if wrong := [
        f"{name} ({schema.field(name).type})" for name in ref.features if not is_number(schema.field(name).type)
    ]:
        raise UnfitFrameError(f"{frame}: features that are no numbers: {', '.join(wrong)}")
    return footer


def _schema(footer: pq.FileMetaData, keys: Sequence[str]) -> pa.Schema:
    known = footer.schema.to_arrow_schema()
    return pa.schema([*(known.field(name) for name in keys), ("rank", pa.int32()), ("score", pa.float64())])


def is_number(kind: pa.DataType) -> bool:
    """Whether a column of this type can be a feature."""
    asked = (pa.types.is_floating, pa.types.is_integer, pa.types.is_boolean, pa.types.is_decimal, pa.types.is_null)
    return any(is_one(kind) for is_one in asked)


def pieces_of(frame: Path, keys: list[str], features: list[str], rows: int, start: int) -> Iterator[Piece]:
    """The file from row `start` on in pieces of whole groups.

    A piece ends with the last group that ends within its `rows`, or with the first group where that is larger.
    """
    wanted = pa.schema([(name, pa.float32()) for name in features])
    for table in _whole_groups(batches(frame, [*keys, *features], start, rows), keys[:-1], rows):
        start += len(table)
        yield Piece(start, partial(_load, table, keys, wanted, frame))


def _load(table: pa.Table, keys: list[str], wanted: pa.Schema, frame: Path) -> tuple[pa.Table, pa.Table]:
    features = table.select(wanted.names).cast(wanted, safe=False)  # as a training set rounds them
    for name in wanted.names:
        at = pc.index(pc.is_inf(features[name]), True).as_py()
        if at >= 0:
            row = ", ".join(f"{key} {table[key][at].as_py()}" for key in keys)
            raise UnfitFrameError(
                f"{frame}: {name} is {table[name][at].as_py()} at {row}: models read finite numbers of up to {MOST:.3g}"
            )
    return table.select(keys), features


def _whole_groups(batches: Iterator[pa.RecordBatch], group: list[str], rows: int) -> Iterator[pa.Table]:
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        while sum(map(len, held)) > rows and (end := _end(table := pa.Table.from_batches(held), group, rows)):
            yield table.slice(0, end)
            held = table.slice(end).to_batches()
    if held:
        yield pa.Table.from_batches(held)


def _end(table: pa.Table, group: list[str], rows: int) -> int:
    """Row after the last group that ends within `rows`, else after the first group; 0 when none is known to end."""
    starts = np.flatnonzero(np.diff(groups(table.select(group)))) + 1
    if not len(starts):
        return 0
    within = int(np.searchsorted(starts, rows, side="right"))
    return int(starts[max(within - 1, 0)])


def batches(frame: Path, columns: list[str], start: int, rows: int) -> Iterator[pa.RecordBatch]:
    """A Parquet file's rows from `start` on; row groups before it are not read."""
    with pq.ParquetFile(frame, buffer_size=BUFFER, pre_buffer=False) as source:
        found = source.metadata
        ends: IntArray = np.cumsum([found.row_group(at).num_rows for at in range(found.num_row_groups)], dtype=np.int64)
        first = int(np.searchsorted(ends, start, side="right"))
        skip = start - (int(ends[first - 1]) if first else 0)
        for batch in source.iter_batches(rows, list(range(first, len(ends))), columns, use_threads=False):
            if skip < len(batch):
                yield batch.slice(skip)
            skip = max(skip - len(batch), 0)


def _inputs(ref: VersionRef, frame: Path, footer: pq.FileMetaData, said: Sequence[object]) -> str:
    """Content address of a result: the version, how it is cut and ranked, and which file it is made from."""
    found = frame.stat()
    file = [found.st_size, found.st_mtime_ns, footer.num_rows, footer.num_row_groups]
    return hashlib.sha256(json.dumps([ref.version, file, *said]).encode()).hexdigest()[:16]
