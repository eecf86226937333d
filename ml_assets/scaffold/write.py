"""Putting the files where they belong: refused before, written aside, moved in together, undone when that fails."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import yaml

from ml_assets.config.component_files import DEFS, Component, model_components
from ml_assets.config.settings import PROJECT
from ml_assets.config.yaml_file import ConfigError
from ml_assets.scaffold.errors import ScaffoldError
from ml_assets.scaffold.plan import Plan

ASIDE = ".scaffold-"
RESERVED = ("raw", "lake", "shop", "feast", "feature_store", "monitoring", "sources", "staging", "intermediate")
FIRST_OFFSET = 10
"""Offsets below belong to the recommender and its stream."""


@dataclass(frozen=True)
class Taken:
    """A name that is in use, and where."""

    kind: str
    name: str
    file: Path


def taken(project: Path, besides: frozenset[Path] = frozenset()) -> list[Taken]:
    """Every name of the project that a new one must differ from; the files `besides` are about to be replaced."""
    return [each for each in _taken(project) if each.file not in besides]


def _taken(project: Path) -> Iterator[Taken]:
    for path in sorted([*project.glob("shops/*.yaml"), *project.glob("sources/*.yaml")]):
        content = yaml.safe_load(path.read_text()) or {}
        if path.parent.name == "sources":
            yield Taken("source", path.stem, path)
        for table in content.get("tables") or ():
            yield Taken("table", table, path)
    for each in _models(project):
        yield Taken("model", str(each.attributes().get("name")), each.part.file)
    for path in sorted(project.glob("dbt_project/models/**/*.sql")):
        yield Taken("dbt model", path.stem, path)
    for path in sorted(project.glob("feature_repo/features/*.yaml")):
        content = yaml.safe_load(path.read_text()) or {}
        for section, kind in (
            ("entities", "feature entity"),
            ("views", "feature view"),
            ("services", "feature service"),
        ):
            for name in content.get(section) or ():
                yield Taken(kind, name, path)
    for file, kind in (("entities", "feature entity"), ("views", "feature view"), ("services", "feature service")):
        path = project / "feature_repo" / f"{file}.py"  # read as text: importing it takes Feast's nine seconds
        for name in re.findall(r'name="(\w+)"', path.read_text()) if path.exists() else ():
            yield Taken(kind, name, path)


def _models(project: Path) -> list[Component]:
    try:
        return model_components(project / DEFS.relative_to(PROJECT))
    except ConfigError as error:
        raise ScaffoldError(f"nothing was written, a model that is there cannot be read:\n{error}") from None


def check_names(plan: Plan, project: Path, files: Mapping[str, str]) -> None:
    """Refuse a name that is in use.

    Raises:
        ScaffoldError: naming each clash with its file and what to do.
    """
    wanted = {
        ("source", plan.source): "--source", ("table", plan.source): "--source", ("model", plan.model): "--name",
        ("source", plan.model): "--name", ("model", plan.source): "--source",
        ("dbt model", plan.staging): "--source", ("dbt model", plan.spine): "--name",
        ("feature service", plan.model): "--name",
    }  # fmt: skip
    for entity in plan.entities:
        wanted |= {(kind, entity.name): "--name" for kind in ("feature entity", "feature view")}
        wanted |= {("dbt model", entity.table): "--name"}
    besides = frozenset(_own(plan, project, files))
    problems = [
        f"{each.file.relative_to(project)}: there is a {each.kind} {each.name} already; take another {flag}"
        for each in taken(project, besides)
        if (flag := wanted.get((each.kind, each.name)))
    ]
    for flag, name in (("--source", plan.source), ("--name", plan.model)):
        folder = project / "dbt_project" / "models" / name
        strangers = [path for path in folder.glob("*") if path not in besides and not _is_own(plan, project)]
        if name in RESERVED or strangers:
            problems.append(f"{folder.relative_to(project)}/: {name} is a group of the graph; take another {flag}")
    if problems:
        raise ScaffoldError("nothing was written:\n" + "\n".join(f"  {problem}" for problem in problems))


def _own(plan: Plan, project: Path, files: Mapping[str, str]) -> Iterator[Path]:
    """The files of this very model that are there: as they would be written, or edited since they were."""
    for path, text in files.items():
        there = project / path
        if there.exists() and (_is_own(plan, project) or there.read_text() == text):
            yield there


def _is_own(plan: Plan, project: Path) -> bool:
    """Whether this model of this source is there already."""
    said = (each.attributes() for each in _models(project))
    return any((each.get("name"), each.get("source")) == (plan.model, plan.source) for each in said)


def next_port_offset(project: Path, model: str) -> int:
    """The offset of this model if there is one, else the first that is larger than every other and free.

    Raises:
        ScaffoldError: when all are taken.
    """
    used: dict[str, int] = {}
    for each in _models(project):
        said = each.attributes()
        used[str(said.get("name"))] = int((said.get("serving") or {}).get("port_offset", 0))
    if model in used:
        return used[model]
    newest = max([*used.values(), FIRST_OFFSET - 1]) + 1
    free = [offset for offset in [*range(newest, 100), *range(FIRST_OFFSET, 100)] if offset not in used.values()]
    if not free:
        raise ScaffoldError("every port offset up to 99 is taken: give a model another one by hand")
    return int(free[0])


def write(files: Mapping[str, str], project: Path, *, force: bool = False) -> list[Path]:
    """Write the files, all or none.

    They are written beside their places first; renames put them in, and are undone when one fails. What a killed call
    left beside is removed.

    Returns:
        Paths of the files that are new or other than before; none when everything is there as it would be written.

    Raises:
        ScaffoldError: when a file is there already and is another one, and `force` does not say to replace it.
    """
    for left in project.glob(f"{ASIDE}*"):
        shutil.rmtree(left)
    there = {path: (project / path).read_text() for path in files if (project / path).exists()}
    changed = [path for path, text in files.items() if there.get(path) != text]
    differing = [path for path in changed if path in there]
    if differing and not force:
        named = "\n".join(f"  {path}" for path in differing)
        raise ScaffoldError(
            f"nothing was written, these files are there and differ from what would be written:\n{named}\n"
            "keep them, take another --name and --source, or say --force to replace them"
        )
    aside = Path(mkdtemp(prefix=ASIDE, dir=project))
    try:
        for path in changed:
            (aside / path).parent.mkdir(parents=True, exist_ok=True)
            (aside / path).write_text(files[path])
        _move(changed, aside, project, there)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return [project / path for path in changed]


def _move(paths: list[str], aside: Path, project: Path, before: Mapping[str, str]) -> None:
    """Rename each file into its place; whatever stops that, none of them stays."""
    folders = [folder for path in paths if not (folder := (project / path).parent).exists()]
    moved: list[str] = []
    try:
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
        for path in paths:
            moved.append(path)
            (aside / path).replace(project / path)
    except BaseException:
        for path in moved:
            if path in before:
                (project / path).write_text(before[path])
            else:
                (project / path).unlink(missing_ok=True)
        for folder in folders:
            if folder.exists() and not any(folder.iterdir()):
                folder.rmdir()
        raise
