"""One decision: whom to rank what for, as far as it was known then."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ml_assets.config.model_spec import ModelSpec
from ml_assets.retrieval.index import RetrievalIndex

CATEGORY, EVENT_TIMESTAMP, NOW = "category_id", "event_timestamp", "now"
POPULARITY_DAYS = 28

_ITEMS = """
with

recent as (
    select distinct product_id, customer_id
    from int_sessions
    where event_day < $day and event_day >= $since and orders > 0
),

known as (
    select product_id from stg_products where event_day < $day
    union
    select product_id from int_sessions where event_day < $day
)

select
    product_id,
    (count(customer_id) + 1) / ((select count(distinct customer_id) from recent) + 1) as share
from known
left join recent using (product_id)
group by product_id
order by product_id
"""


def midnight(day: date) -> datetime:
    """The decision time of a decision day: its first moment, UTC, naive."""
    return datetime.combine(day, time())


def candidate_table(index: RetrievalIndex, customers: Sequence[str], spec: ModelSpec) -> pa.Table:
    """Candidates of the customers, ordered by customer and product: keys, category_id, a column per source.

    Args:
        index: the retrieval index as of the decision.
        customers: distinct customers, sorted.
        spec: the model.
    """
    found = index.candidates(customers)
    names = np.argsort(np.asarray(index.products, dtype=object), kind="stable").argsort()
    order = np.lexsort((names[found.product], found.row_customer))
    customer, product = pa.array(found.row_customer[order]), pa.array(found.product[order])
    scores = np.asarray(found.scores[order], dtype=np.float32)
    return pa.table(
        {
            spec.entity: pa.array(customers, pa.string()).take(customer),
            spec.item: pa.array(index.products, pa.string()).take(product),
            CATEGORY: pa.array(index.categories, pa.string()).take(product),
            **{f"retrieval__{name}": pa.array(scores[:, at]) for at, name in enumerate(found.source_names)},
        }
    )


def at_decision(table: pa.Table, when: datetime, spec: ModelSpec) -> pa.Table:
    """The table with its decision time, as the model, Feast (event_timestamp) and `derived` (now) call it."""
    stamp = pa.array(np.full(len(table), np.datetime64(when, "us")), pa.timestamp("us"))
    now = np.full(len(table), when.replace(tzinfo=UTC).timestamp())
    for name, column in ((spec.time, stamp), (EVENT_TIMESTAMP, stamp), (NOW, pa.array(now))):
        table = table.append_column(name, column)
    return table


def spine_of(warehouse: duckdb.DuckDBPyConnection, spec: ModelSpec, day: date) -> pa.Table:
    """The decision's spine rows of customers with at least one relevant product, by customer and product.

    Of more than `split.customers` such customers a sample is taken, drawn anew for each decision by hash.
    """
    wanted = [
        spec.entity,
        spec.time,
        spec.item,
        spec.label,
        *((spec.revenue,) if spec.revenue else ()),
        *spec.slices,
    ]
    sql = f"""
        with

        asked as (
            select {spec.entity}
            from {spec.spine}
            where {spec.time} = $at
            group by {spec.entity}
            having max({spec.label}) >= $grade
            order by md5($at::varchar || {spec.entity}), {spec.entity}
            limit $customers
        )

        select {", ".join(wanted)}
        from {spec.spine}
        where {spec.time} = $at and {spec.entity} in (select {spec.entity} from asked)
        order by {spec.entity}, {spec.item}
    """
    values = {"at": midnight(day), "grade": spec.relevance_threshold, "customers": spec.split.customers}
    rows: pa.Table = warehouse.sql(sql, params=values).to_arrow_table()
    return rows.set_column(1, spec.time, rows[spec.time].cast(pa.timestamp("us")))


def check_grades(warehouse: duckdb.DuckDBPyConnection, spec: ModelSpec, days: Sequence[date]) -> None:
    """Refuse labels that the ranker has no gain for, before anything is built from them.

    Raises:
        ValueError: naming rows, an example and what to do.
    """
    label = f"try_cast({spec.label} as double)"
    [(rows, example, first)] = warehouse.execute(
        f"""select count(*), any_value({spec.label}::varchar), min({spec.time}) from {spec.spine}
        where {spec.time}::date in (select unnest($days))
            and not coalesce({label} between 0 and {spec.most_grade} and {label} = floor({label}), false)""",
        {"days": list(days)},
    ).fetchall()
    if rows:
        raise ValueError(
            f"{spec.spine}: {spec.label} is no grade in {rows:,} rows, e.g. {example}, the first at {first}: "
            f"the ranker learns whole numbers from 0 to {spec.most_grade}, each worth about twice the one below. Make "
            "grades of them in the spine (of counts, for example, their logarithm), or say training.params.label_gain"
        )


def items_of(warehouse: duckdb.DuckDBPyConnection, day: date) -> pa.Table:
    """The catalogue known at the decision: product_id, share of the last four weeks' buyers who bought it.

    Smoothed by one ((buyers + 1) / (all buyers + 1)), so that an unsold product has a finite novelty.
    """
    since = day - timedelta(days=POPULARITY_DAYS)
    return warehouse.sql(_ITEMS, params={"day": day, "since": since}).to_arrow_table()


def labels_of(candidates: pa.Table, spine: pa.Table, spec: ModelSpec) -> NDArray[np.int32]:
    """[rows] label of each candidate: the spine's, or 0 where the customer did nothing with the product."""
    customers = pc.unique(spine[spec.entity])
    items = pc.unique(spine[spec.item])
    asked = _keys(candidates, customers, items, spec)
    known = _keys(spine, customers, items, spec)
    order = np.argsort(known, kind="stable")
    at = order[np.minimum(np.searchsorted(known[order], asked), len(known) - 1)]
    label = spine[spec.label].to_numpy().astype(np.int32)
    return np.where((asked >= 0) & (known[at] == asked), label[at], 0).astype(np.int32)


def _keys(table: pa.Table, customers: pa.Array, items: pa.Array, spec: ModelSpec) -> NDArray[np.int64]:
    """A number for each (customer, product); negative where either is not in the spine."""
    customer = pc.fill_null(pc.index_in(table[spec.entity], value_set=customers), -1).to_numpy()
    item = pc.fill_null(pc.index_in(table[spec.item], value_set=items), -1).to_numpy()
    key = customer.astype(np.int64) * len(items) + item
    return np.asarray(np.where((customer < 0) | (item < 0), -1, key), dtype=np.int64)
