"""Batch predictions of a binary or regression model: every event of the spine whose label is still forming."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ml_assets.datasets.calendar import as_of
from ml_assets.datasets.cutoffs import EVENT_TIMESTAMP, NOW
from ml_assets.datasets.labelled import REQUEST
from ml_assets.datasets.labelled_set import check_numbers, keys_of
from ml_assets.scoring.event_file import ID
from ml_assets.scoring.pieces import PIECE, published, work_folder
from ml_assets.scoring.scored_events import Scorer, check, inputs_of, score_entities
from ml_assets.storage.files import replace_file
from ml_assets.storage.warehouse import connect

_UNLABELLED = """
select {columns}
from {spine} as spine
where {label} is null and {time} is not null
order by {time}, {entity}
"""


def predictions_of(by: Scorer, day: date) -> Path:
    """Where the predictions of a day are published."""
    home = by.settings.model_home(by.spec.name)
    return home / "batch_predictions" / f"event_day={day.isoformat()}" / "part.parquet"


def score_unlabelled(by: Scorer, *, rows: int = PIECE) -> tuple[Path, int]:
    """Predict the events of the spine that have no label yet, each with the features of its own time.

    Published as those of the newest day the spine has; a killed run goes on and ends with the same bytes.

    Args:
        by: what predicts.
        rows: rows of a piece: bounds the memory.

    Returns:
        The file (id, time, `known`, `probability` or `value`; by time and id), and its events.

    Raises:
        KeyError: when the features now defined lack one the version needs.
        ValueError: when a number of the spine is more than models read.
        WarehouseError: when there is no warehouse, or the spine is empty.
    """
    check(by)
    day = as_of(by.spec, by.settings).date() - timedelta(days=1)
    out = predictions_of(by, day)
    out.parent.mkdir(parents=True, exist_ok=True)
    inputs = inputs_of(by, [day.isoformat(), rows])
    with work_folder(out, inputs) as work:
        if (known := published(out, inputs)) is not None:
            return out, known
        entities = work / "entities.parquet"
        if not entities.exists():
            _write_entities(by, entities)
        return out, score_entities(by, entities, out, inputs, rows=rows)


def _write_entities(by: Scorer, entities: Path) -> None:
    from feature_repo.store import join_keys

    spec = by.spec
    columns = [
        f"{spec.entity}::varchar as {ID}",
        *(f"{sql} as {key}" for key, sql in keys_of(spec, join_keys(by.store, spec.feature_service)).items()),
        f"{spec.time}::timestamp as {EVENT_TIMESTAMP}",
        f"epoch({spec.time}::timestamp) as {NOW}",
        *(f"{name}::double as {REQUEST}{name}" for name in spec.request_features),
    ]
    sql = _UNLABELLED.format(
        columns=", ".join(columns), spine=spec.spine, label=spec.label, time=spec.time, entity=spec.entity
    )
    with connect(by.settings) as warehouse, replace_file(entities) as aside:
        check_numbers(spec, warehouse)
        stream: pa.RecordBatchReader = warehouse.sql(sql).to_arrow_reader(PIECE)
        with pq.ParquetWriter(aside, stream.schema) as writer:
            for batch in stream:
                writer.write_batch(batch)
