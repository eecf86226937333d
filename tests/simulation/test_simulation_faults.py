"""Dirty rows: every kind there is, about as many as asked for, each one truly unusable."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_assets.simulation.export import EVENT_COLUMNS, text_schema
from ml_assets.simulation.faults import EVENT_FAULTS, PRODUCT_FAULTS, FaultKind, damage_events

DAY = datetime(2026, 3, 1)


def _table(rows: int) -> pa.Table:
    one = ["2026-0", "2026-03-01T10:00:00", "C1", "P1", "view", "S1", "1", "9.99", "DE"]
    columns = [pa.array([f"{value}{n}" if c == 0 else value for n in range(rows)]) for c, value in enumerate(one)]
    return pa.table(columns, schema=text_schema(EVENT_COLUMNS))


def test_all_kinds_occur_at_about_the_configured_share(spec, history):
    kinds = Counter(kind for files in history for kind in files.faults["kind"].to_pylist())
    rows = sum(files.events.num_rows for files in history)
    assert set(kinds) == set(EVENT_FAULTS)
    assert 0.8 < sum(kinds.values()) / rows / spec.dirty_share < 1.2
    assert max(kinds.values()) < 2.5 * min(kinds.values())


def test_the_catalogue_has_faults_too_but_loses_no_product(history):
    kinds = {kind for files in history for kind in files.product_faults["kind"].to_pylist()}
    assert kinds and kinds <= set(PRODUCT_FAULTS)
    for files in history:
        added = files.product_faults["row"].to_pylist()
        assert added == list(range(files.products.num_rows - len(added), files.products.num_rows))


def test_the_truth_is_not_in_the_file(history):
    assert not {"kind", "fault", "reason"} & set(history[0].events.column_names)


def _unusable(row: dict[str, str | None], kind: str, first_of_its_id: bool, day: datetime) -> bool:
    try:
        when = datetime.fromisoformat(row["ts"] or "")
        price, quantity = float(row["price"] or "x"), int(row["quantity"] or "x")
    except ValueError:
        return kind in (FaultKind.WRONG_TYPE, FaultKind.MISSING)
    verdicts = {
        FaultKind.MISSING: None in (row[c] for c in ("event_id", "customer_id", "product_id", "event_type")),
        FaultKind.OUT_OF_RANGE: price <= 0 or quantity <= 0,
        FaultKind.UNKNOWN_EVENT_TYPE: row["event_type"] not in ("view", "cart", "purchase"),
        FaultKind.OUTLIER: price >= 70_000 or quantity >= 200_000,
        FaultKind.UNKNOWN_PRODUCT: (row["product_id"] or "") >= "P90000",
        FaultKind.DUPLICATE: not first_of_its_id,
        FaultKind.FUTURE: when >= day + timedelta(days=1),
        FaultKind.TOO_LATE: when < day - timedelta(days=9),
    }
    return verdicts.get(FaultKind(kind), False)


def test_every_faulty_row_is_what_its_kind_says(history):
    for files in history:
        rows = files.events.to_pylist()
        seen: set[str | None] = set()
        first = [not (row["event_id"] in seen or seen.add(row["event_id"])) for row in rows]
        midnight = datetime.combine(files.day, datetime.min.time())
        for at, kind in zip(*files.faults.to_pydict().values(), strict=True):
            assert _unusable(rows[at], kind, first[at], midnight), (kind, rows[at])


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(0, 300), share=st.floats(0, 0.5), seed=st.integers(0, 2**32 - 1))
def test_rows_not_named_as_faulty_are_untouched(rows, share, seed):
    table = _table(rows)
    damaged, faults = damage_events(table, share, DAY, np.random.default_rng(seed))
    bad = set(faults["row"].to_pylist())
    assert len(bad) == faults.num_rows <= rows
    assert abs(len(bad) - rows * share) <= 1
    kept = [row for row in range(damaged.num_rows) if row not in bad]
    assert damaged.take(pa.array(kept, pa.int64())).equals(table.take(pa.array(kept, pa.int64())))


@pytest.mark.parametrize("share", [0.0])
def test_no_share_no_faults(share):
    damaged, faults = damage_events(_table(50), share, DAY, np.random.default_rng(1))
    assert damaged.equals(_table(50)) and faults.num_rows == 0
