"""Features by their definitions, in plain Python over the raw events: slow, and with no window in sight."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import duckdb

from ml_assets.ingestion.reading.readers import literal
from ml_assets.storage.files import exact_name

DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Event:
    day: dt.date
    customer: str
    product: str
    kind: str
    session: str
    quantity: int
    price: Fraction
    country: str | None
    order: tuple[dt.datetime, str]

    @property
    def revenue(self) -> Fraction:
        return self.quantity * self.price


@dataclass(frozen=True)
class News:
    day: dt.date
    product: str
    category: str
    price: float
    available: bool
    changed_at: dt.datetime


def _parts(lake: Path, table: str) -> str:
    files = ", ".join(literal(exact_name(path)) for path in sorted(lake.glob(f"{table}/*/*.parquet")))
    return f"read_parquet([{files}], hive_partitioning = true)"


def read_events(lake: Path) -> list[Event]:
    rows = duckdb.sql(
        "select event_day, customer_id, product_id, event_type, session_id, quantity, price, country,"
        f" event_ts, event_id from {_parts(lake, 'events')}"
        " order by event_day, event_ts, event_id"
    ).fetchall()
    return [
        Event(
            day,
            who,
            what,
            kind,
            session or f"{who}:{day}",
            quantity,
            Fraction(str(price)),
            country,
            (ts, identity),
        )
        for day, who, what, kind, session, quantity, price, country, ts, identity in rows
    ]


def read_news(lake: Path) -> list[News]:
    rows = duckdb.sql(
        "select event_day, product_id, category_id, price, available, changed_at"
        f" from {_parts(lake, 'products')}"
        " order by event_day, changed_at"
    ).fetchall()
    return [News(*row) for row in rows]


def within(events: list[Event], on: dt.date, days: int) -> list[Event]:
    return [e for e in events if on - (days - 1) * DAY <= e.day <= on]


def kinds(events: list[Event], kind: str) -> list[Event]:
    return [e for e in events if e.kind == kind]


def share(part: float | Fraction, whole: float | Fraction) -> float | None:
    return float(part) / float(whole) if whole else None


def counts_of(seen: list[Event], on: dt.date) -> dict[str, float]:
    return {
        f"{plural}_{days}d": len(kinds(within(seen, on, days), kind))
        for plural, kind in (("views", "view"), ("carts", "cart"), ("purchases", "purchase"))
        for days in (7, 28, 90)
    }


def buyers(seen: list[Event], on: dt.date, days: int) -> int:
    return len({e.customer for e in kinds(within(seen, on, days), "purchase")})


def mean_gap(days: set[dt.date]) -> float | None:
    return (max(days) - min(days)).days / (len(days) - 1) if len(days) > 1 else None


def decayed(weights: dict[dt.date, int], on: dt.date, half_life: float) -> float:
    return sum(weight * 2 ** (-(on - day).days / half_life) for day, weight in weights.items())


def per_day(seen: list[Event], *, distinct: bool = False) -> dict[dt.date, int]:
    found: dict[dt.date, int] = defaultdict(int)
    for event in seen:
        found[event.day] = 1 if distinct else found[event.day] + 1
    return found


def customer(events: list[Event], who: str, on: dt.date) -> dict[str, object]:
    """`feat_customer` at the end of that day."""
    seen = [e for e in events if e.customer == who and e.day <= on]
    bought = kinds(seen, "purchase")
    first_session = {s: min(e.day for e in seen if e.session == s) for s in {e.session for e in seen}}
    first_order = {s: min(e.day for e in bought if e.session == s) for s in {e.session for e in bought}}
    first_bought = {p: min(e.day for e in bought if e.product == p) for p in {e.product for e in bought}}
    recent, older = within(bought, on, 28), within(bought, on, 90)
    values: dict[str, object] = dict(counts_of(seen, on))
    for days in (7, 28, 90):
        since = on - (days - 1) * DAY
        values[f"sessions_{days}d"] = sum(day >= since for day in first_session.values())
        values[f"orders_{days}d"] = sum(day >= since for day in first_order.values())
    return values | {
        "revenue_28d": float(sum(e.revenue for e in recent)),
        "revenue_90d": float(sum(e.revenue for e in older)),
        "conversion_28d": share(values["purchases_28d"], values["views_28d"]),
        "avg_price_90d": share(sum(e.price for e in older), len(older)),
        "orders_total": len(first_order),
        "purchases_total": len(bought),
        "products_total": len(first_bought),
        "mean_order_gap_days": mean_gap({e.day for e in bought}),
        "repeat_share_90d": share(sum(first_bought[e.product] < e.day for e in older), len(older)),
        "first_seen_at": min(e.day for e in seen),
        "last_seen_at": max(e.day for e in seen),
        "last_order_at": max((e.day for e in bought), default=None),
        "country": next((e.country for e in sorted(seen, key=lambda e: (e.day, e.order))[::-1] if e.country), None),
    }


def newest(news: list[News], what: str, on: dt.date) -> News | None:
    known = [n for n in news if n.product == what and n.day <= on]
    return max(known, key=lambda n: (n.changed_at, n.day)) if known else None


def product(events: list[Event], news: list[News], what: str, on: dt.date) -> dict[str, object]:
    """`feat_product` at the end of that day."""
    seen = [e for e in events if e.product == what and e.day <= on]
    bought, recent = kinds(seen, "purchase"), within(seen, on, 28)
    listing = newest(news, what, on)
    days_of = {c: sorted({e.day for e in bought if e.customer == c}) for c in {e.customer for e in bought}}
    gaps = [(b - a).days for days in days_of.values() for a, b in pairwise(days)]
    last_day = [e for e in seen if e.day == max(e.day for e in seen)] if seen else []
    price = listing.price if listing else float(sum(e.price for e in last_day) / len(last_day))
    shown = float(sum(e.price for e in recent) / len(recent)) if recent else None
    changed = [n.changed_at.date() for n in news if n.product == what and n.day <= on]
    values: dict[str, object] = dict(counts_of(seen, on))
    return values | {
        **{f"buyers_{days}d": buyers(seen, on, days) for days in (7, 14, 28, 90)},
        "revenue_28d": float(sum(e.revenue for e in kinds(recent, "purchase"))),
        "conversion_28d": share(values["purchases_28d"], values["views_28d"]),
        "cart_rate_28d": share(values["carts_28d"], values["views_28d"]),
        "trend_7_28": share(values["purchases_7d"] / 7, values["purchases_28d"] / 28),
        "price": price,
        "price_change_28d": price / shown if shown else None,
        "repurchase_rate": share(sum(len(days) > 1 for days in days_of.values()), len(days_of)),
        "mean_repurchase_gap_days": share(sum(gaps), len(gaps)),
        "buyers_total": len(days_of),
        "first_listed_at": min([e.day for e in seen] + changed),
        "last_purchase_at": max((e.day for e in bought), default=None),
        "available": listing.available if listing else True,
        "category_id": listing.category if listing else "unknown",
    }


def category(of: dict[Event, str], what: str, on: dt.date) -> dict[str, object]:
    """`feat_category` at the end of that day; `of` gives each event's category, as known on its day."""
    seen = [e for e, name in of.items() if name == what and e.day <= on]
    recent = kinds(within(seen, on, 28), "purchase")
    values: dict[str, object] = dict(counts_of(seen, on))
    return values | {
        **{f"buyers_{days}d": buyers(seen, on, days) for days in (7, 28, 90)},
        "revenue_28d": float(sum(e.revenue for e in recent)),
        "conversion_28d": share(values["purchases_28d"], values["views_28d"]),
        "trend_7_28": share(values["purchases_7d"] / 7, values["purchases_28d"] / 28),
        "avg_price_28d": share(sum(e.price for e in recent), len(recent)),
    }


def customer_product(events: list[Event], who: str, what: str, on: dt.date) -> dict[str, object]:
    """`feat_customer_product` at the end of that day."""
    seen = [e for e in events if e.customer == who and e.product == what and e.day <= on]
    views, carts, bought = (kinds(seen, kind) for kind in ("view", "cart", "purchase"))
    days = {e.day for e in bought}
    before = [e for e in events if e.customer == who and e.kind == "purchase" and days and e.day < min(days)]
    return {
        "views_total": len(views),
        "carts_total": len(carts),
        "orders_total": len(days),
        "quantity_total": sum(e.quantity for e in bought),
        "last_view_at": max((e.day for e in views), default=None),
        "last_cart_at": max((e.day for e in carts), default=None),
        "last_purchase_at": max(days, default=None),
        "first_purchase_at": min(days, default=None),
        **{f"purchases_hl{hl}": decayed(per_day(bought, distinct=True), on, hl) for hl in (7, 28, 90)},
        "views_hl7": decayed(per_day(views), on, 7),
        "carts_hl7": decayed(per_day(carts), on, 7),
        "mean_gap_days": mean_gap(days),
        "customer_orders_at_first": len({e.session for e in before}) if days else None,
    }


def customer_category(of: dict[Event, str], who: str, what: str, on: dt.date) -> dict[str, object]:
    """`feat_customer_category` at the end of that day."""
    seen = [e for e, name in of.items() if name == what and e.customer == who and e.day <= on]
    views, bought = kinds(seen, "view"), kinds(seen, "purchase")
    return {
        "purchases_total": len(bought),
        "views_total": len(views),
        "purchases_hl28": decayed(per_day(bought), on, 28),
        "purchases_hl90": decayed(per_day(bought), on, 90),
        "views_hl7": decayed(per_day(views), on, 7),
        "revenue_total": float(sum(e.revenue for e in bought)),
        "last_purchase_at": max((e.day for e in bought), default=None),
    }
