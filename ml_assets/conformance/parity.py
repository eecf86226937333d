"""Online equals offline, for the keys that are really asked about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq

from ml_assets.conformance.context import Context
from ml_assets.conformance.verdict import Finding, judged
from ml_assets.datasets.cutoffs import CATEGORY, midnight
from ml_assets.datasets.training_set import ROWS

if TYPE_CHECKING:
    import pandas as pd

SAMPLE = 500
"""Keys compared at most."""
TOLD = 3
"""Differing values an answer names."""


def parity(subject: Context) -> Finding:
    """Of the newest decision's candidates, or the newest events, both stores have the same values."""
    from feature_repo.parity import check_parity, materialized_for
    from feature_repo.store import open_store

    store, service = open_store(subject.settings), subject.spec.feature_service
    moment = materialized_for(store, service)
    report = check_parity(store, moment, service=service, keys=_keys(subject))
    told = "; ".join(
        f"{each.feature} of {'/'.join(each.key)} is {each.offline:g} offline, {each.online:g} by {each.way}"
        for each in report.mismatches[:TOLD]
    )
    problem = None
    if not report.ok:
        problem = f"{len(report.mismatches):,} values differ, first: {told}" if told else "there was nothing to compare"
    return judged(
        problem,
        f"{report.rows:,} newest keys x {report.features} features at {moment:%Y-%m-%d %H:%M}: the online store, "
        "through Feast and as the server reads it, has the values of the point-in-time join",
        keys=report.rows,
        features=report.features,
        mismatches=len(report.mismatches),
        moment=moment.isoformat(),
    )


def _keys(subject: Context) -> pd.DataFrame:
    """Texts, a column per join key, of the newest rows; spread over them where there are more than `SAMPLE`."""
    import pandas as pd

    spec = subject.spec
    if not spec.ranks:
        from feature_repo.declared import file_of
        from ml_assets.datasets.labelled_set import newest_events

        keys = file_of(spec.feature_service).keys(spec.feature_service)
        return pd.DataFrame(newest_events(spec, subject.settings, keys, SAMPLE), columns=list(keys), dtype=object)
    newest = max(day for days in subject.dataset.manifest.split.values() for day in days)
    columns = {spec.entity: "customer_id", spec.item: "product_id", CATEGORY: CATEGORY}
    late = [(spec.time, ">=", midnight(newest))]
    rows = pq.read_table(subject.dataset.path / ROWS, columns=list(columns), filters=late)
    rows = rows.take(np.unique(np.linspace(0, max(len(rows) - 1, 0), min(len(rows), SAMPLE)).astype(np.int64)))
    found: pd.DataFrame = rows.rename_columns([columns[name] for name in rows.column_names]).to_pandas()
    return found
