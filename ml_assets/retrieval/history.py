"""What retrieval reads from the warehouse: who did what when, and the catalogue's changes, bounded by a day.

Read once for the newest decision, both tables serve every earlier one too: `build_index` and the baselines
look only at days before their own decision.
"""

from __future__ import annotations

from datetime import date, timedelta

import duckdb
import pyarrow as pa

INTERACTIONS = """
select customer_id, product_id, event_day, views, carts, orders, quantity, session_id
from int_sessions
where event_day < $before and event_day >= $since
order by event_day, session_id, customer_id, product_id
"""

CATALOGUE = """
select product_id, event_day, category_id, available
from (
    select *, row_number() over (partition by product_id, event_day order by changed_at desc) as newest
    from stg_products
    where event_day < $before
)
where newest = 1
order by event_day, product_id
"""


def read_interactions(warehouse: duckdb.DuckDBPyConnection, before: date, history_days: int = 730) -> pa.Table:
    """Interactions that arrived in the `history_days` before the day `before`.

    Grain: session x customer x product x day. Columns: customer_id, product_id, event_day, views, carts,
    orders (1 when anything was bought), quantity, session_id; in day order.

    Args:
        warehouse: an open connection to it.
        before: the first day that is not read.
        history_days: days that are read; 730 + the span of the decisions serves several of them.

    Raises:
        duckdb.Error: when the warehouse has not been built.
    """
    since = before - timedelta(days=history_days)
    return warehouse.sql(INTERACTIONS, params={"before": before, "since": since}).to_arrow_table()


def read_catalogue(warehouse: duckdb.DuckDBPyConnection, before: date) -> pa.Table:
    """Every product's state at the end of each day it changed on, for days before `before`.

    Columns: product_id, event_day, category_id, available; in day order.

    Raises:
        duckdb.Error: when the warehouse has not been built.
    """
    return warehouse.sql(CATALOGUE, params={"before": before}).to_arrow_table()
