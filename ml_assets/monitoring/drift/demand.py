"""What customers want, by their own doing: the categories of all they look at and buy, whatever was shown to them.

Shown products follow the model and what it knows; demand does not wait for it. It is what the model is to predict, so
that a change of it matters whatever the features say: a category that did not exist when the model was trained is
in no feature, and hardly on any list, on the day a quarter of all visits turn to it.
"""

from __future__ import annotations

import numpy as np

from ml_assets.config.settings import Settings
from ml_assets.monitoring.drift.bins import CategoryBins
from ml_assets.monitoring.drift.psi import GROUPS, FloatArray
from ml_assets.monitoring.drift.windows import Days
from ml_assets.storage.warehouse import connect

DEMAND = "demand"
NAMES = 100
"""Categories with a bin of their own, the reference's most wanted ones; `other` is also what it never saw."""

_WANTED = f"""
create temp table wanted as
with categories as (
    select product_id, arg_max(category_id, (event_day, changed_at)) as {DEMAND}
    from stg_products
    where event_day <= $last
    group by product_id
)
select (event_day - $first)::smallint as nth, (hash(customer_id) % {GROUPS})::utinyint as grp, {DEMAND}
from stg_events
left join categories using (product_id)
where event_day between $first and $last
"""
_NAMES = f"""
select {DEMAND} from wanted
where nth in (select unnest($reference)) and {DEMAND} is not null
group by all order by count(*) desc, {DEMAND} limit {NAMES}
"""


def demand(settings: Settings, days: Days) -> tuple[CategoryBins, FloatArray] | None:
    """Events by category: bins fixed on the reference, rows [T days, G groups of customers, B bins].

    None where there is no warehouse to ask, or it holds no event of these days.

    Raises:
        WarehouseError: when the warehouse cannot be read.
    """
    if not settings.warehouse.exists():
        return None
    nth = days.nth
    with connect(settings) as warehouse:
        warehouse.execute(_WANTED, {"first": days.all[0], "last": days.all[-1]})
        reference = nth[: len(days.reference)].tolist()
        names = warehouse.execute(_NAMES, {"reference": reference}).fetchall()
        if not names:
            return None
        bins = CategoryBins(DEMAND, tuple(name for (name,) in names))
        counted = (
            f"select nth, grp, {bins.sql} as bin, count(*) as n from wanted where nth in ({_listed(nth)}) group by all"
        )
        found = warehouse.execute(counted).fetchnumpy()
    counts = np.zeros((len(nth), GROUPS, bins.size))
    counts[np.searchsorted(nth, np.asarray(found["nth"], dtype=np.int64)), found["grp"], found["bin"]] = found["n"]
    return bins, counts


def _listed(numbers: np.ndarray) -> str:
    return ", ".join(map(str, numbers.tolist()))
