"""Which files of this project a module imports, directly or not."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from functools import lru_cache
from pathlib import Path

from ml_assets.config.settings import PROJECT

PACKAGES = ("serving", "ml_assets", "feature_repo")
"""What is this project's own."""


def imported(
    *modules: str, root: Path = PROJECT, within: Collection[str] = PACKAGES, but: Collection[str] = ()
) -> dict[str, Path]:
    """The modules that some modules import, at their top or inside functions, themselves included; each with its file.

    Args:
        modules: dotted names to begin with.
        root: folder of the packages.
        within: packages that are followed; what lies elsewhere is left out, with all it imports.
        but: modules and packages that are left out likewise.
    """
    found: dict[str, Path] = {}
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        path = _file(module, root) if _under(module, within) and not _under(module, but) else None
        if path is None or module in found:
            continue
        found[module] = path
        for name in _imports(path, path.stat().st_mtime_ns):
            waiting.extend(name.rsplit(".", level)[0] for level in range(name.count(".") + 1))
    return found


def _under(module: str, packages: Collection[str]) -> bool:
    return any(module == each or module.startswith(f"{each}.") for each in packages)


@lru_cache(maxsize=1024)
def _imports(path: Path, _: int) -> tuple[str, ...]:
    return tuple(_named(ast.parse(path.read_text())))


def _named(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _file(module: str, root: Path) -> Path | None:
    base = root.joinpath(*module.split("."))
    return next((path for path in (base / "__init__.py", base.with_suffix(".py")) if path.is_file()), None)
