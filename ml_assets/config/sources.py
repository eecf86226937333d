"""The sources beside the shop: each `sources/<name>.yaml` is one, with tables, contract and calendar of its own."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from ml_assets.config.settings import PROJECT, SHOP, Settings
from ml_assets.config.source_spec import SourceSpec, load_source

SOURCES = PROJECT / "sources"


@cache
def sources_beside(folder: Path = SOURCES) -> dict[str, SourceSpec]:
    """The sources by name, which is the name of their file.

    Raises:
        ConfigError: when a key or value is wrong; it names file, line and key.
        ValueError: when a file is not named as the source in it, or as the shop.
    """
    found = {path.stem: load_source(path) for path in sorted(folder.glob("*.yaml"))}
    for name, source in found.items():
        if source.name != name or name == SHOP:
            raise ValueError(
                f"{folder / name}.yaml: name is {source.name!r}; file and source have one name, not {SHOP}"
            )
    return found


def source_of(name: str, settings: Settings) -> SourceSpec:
    """The source of that name; `shop` is the one the settings name.

    Raises:
        KeyError: when there is none; it names those there are.
        ValueError: when two sources have a table of one name: the lake has one folder per table.
    """
    known = {SHOP: load_source(settings.shop_file), **sources_beside()}
    owners: dict[str, str] = {}
    for each, source in known.items():
        for table in source.tables:
            if owners.setdefault(table, each) != each:
                raise ValueError(f"table {table} is in {owners[table]} and in {each}: rename it in sources/{each}.yaml")
    if name not in known:
        raise KeyError(f"no source {name!r}; there are: {', '.join(known)}")
    return known[name]
