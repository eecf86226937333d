"""Scoring in constant memory, resumable: pieces of whole customers, one per core, kept in parts as they are ranked.

A piece is scored by one thread from loading to ranking, with a booster of its own: nobody waits for anybody, as the
threads inside one `Booster.predict` do at its end. A row's score does not depend on who scores it, or with whom.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ml_assets.metrics.ranking import IntArray, top_k
from ml_assets.registry.versions import VersionRef
from ml_assets.scoring.predictor import Predictor
from ml_assets.storage.file_lock import file_lock
from ml_assets.storage.files import replace_file

INPUTS = b"inputs"
"""Parquet metadata of a published result: the content address of what it was scored from."""

PIECE = 30_000
"""Rows a thread loads, scores and ranks at a time, about: bounds the memory, never the result. No power of two, with
which the values of a row, one column apart, would all fall on the same lines of the processor's cache."""

PART = 16
"""Pieces whose ranked rows are kept by one write: what a killed run does again at most."""


@dataclass(frozen=True)
class Piece:
    """Rows of some groups; `stop` is where the next piece begins, in whatever the pieces are counted in.

    `load` gives the keys, the ranked item last (a group is a run of equal other keys), and the features as
    `Predictor` takes them.
    """

    stop: int
    load: Callable[[], tuple[pa.Table, pa.Table]]


def score_in_parts(
    pieces: Callable[[int], Iterable[Piece]],
    folder: Path,
    ref: VersionRef,
    *,
    k: int | None,
    threads: int,
    progress: Callable[[int], None] | None = None,
) -> list[Path]:
    """Keep the k best rows of each group, with `rank` and `score`, in Parquet parts; returns the parts in order.

    Parts that are in the folder are kept and what they hold is not scored again.

    Args:
        pieces: gives the pieces from a position on; where a piece ends depends on where it begins alone.
        folder: takes the parts, `<begin>-<stop>.parquet`.
        ref: the model version.
        k: rows kept per group, ranked 1..k; ties go to the earlier row. None: every row, with `score` only.
        threads: pieces scored at the same time.
        progress: called with the position reached.
    """
    parts, at = _finished(folder)
    ranked = _ranked(pieces(at), ref, k, threads)
    while tables := list(islice(ranked, PART)):
        stop = tables[-1][0]
        parts.append(folder / f"{at:012d}-{stop:012d}.parquet")
        with replace_file(parts[-1]) as aside:
            pq.write_table(pa.concat_tables(table for _, table in tables), aside)
        at = stop
        if progress:
            progress(at)
    return parts


def join_parts(parts: Sequence[Path], out: Path, inputs: str, schema: pa.Schema | None = None) -> int:
    """Stream the parts into one published file that says what it was made from; returns its rows.

    Args:
        parts: Parquet files of one schema.
        out: the file they become.
        inputs: content address of what they were made from.
        schema: of the file, columns as in the parts, whatever their names; needed when there may be no part.
    """
    schema = (schema or pq.read_schema(parts[0])).with_metadata({INPUTS: inputs})
    total = 0
    with replace_file(out) as aside, pq.ParquetWriter(aside, schema) as writer:
        for part in parts:
            table = pq.ParquetFile(part).read()
            writer.write_table(table.rename_columns(schema.names).cast(schema))
            total += len(table)
    return total


@contextmanager
def work_folder(out: Path, inputs: str) -> Iterator[Path]:
    """The folder beside a result for what it is put together from; it stays when the block breaks off.

    One process at a time works on a result. What was begun from other inputs is removed.
    """
    work = out.parent / f".{out.name}-{inputs}"
    with file_lock(out.parent / f".{out.name}.lock"):
        for stale in out.parent.glob(f".{out.name}-*"):
            if stale != work:
                shutil.rmtree(stale)
        work.mkdir(exist_ok=True)
        yield work
        shutil.rmtree(work)


def published(out: Path, inputs: str) -> int | None:
    """Rows of the result if it is there and was made from these inputs."""
    if not out.exists() or (pq.read_schema(out).metadata or {}).get(INPUTS) != inputs.encode():
        return None
    return int(pq.read_metadata(out).num_rows)


def check_features(ref: VersionRef, known: Iterable[str]) -> None:
    """Refuse to score without a feature.

    Raises:
        KeyError: naming the features that the version needs and are not known.
    """
    missing = sorted(set(ref.features) - set(known))
    if missing:
        raise KeyError(f"version {ref.version} needs features {missing}, which are no longer defined")


def groups(keys: pa.Table) -> IntArray:
    """[n] number of the run of equal keys each row is in, from 0."""
    starts = np.zeros(len(keys), dtype=bool)
    for column in keys.itercolumns():
        values = column.combine_chunks()
        starts[1:] |= np.asarray(pc.not_equal(values.slice(1), values.slice(0, max(len(values) - 1, 0))))
    return np.cumsum(starts, dtype=np.int64)


def best(scores: NDArray[np.float64], group: IntArray, k: int) -> tuple[IntArray, IntArray]:
    """`metrics.top_k`, which then need not sort the rows below each group's k-th best score.

    Args:
        scores: [n] higher is better.
        group: [n] ascending from 0, without gaps.
        k: rows per group at most.
    """
    sizes = np.bincount(group)
    width = max(int(sizes.max(initial=0)), k)
    row = np.arange(len(scores))
    if len(sizes) * width <= 4 * len(scores):  # groups of like size: as a matrix
        padded = np.full((len(sizes), width), -np.inf)
        padded[group, row - np.repeat(np.cumsum(sizes) - sizes, sizes)] = scores
        floor = np.partition(padded, width - k, axis=1)[:, width - k]
        row = np.flatnonzero(scores >= floor[group])
    chosen, rank = top_k(scores[row], group[row], k)
    return row[chosen], rank


def _finished(folder: Path) -> tuple[list[Path], int]:
    """The parts that are there, in order, and the position they reach."""
    parts = sorted(folder.glob("????????????-????????????.parquet"))
    return parts, int(parts[-1].stem[13:]) if parts else 0


def _kept(keys: pa.Table, scores: NDArray[np.float64], k: int | None) -> pa.Table:
    if k is None:
        return keys.append_column("score", pa.array(scores))
    row, rank = best(scores, groups(keys.select(keys.column_names[:-1])), k)
    found = keys.take(pa.array(row)).append_column("rank", pa.array(rank.astype(np.int32)))
    return found.append_column("score", pa.array(scores[row]))


def _ranked(pieces: Iterable[Piece], ref: VersionRef, k: int | None, threads: int) -> Iterator[tuple[int, pa.Table]]:
    """Where each piece ends and its best rows, in order; a thread takes its next piece when it is done with the last.

    So whoever reads the pieces is one of those who score them, and there are no more threads than were asked for.
    """
    own, turn, numbered = threading.local(), threading.Lock(), enumerate(pieces)

    def score_next() -> tuple[int, int, pa.Table] | None:
        if not hasattr(own, "predict"):
            own.predict = Predictor(ref)
        with turn:
            number, piece = next(numbered, (0, None))
        if piece is None:
            return None
        keys, features = piece.load()
        return number, piece.stop, _kept(keys, own.predict(features), k)

    pool, ready, at = ThreadPoolExecutor(threads, thread_name_prefix="score"), {}, 0
    try:
        running = {pool.submit(score_next) for _ in range(2 * threads)}
        while running:
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            for scored in (future.result() for future in ended):
                if scored is not None:
                    number, stop, found = scored
                    ready[number] = stop, found
                    running.add(pool.submit(score_next))
            while at in ready:
                yield ready.pop(at)
                at += 1
    finally:
        pool.shutdown(cancel_futures=True)
