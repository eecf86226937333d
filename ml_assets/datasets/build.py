"""Build a training set: per decision candidates and labels, then features by one point-in-time join."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ml_assets.config.model_spec import ModelSpec, SplitSpec
from ml_assets.config.settings import Settings
from ml_assets.datasets import fingerprint
from ml_assets.datasets.calendar import split_now
from ml_assets.datasets.code import data_code, version_of
from ml_assets.datasets.cutoffs import (
    CATEGORY,
    EVENT_TIMESTAMP,
    NOW,
    at_decision,
    candidate_table,
    check_grades,
    items_of,
    labels_of,
    midnight,
    spine_of,
)
from ml_assets.datasets.sampling import keep_negatives
from ml_assets.datasets.split import Part, Split
from ml_assets.datasets.training_set import (
    BASELINES,
    ITEMS,
    MANIFEST,
    ROWS,
    TRUTH,
    DatasetRef,
    Manifest,
    PartCounts,
)
from ml_assets.metrics.ranking import LIST_LENGTH
from ml_assets.storage.files import publish_folder, sha256_file
from ml_assets.storage.warehouse import connect

if TYPE_CHECKING:
    from feast import FeatureStore

Progress = Callable[[str, int, int], None]

EVALUATED = (Part.VALIDATION, Part.TEST, Part.HOLDOUT)
JUDGED = (Part.TEST, Part.HOLDOUT)


@dataclass
class _Tally:
    """Running counts of one part."""

    decisions: int = 0
    groups: int = 0
    rows: int = 0
    relevant: int = 0
    reached: int = 0

    def counts(self) -> PartCounts:
        ceiling = self.reached / self.relevant if self.relevant else 0.0
        return PartCounts(**{**vars(self), "ceiling": ceiling})


@dataclass
class _Build:
    """What the steps of one build share: inputs, where to write, open writers and running counts."""

    spec: ModelSpec
    folder: Path
    warehouse: duckdb.DuckDBPyConnection
    interactions: pa.Table
    catalogue: pa.Table
    tally: dict[Part, _Tally] = field(default_factory=lambda: {part: _Tally() for part in Part})
    writers: dict[str, pq.ParquetWriter] = field(default_factory=dict)
    groups: int = 0

    def write(self, name: str, table: pa.Table) -> None:
        """Append a table to a Parquet file of the folder."""
        if name not in self.writers:
            self.writers[name] = pq.ParquetWriter(self.folder / name, table.schema)
        self.writers[name].write_table(table.cast(self.writers[name].schema))

    def close(self) -> None:
        """Finish every file."""
        for writer in self.writers.values():
            writer.close()


def build_training_set(
    spec: ModelSpec,
    settings: Settings,
    store: FeatureStore,
    progress: Progress | None = None,
    *,
    split: SplitSpec | None = None,
    newest: date | None = None,
    into: Path | None = None,
) -> DatasetRef:
    """Build the model's training set, or find it: it is addressed by its spec, data and code.

    Of a ranking: for each decision the customers who bought (label >= `relevance_threshold`) are given candidates by a
    retrieval index that ends at the decision; candidates are labelled from the spine; train groups keep `negatives`
    unlabelled candidates. Of a binary or regression model: the labelled events of the spine. One point-in-time join
    adds the features. Folder layout: see `training_set`.

    Args:
        spec: the model.
        settings: the deployment; its warehouse is read, never written.
        store: the feature store with the model's feature service applied.
        progress: called with (message, decisions done, decisions in all).
        split: another cut than the spec's own; it counts for the address like the spec's.
        newest: no decision after this one is looked at; default all whose labels are complete.
        into: folder that takes its folder; default the model's training sets.

    Raises:
        ValueError: when there are too few decisions to split, or the spine is not what the spec says.
        WarehouseError: when the warehouse cannot be read.
    """
    spec = spec if split is None else spec.model_copy(update={"split": split})
    with connect(settings) as warehouse:
        cut = split_now(warehouse, spec, newest)
        last = max(day for _, day in cut.items())
        data = fingerprint.data_versions(warehouse, spec, last + timedelta(days=spec.horizon_days))
        code = data_code(spec)
        address = fingerprint.training_set_address(spec, data, version_of(code))
        folder = (into or settings.model_home(spec.name) / "training_sets") / address
        if (folder / MANIFEST).exists():
            return DatasetRef(folder)
    with publish_folder(folder) as aside:
        counts, features = _written(spec, settings, store, cut, aside, progress=progress)
        _check_parts(spec, counts)
        manifest = Manifest(
            fingerprint=address,
            model=spec.name,
            features=features,
            split={part: getattr(cut, part.value) for part in Part},
            counts=counts,
            data=data,
            code=version_of(code),
            spec=fingerprint.described(spec),
            sources=code,
            files={file.name: sha256_file(file) for file in sorted(aside.iterdir())},
        )
        (aside / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n")
    return DatasetRef(folder)


def _written(
    spec: ModelSpec, settings: Settings, store: FeatureStore, cut: Split, folder: Path, *, progress: Progress | None
) -> tuple[dict[Part, PartCounts], tuple[str, ...]]:
    """Write the training set's files; what each part holds, and the names of the features."""
    if spec.ranks:
        tally = _write_decisions(spec, settings, cut, folder, progress)
        counts = {part: tally[part].counts() for part in Part}
        return counts, _join_features(spec, store, folder)
    from ml_assets.datasets.labelled_set import write_labelled

    with connect(settings) as warehouse:
        return write_labelled(spec, warehouse, store, cut, folder)


def _check_parts(spec: ModelSpec, counts: dict[Part, PartCounts]) -> None:
    empty = [part.value for part in Part if counts[part].decisions and not counts[part].groups]
    if empty:
        wanted = f"customer with a label of at least {spec.relevance_threshold}" if spec.ranks else "labelled event"
        remedy = "ingest more days, or lower relevance_threshold" if spec.ranks else "ingest more days"
        raise ValueError(f"{spec.spine}: no {wanted} in {', '.join(empty)}; {remedy}")


def _write_decisions(
    spec: ModelSpec, settings: Settings, split: Split, folder: Path, progress: Progress | None
) -> dict[Part, _Tally]:
    """Write entities (candidates with labels, no features yet), truth, items and baselines."""
    from ml_assets.retrieval.history import read_catalogue, read_interactions

    days = [day for _, day in split.items()]
    with connect(settings) as warehouse:
        check_grades(warehouse, spec, days)
        reach = spec.retrieval.history_days + (max(days) - min(days)).days
        build = _Build(
            spec,
            folder,
            warehouse,
            read_interactions(warehouse, max(days), reach),
            read_catalogue(warehouse, max(days)),
        )
        try:
            for done, (part, day) in enumerate(split.items(), start=1):
                _write_decision(build, part, day)
                if progress:
                    progress(f"candidates of {part.value} decision {day}", done, len(days))
        finally:
            build.close()
    return build.tally


def _write_decision(build: _Build, part: Part, day: date) -> None:
    from ml_assets.retrieval.index import build_index

    spec = build.spec
    spine = spine_of(build.warehouse, spec, day)
    customers = pc.unique(spine[spec.entity]).to_pylist()
    tally = build.tally[part]
    tally.decisions += 1
    if not customers:
        return
    index = build_index(build.interactions, build.catalogue, midnight(day), spec.retrieval)
    rows = at_decision(candidate_table(index, customers, spec), midnight(day), spec)
    label = labels_of(rows, spine, spec)
    tally.relevant += int((spine[spec.label].to_numpy() >= spec.relevance_threshold).sum())
    tally.reached += int((label >= spec.relevance_threshold).sum())
    group = pc.index_in(rows[spec.entity], value_set=pa.array(customers)).to_numpy()
    if part is Part.TRAIN:
        keep = keep_negatives(label, group, spec.training.negatives, (spec.training.seed, day.toordinal()))
        rows, label, group = rows.filter(pa.array(keep)), label[keep], group[keep]
    rows = _marked(rows, part, label, group + build.groups, spec)
    build.groups += len(customers)
    tally.groups += len(np.unique(group))
    tally.rows += len(rows)
    build.write("entities.parquet", rows)
    if part in EVALUATED:
        build.write(TRUTH, _with_part(spine, part))
        build.write(ITEMS, _items(build, part, day))
    if part in JUDGED:
        build.write(BASELINES, _baselines(build, customers, day))


def _marked(rows: pa.Table, part: Part, label: np.ndarray, group: np.ndarray, spec: ModelSpec) -> pa.Table:
    rows = rows.append_column(spec.label, pa.array(label, pa.int32()))
    return _with_part(rows, part).append_column("group", pa.array(group.astype(np.int32)))


def _with_part(table: pa.Table, part: Part) -> pa.Table:
    return table.append_column("split", pa.array([part.value] * len(table), pa.string()))


def _items(build: _Build, part: Part, day: date) -> pa.Table:
    items = items_of(build.warehouse, day).rename_columns([build.spec.item, "share"])
    stamp = np.full(len(items), np.datetime64(midnight(day), "us"))
    return _with_part(items.append_column(build.spec.time, pa.array(stamp, pa.timestamp("us"))), part)


def _baselines(build: _Build, customers: list[str], day: date) -> pa.Table:
    """The ranked lists of every baseline for the decision's customers, with the column `contender`."""
    from ml_assets.datasets.ranking_baselines import baseline_lists

    stamps = pa.array([midnight(day)] * len(customers), pa.timestamp("us"))
    requests = pa.table({"customer_id": pa.array(customers, pa.string()), "decision_ts": stamps})
    lists = baseline_lists(build.interactions, build.catalogue, requests, LIST_LENGTH)
    names = {"customer_id": build.spec.entity, "decision_ts": build.spec.time, "product_id": build.spec.item}
    return lists.rename_columns([names.get(name, name) for name in lists.column_names])


def _join_features(spec: ModelSpec, store: FeatureStore, folder: Path) -> tuple[str, ...]:
    """Join the features onto the entities into `rows.parquet`, float32; returns the feature names."""
    from feature_repo.historical import training_frame

    entities = folder / "entities.parquet"
    training_frame(store, spec.feature_service, entities, folder / ROWS)
    entities.unlink()
    keys = {spec.entity, spec.time, spec.item, CATEGORY, spec.label, "split", "group", EVENT_TIMESTAMP, NOW}
    return tuple(name for name in pq.read_schema(folder / ROWS).names if name not in keys)
