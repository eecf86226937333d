"""The components that YAML files under `ml_assets/defs/` declare, found where Dagster finds them: in any folder.

No Dagster here: the service, the benchmarks and the commands find the models by the same files as the graph does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ml_assets.config.settings import PROJECT
from ml_assets.config.templates import filled, variables
from ml_assets.config.yaml_file import ConfigError, Part, nearest, place, read_parts

DEFS = PROJECT / "ml_assets" / "defs"
FILES = ("defs.yaml", "defs.yml", "component.yaml")
"""What a component's file may be called; the first that a folder has counts."""
PACKAGE = "ml_assets.components"
TYPES = {
    "DbtWarehouse": "warehouse",
    "EventSource": "event_source",
    "EventSources": "event_source",
    "TrainedModel": "trained_model",
}
"""The components of this project, and the module of each in the package."""
MODEL = "TrainedModel"
_FOLDER = "DefsFolderComponent"
_KEYS = ("type", "attributes", "template_vars_module", "requirements", "post_processing")


@dataclass(frozen=True)
class Component:
    """One component, as its document says it.

    Attributes:
        part: the file, and which of its documents.
        line: where the document begins.
        type: the component's class with its module.
        given: its attributes, with the templates in them.
        variables: what the templates look at in the environment.
        version: modification time and size of the file it was read from.
    """

    part: Part
    line: int
    type: str
    given: Mapping[str, Any] = field(compare=False)
    variables: frozenset[str]
    version: tuple[int, int]

    @property
    def is_model(self) -> bool:
        """Whether it is a `TrainedModel`."""
        return self.type.rpartition(".")[2] == MODEL

    def attributes(self) -> Mapping[str, Any]:
        """Its attributes, with the values of templates.

        Raises:
            ConfigError: naming file, line and key of a template that is not allowed or has no value.
        """
        found: Mapping[str, Any] = filled(self.given, self.part, ("attributes",))
        return found


def model_components(defs: Path = DEFS) -> list[Component]:
    """Every component of type `TrainedModel`, by file.

    Raises:
        ConfigError: naming file and line of what is no component, or what Dagster does not look at.
    """
    return [each for file in component_files(defs) for each in components(file, defs) if each.is_model]


def component_files(defs: Path = DEFS) -> list[Path]:
    """Every file that declares components, in any folder."""
    return list(_files(defs))


def components(file: Path, defs: Path = DEFS) -> tuple[Component, ...]:
    """The components of a file.

    Raises:
        ConfigError: naming file and line of what is no component, or of a model that Dagster does not look at.
    """
    found = file.stat()
    made = _read(file, (found.st_mtime_ns, found.st_size))
    above = next((each for each in _above(file, defs) if not _is_folder(each)), None)
    for each in made:
        if above is not None and each.is_model:
            raise ConfigError(
                f"{file}:{each.line}: Dagster does not look here, as {above} makes the folder above a component: "
                f"move it to a folder of its own under {defs}"
            )
    return made


def component_file(folder: Path) -> Path | None:
    """The file that makes a folder a component."""
    return next((folder / name for name in FILES if (folder / name).is_file()), None)


def _files(folder: Path) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        there = {each.name: each for each in entries}
    name = next((each for each in FILES if each in there), None)
    if name is not None:
        yield folder / name
    for below in sorted(there):
        if not below.startswith(".") and below != "__pycache__" and there[below].is_dir():
            yield from _files(folder / below)


def _above(file: Path, defs: Path) -> Iterator[Path]:
    """The components' files in the folders above, from `defs` down."""
    inside = file.parent.relative_to(defs).parts[:-1]
    folders = [defs.joinpath(*inside[:depth]) for depth in range(len(inside) + 1)] if file.parent != defs else []
    return (found for folder in folders if (found := component_file(folder)))


def _is_folder(file: Path) -> bool:
    """Whether a file says something of a folder's components, and makes the folder no component itself."""
    found = file.stat()
    return any(each.type.endswith(_FOLDER) for each in _read(file, (found.st_mtime_ns, found.st_size)))


@lru_cache(maxsize=256)
def _read(file: Path, version: tuple[int, int]) -> tuple[Component, ...]:
    documents = read_parts(file)
    if not documents:
        raise ConfigError(f"{file}:1: nothing is said here; a component has `type:` and `attributes:`")
    return tuple(
        _component(Part(file, number), line, content, version) for number, (content, line) in enumerate(documents)
    )


def _component(part: Part, line: int, content: Any, version: tuple[int, int]) -> Component:
    if not isinstance(content, Mapping):
        raise ConfigError(f"{part.file}:{line}: a component has `type:` and `attributes:`")
    unknown = [key for key in content if key not in _KEYS]
    if unknown:
        told = (f"{place([part], [key])}: there is no such key{nearest(str(key), _KEYS)}" for key in unknown)
        raise ConfigError("\n".join(told))
    kind, given = content.get("type"), content.get("attributes") or {}
    wrong = _wrong_type(kind)
    if wrong:
        raise ConfigError(f"{place([part], ['type'])}: {wrong}")
    if not isinstance(given, Mapping):
        raise ConfigError(f"{place([part], ['attributes'])}: these are keys and values, not {given!r}")
    return Component(part, line, str(kind), given, variables(given), version)


def _wrong_type(kind: Any) -> str | None:
    """Why this is no component's type; what other packages and own modules have is for Dagster to say."""
    known = [f"{PACKAGE}.{name}" for name in TYPES]
    if not kind or not isinstance(kind, str):
        return f"a component needs a type; there are: {', '.join(known)}"
    module, _, name = kind.rpartition(".")
    if module == PACKAGE or module in {f"{PACKAGE}.{each}" for each in TYPES.values()}:
        right = name in TYPES and module in {PACKAGE, f"{PACKAGE}.{TYPES[name]}"}
    elif module.split(".")[0] == PACKAGE.split(".", maxsplit=1)[0]:
        right = _is_module(module)
    else:
        right = kind.startswith(".") or bool(module and find_spec(module.split(".")[0]))
    if right:
        return None
    near = get_close_matches(name, TYPES, n=1)
    return f"there is no component {kind!r}{nearest(f'{PACKAGE}.{near[0]}' if near else kind, known)}"


def _is_module(module: str) -> bool:
    path = PROJECT.joinpath(*module.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()
