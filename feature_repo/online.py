"""The online store: `materialize` fills it (through Feast), `open_reader` reads it (without)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from feature_repo.reader import OnlineReader, open_reader
from ml_assets.config.settings import SHOP

if TYPE_CHECKING:
    from feast import FeatureStore

__all__ = ["OnlineReader", "materialize", "open_reader"]

WINDOW = timedelta(days=3)
"""How far behind its watermark an incremental run reads again."""


def materialize(
    store: FeatureStore, as_of: datetime, *, full: bool = False, window: timedelta = WINDOW, source: str = SHOP
) -> dict[str, int]:
    """Bring the tables of a source's views to the newest row per key at `as_of` (naive: UTC); returns rows by view.

    Repeating a run changes nothing. A run reads only rows newer than its last one minus `window`, and everything
    when `full` is asked for, `as_of` went backwards, the view's schema changed, or any older row of the source
    did; then readers see the view before or after, never between. What was pushed stays until the offline store
    has a row that is at least as new.

    Raises:
        OfflineStoreError: when the warehouse or a feature table is not there.
        OnlineStoreError: when the online store cannot be written.
    """
    from feature_repo.declared import views_beside
    from feature_repo.materialization import materialize_view, online_store
    from feature_repo.store import write_description

    moment = as_of.astimezone(UTC).replace(tzinfo=None) if as_of.tzinfo else as_of
    beside = views_beside()
    views = [view for view in store.list_feature_views() if beside.get(view.name, SHOP) == source]
    views.sort(key=lambda view: str(view.name))
    written = {view.name: materialize_view(store, view, moment, window, full=full) for view in views if view.online}
    write_description(store)
    online_store(store).tidy(store.config)
    return written
