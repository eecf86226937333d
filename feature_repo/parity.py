"""The same keys at the same time: equal features offline (training), online (Feast), in the model server?"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from feast import FeatureStore

from feature_repo.declared import SHOP_SERVICES, FeatureFile, file_of
from feature_repo.derived import derive, derived_of, numbers, stored_for
from feature_repo.historical import joined
from feature_repo.materialization import online_store
from feature_repo.online import open_reader
from feature_repo.store import feature_names, references
from feature_repo.stores.description import OnlineStoreError
from feature_repo.stores.session import instant, open_session
from feature_repo.stores.wide import table_of
from feature_repo.transforms import FloatArray

TOLERANCE = 1e-9
"""Relative: `2^x` may differ in its last bits between vector lengths; everything else is equal to the bit."""
STRANGER = "(never seen)"


@dataclass(frozen=True)
class Mismatch:
    """One value that differs between the offline store and a way of reading online."""

    feature: str
    key: tuple[str, ...]
    offline: float
    online: float
    way: str


@dataclass(frozen=True)
class ParityReport:
    """Rows and features compared, and every value that differs."""

    rows: int
    features: int
    mismatches: list[Mismatch] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether something was compared and nothing differs."""
        return self.rows > 0 and not self.mismatches


def check_parity(
    store: FeatureStore,
    as_of: datetime,
    sample: int = 500,
    seed: int = 7,
    service: str = "product_recommender",
    *,
    keys: pd.DataFrame | None = None,
) -> ParityReport:
    """Compare a sample of keys at `as_of`, the moment the online store was materialized for.

    Half of the sample are pairs with a history, half are customers and products that never met; a stranger
    is in it too. Of a service that a feature file declares, keys of its views are put together by chance. Values
    are equal when both are NaN, or equal to 1e-9 relative. Way `feast` is `get_online_features`, with the derived
    features of what it gives, way `reader` is `open_reader`.

    Args:
        store: the feature store.
        as_of: the moment.
        sample: keys compared.
        seed: of the sample.
        service: whose features are compared.
        keys: compare these instead of a sample: texts, a column per join key; a missing one is a stranger's.
    """
    moment = as_of.astimezone(UTC).replace(tzinfo=None) if as_of.tzinfo else as_of
    if keys is not None:
        keys = keys.fillna(STRANGER)
    elif service in SHOP_SERVICES:
        keys = _sample(store, moment, sample, seed)
    else:
        keys = _declared_sample(store, file_of(service), service, moment, sample=sample, seed=seed)
    names, now = feature_names(store, service), moment.replace(tzinfo=UTC).timestamp()
    rows = keys.assign(event_timestamp=pd.Timestamp(moment), now=now)
    offline = _offline(store, service, rows, names)
    ways = {"feast": _feast(store, service, keys, now, names), "reader": _reader(store, service, keys, now)}
    mismatches = [each for way, online in ways.items() for each in _differences(keys, names, offline, online, way)]
    return ParityReport(rows=len(keys), features=len(names), mismatches=mismatches)


def materialized_for(store: FeatureStore, service: str) -> datetime:
    """The moment (naive: UTC) up to which every view of a service is in the online store.

    Raises:
        OnlineStoreError: when one of them was never materialized.
    """
    asked = {each.name for each in store.get_feature_service(service).feature_view_projections}
    online, moments = online_store(store), []
    for view in (view for view in store.list_feature_views() if view.name in asked):
        known = online.progress(store.config, table_of(store.config, view))
        if known is None:
            raise OnlineStoreError(f"view {view.name} is not in the online store: materialize it first")
        moments.append(known.watermark)
    return datetime.fromtimestamp(min(moments) / 1e6, UTC).replace(tzinfo=None)


def _sample(store: FeatureStore, moment: datetime, sample: int, seed: int) -> pd.DataFrame:
    """Keys (customer_id, product_id, category_id), chosen by the data, `sample` and `seed` alone."""
    known = f"event_timestamp <= {instant(moment)}"
    sql = f"""
        with
        met as (
            select distinct customer_id, product_id from feat_customer_product where {known}
            order by hash(customer_id, product_id, $seed), 1, 2 limit $half
        ),
        customers as (
            select customer_id, row_number() over (order by hash(customer_id, $seed), 1) as place
            from (select distinct customer_id from feat_customer where {known})
            qualify place <= $half
        ),
        products as (
            select product_id, row_number() over (order by hash(product_id, $seed), 1) as place
            from (select distinct product_id from feat_product where {known})
            qualify place <= $half
        ),
        crossed as (
            select customer_id, product_id
            from customers, (select count(*) as n from products) as counted
            join products on products.place = 1 + (customers.place - 1) % counted.n
        ),
        pairs as (
            select * from met union select * from crossed union select '{STRANGER}', '{STRANGER}'
        ),
        categories as (
            select distinct on (product_id) product_id, category_id
            from feat_product where {known} order by product_id, event_timestamp desc
        )
        select customer_id, product_id, coalesce(category_id, '{STRANGER}') as category_id
        from pairs left join categories using (product_id)
        order by customer_id, product_id
    """
    with open_session(store.config) as connection:
        return connection.execute(sql, {"seed": seed, "half": max(1, sample // 2)}).df()


def _declared_sample(
    store: FeatureStore, file: FeatureFile, service: str, moment: datetime, *, sample: int, seed: int
) -> pd.DataFrame:
    """Rows of join keys: of each view `sample` keys at most, by hash, beside those of the others; a stranger last."""
    frames = []
    with open_session(store.config) as connection:
        for name in file.services[service].views:
            view = file.views[name]
            keys = ", ".join(file.entities[entity].key for entity in view.entities)
            frames.append(
                connection.execute(
                    f"select {keys} from (select distinct {keys} from {view.table} "
                    f"where event_timestamp <= {instant(moment)}) order by hash({keys}, $seed), {keys} limit $sample",
                    {"seed": seed, "sample": sample},
                ).df()
            )
    rows = pd.concat([_cycled(frame, sample) for frame in frames], axis=1)
    rows = rows.loc[:, ~rows.columns.duplicated()].fillna(STRANGER)
    return pd.concat([rows, pd.DataFrame([dict.fromkeys(rows.columns, STRANGER)])], ignore_index=True)


def _cycled(frame: pd.DataFrame, length: int) -> pd.DataFrame:
    """The frame's rows over and over, `length` in all (none when it has none)."""
    return frame.iloc[np.arange(length) % max(len(frame), 1)].reset_index(drop=True) if len(frame) else frame


def _offline(store: FeatureStore, service: str, rows: pd.DataFrame, names: list[str]) -> FloatArray:
    table = pa.concat_tables(joined(store, service, rows))
    return np.column_stack([numbers(table[name]) for name in names])


def _feast(store: FeatureStore, service: str, keys: pd.DataFrame, now: float, names: list[str]) -> FloatArray:
    rows: dict[str, Any] = {name: keys[name].tolist() for name in keys.columns}
    stored = stored_for(names)
    response = store.get_online_features(features=references(stored), entity_rows=rows, full_feature_names=True)
    found = response.to_dict()
    values = {name: np.array([_number(each) for each in found[name]]) for name in stored}
    if derived_of(service):
        values |= derive(values, np.full(len(keys), now))
    return np.column_stack([values[name] for name in names])


def _number(value: Any) -> float:
    """A value as Feast gives it: NaN when missing, a moment as unix seconds."""
    if value is None:
        return float("nan")
    return float(value.timestamp() if isinstance(value, datetime) else value)


def _reader(store: FeatureStore, service: str, keys: pd.DataFrame, now: float) -> FloatArray:
    reader = open_reader(online_store(store).address(store.config), service)
    return reader.read_keys({name: keys[name].tolist() for name in keys.columns}, now)


def _differences(
    keys: pd.DataFrame, names: list[str], offline: FloatArray, online: FloatArray, way: str
) -> list[Mismatch]:
    differ = ~np.isclose(offline, online, rtol=TOLERANCE, atol=0.0, equal_nan=True)
    return [
        Mismatch(
            feature=names[column],
            key=tuple(map(str, keys.iloc[row])),
            offline=float(offline[row, column]),
            online=float(online[row, column]),
            way=way,
        )
        for row, column in zip(*np.nonzero(differ), strict=True)
    ]
