"""The online store: `materialize` fills it (through Feast), `OnlineReader` reads it (without)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from feature_repo.reader import OnlineReader

if TYPE_CHECKING:
    from feast import FeatureStore

__all__ = ["OnlineReader", "materialize"]

WINDOW = timedelta(days=3)
"""How far behind its watermark an incremental run reads again."""


def materialize(
    store: FeatureStore, as_of: datetime, *, full: bool = False, window: timedelta = WINDOW
) -> dict[str, int]:
    """Bring every view's table to the newest row per key at `as_of` (naive: UTC); returns rows by view.

    Each view is one transaction, so readers see a view before or after, never between. Repeating a run
    changes nothing. A run reads only rows newer than its last one minus `window`, and everything when
    `full` is asked for, `as_of` went backwards, the view's schema changed, or any older row of the source
    did.

    Raises:
        OfflineStoreError: when the warehouse or a feature table is not there.
    """
    from feature_repo.materialization import materialize_view
    from feature_repo.store import write_description

    views = sorted(store.list_feature_views(), key=lambda view: str(view.name))
    written = {view.name: materialize_view(store, view, as_of, window, full=full) for view in views if view.online}
    write_description(store)
    return written
