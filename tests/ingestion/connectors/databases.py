"""A table of events in any database SQLAlchemy speaks to."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from tiny_shop import at

COLUMNS = ("event_id", "customer_id", "product_id", "event_type", "session_id", "quantity", "price", "country")


class EventTable:
    """The table `events`: a sequence, when a row was written, and an event."""

    def __init__(self, address: str) -> None:
        self.engine = sa.create_engine(address)
        texts = [sa.Column(name, sa.String) for name in COLUMNS if name not in {"quantity", "price"}]
        self.table = sa.Table(
            "events", sa.MetaData(), sa.Column("id", sa.Integer), sa.Column("written", sa.DateTime),
            sa.Column("ts", sa.DateTime), sa.Column("quantity", sa.Integer),
            sa.Column("price", sa.Numeric(12, 2)), *texts,
        )  # fmt: skip
        self.table.metadata.drop_all(self.engine)
        self.table.metadata.create_all(self.engine)

    def write(self, ids: Iterable[int], written: datetime | None = None, **changes: Any) -> None:
        """Write events in one transaction."""
        rows = [
            {
                "id": number, "written": written or at(0), "ts": written or at(0), "event_id": f"e{number}",
                "customer_id": "C1", "product_id": "P1", "event_type": "view", "session_id": "S1", "quantity": 1,
                "price": 10, "country": "GB", **changes,
            }
            for number in ids
        ]  # fmt: skip
        with self.engine.begin() as connection:
            connection.execute(self.table.insert(), rows)
