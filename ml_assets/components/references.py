"""What assets hand to each other: small JSON references (path and version), never the tables themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dagster as dg

from ml_assets.storage.files import write_text_atomically


class JsonReferences(dg.ConfigurableIOManager):
    """Keeps an asset's reference as `<folder>/<asset key>.json`, replaced atomically; nothing is ever pickled."""

    folder: str

    def _path(self, key: dg.AssetKey) -> Path:
        return Path(self.folder, *key.path).with_suffix(".json")

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Write the reference; an asset that returns nothing leaves none."""
        if obj is not None:
            write_text_atomically(self._path(context.asset_key), json.dumps(obj, indent=1, sort_keys=True))

    def load_input(self, context: dg.InputContext) -> Any:
        """Read the reference of an upstream asset.

        Raises:
            dagster.Failure: when that asset has never been materialized.
        """
        path = self._path(context.asset_key)
        if not path.exists():
            name = context.asset_key.to_user_string()
            raise dg.Failure(f"asset {name} has no value at {path} yet: materialize {name} first")
        return json.loads(path.read_text())
