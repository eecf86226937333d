"""The code that decides what a model learns: its own SQL, its own features, and the Python that makes data of them.

Every part has a name and a hash of what it means: SQL without comments and line breaks, Python as its syntax tree
without docstrings, feature declarations without descriptions. So a comment, another layout, a table or a feature that
the model does not read changes nothing for it, and a changed formula of its own does.

Parts are called `sql <dbt model>`, `macro <name>`, `var <name>`, `features <service>` and `py <module>`.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ml_assets.config.imports import imported
from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import PROJECT
from ml_assets.config.yaml_file import read_yaml

if TYPE_CHECKING:
    from feature_repo.declared import FeatureFile

Parts = dict[str, str]

DECIDE = ("ml_assets.datasets", "ml_assets.metrics", "ml_assets.retrieval", "ml_assets.training", "feature_repo")
"""Packages whose code decides what a model learns; what they import from elsewhere (files, settings) does not."""
DATA = (
    *("ml_assets.datasets.build", "feature_repo.stores.asof"),  # Feast is told the latter by name
    *("feature_repo.services", "feature_repo.declared_views"),
)
"""What makes a training set: its code is these modules and what they import."""
TRAIN = "ml_assets.training.train"
"""What makes a booster of it, likewise."""
OF_RANKINGS = (
    *("ml_assets.datasets.ranking_baselines", "ml_assets.retrieval"),
    *(f"feature_repo.{name}" for name in ("derived", "entities", "services", "transforms", "views")),
)
OF_EVENTS = (
    *(f"ml_assets.datasets.{name}" for name in ("labelled", "labelled_columns", "labelled_set", "spine_checks")),
    *("ml_assets.datasets.tabular_baselines", "feature_repo.declared_views"),
)
"""Modules that work for rankings alone, and for the other tasks alone."""
BESIDE = (
    *(f"ml_assets.datasets.{name}" for name in ("code", "fingerprint", "provenance", "source_reading")),
    *(f"feature_repo.{name}" for name in ("declared", "materialization", "registry", "store")),
    *(f"feature_repo.stores.{name}" for name in ("description", "packed", "packing", "session", "wide")),
    *("ml_assets.retrieval.store", "ml_assets.training.importance"),
)
"""Modules that are imported and decide nothing: names and addresses of versions, declarations (their content counts by
itself), the online store, how a version is described. A module that is not among them counts."""
EVALUATION = ("ml_assets/metrics", "ml_assets/evaluation")
"""Folders whose code decides how a version is judged and shown."""

HISTORY = "ml_assets/retrieval/history.py"
"""Where a ranking's retrieval reads tables: the dbt models that its text names."""

_MACRO = re.compile(r"\{%-?\s*macro\s+(\w+)\s*\(.*?\{%-?\s*endmacro\s*-?%\}", re.DOTALL)
_REF = re.compile(r"\bref\(\s*['\"](\w+)['\"]\s*\)")
_VAR = re.compile(r"\bvar\(\s*['\"](\w+)['\"]")
_CALL = re.compile(r"\b(\w+)\s*\(")
_SQL = re.compile(r"""('(?:[^']|'')*'|"(?:[^"]|"")*")|(?:--[^\n]*|/\*.*?\*/|\{\#.*?\#\}|\s)+""", re.DOTALL)
"""What is quoted, or a stretch of comments (of SQL and of jinja) and white space."""


def data_code(spec: ModelSpec, root: Path = PROJECT) -> Parts:
    """Each part of the code that decides what the model's training set holds, with a short hash of what it means."""
    others = OF_EVENTS if spec.ranks else OF_RANKINGS
    modules = imported(*DATA, root=root, within=DECIDE, but=(*BESIDE, *others))
    return {**_features(spec, root), **_sql(_tables(spec, root), root), **_python(modules)}


def training_code(root: Path = PROJECT) -> Parts:
    """Each part of the code that makes a booster of a training set."""
    return _python(imported(TRAIN, root=root, within=DECIDE, but=(*BESIDE, *OF_EVENTS, *OF_RANKINGS)))


def evaluation_code(root: Path = PROJECT) -> Parts:
    """Each part of the code that judges a version and shows the result."""
    files = sorted(path for folder in EVALUATION for path in (root / folder).rglob("*.py"))
    pages = sorted(path for folder in EVALUATION for path in (root / folder).rglob("*.html"))
    modules = {".".join(path.relative_to(root).with_suffix("").parts): path for path in files}
    return {**_python(modules), **{f"page {path.name}": _short(path.read_text()) for path in pages}}


def version_of(parts: Mapping[str, str]) -> str:
    """One hash of all parts."""
    return _short(json.dumps(parts, sort_keys=True))


def recorded_before(parts: Iterable[str]) -> bool:
    """Whether parts were recorded by files, as they were once: today's cannot be compared with them."""
    return any(name.endswith((".py", ".sql", ".yaml")) for name in parts)


def sql_meaning(text: str) -> str:
    """SQL, or a macro, with comments and white space as one blank; what is quoted stays as it is."""
    return _SQL.sub(lambda found: found.group(1) or " ", text).strip()


def python_meaning(text: str) -> str:
    """Python as its syntax tree, without docstrings: comments and layout are not in it."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [each for each in body if not _is_text(each)]  # type: ignore[attr-defined]
    return ast.dump(tree)


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _python(modules: Mapping[str, Path]) -> Parts:
    files = sorted((name, file) for name, file in modules.items() if file.name != "__init__.py")
    return {f"py {name}": _hash_of_python(file, file.stat().st_mtime_ns) for name, file in files}


@lru_cache(maxsize=512)
def _hash_of_python(file: Path, _: int) -> str:
    return _short(python_meaning(file.read_text()))


def _features(spec: ModelSpec, root: Path) -> Parts:
    """The declaration of the model's own features; the shop's are Python, among the modules of rankings."""
    service = spec.feature_service
    file = _feature_file(service, root)
    if file is None:
        return {}
    views = {name: file.views[name] for name in file.services[service].views}
    entities = {name: file.entities[name] for view in views.values() for name in view.entities}
    said = [
        {name: each.model_dump(mode="json", exclude={"description"}) for name, each in part.items()}
        for part in (views, entities)
    ]
    return {f"features {service}": _short(json.dumps(said, sort_keys=True))}


def _feature_file(service: str, root: Path) -> FeatureFile | None:
    """The file that declares a service; None of the shop's, which are Python."""
    from feature_repo.declared import SHOP_SERVICES, declared

    if service in SHOP_SERVICES:
        return None
    (file,) = [each for each in declared(root / "feature_repo" / "features").values() if service in each.services]
    return file


def _tables(spec: ModelSpec, root: Path) -> list[str]:
    """The dbt models that the model reads: its spine, the tables of its features, of a ranking also its history."""
    file = _feature_file(spec.feature_service, root)
    shop = [path.stem for path in (root / "dbt_project" / "models" / "features").glob("*.sql")]
    tables = shop if file is None else file.tables(spec.feature_service)
    named = set(re.findall(r"\w+", (root / HISTORY).read_text())) if spec.ranks else set()
    return sorted({spec.spine, *tables, *(named & _models(root).keys())})


def _models(root: Path) -> dict[str, Path]:
    return {path.stem: path for path in (root / "dbt_project" / "models").rglob("*.sql")}


def _macros(root: Path) -> dict[str, str]:
    texts = (path.read_text() for path in sorted((root / "dbt_project" / "macros").rglob("*.sql")))
    return {found.group(1): found.group(0) for text in texts for found in _MACRO.finditer(text)}


def _sql(tables: Iterable[str], root: Path) -> Parts:
    """The models that some tables are made of, the macros and variables these use."""
    models, macros = _models(root), _macros(root)
    variables = read_yaml(root / "dbt_project" / "dbt_project.yml").get("vars", {})
    found: Parts = {}
    waiting = [("sql", name) for name in tables]
    while waiting:
        kind, name = waiting.pop()
        text = macros[name] if kind == "macro" else models[name].read_text() if name in models else None
        if text is None or f"{kind} {name}" in found:
            continue
        meaning = sql_meaning(text)
        found[f"{kind} {name}"] = _short(meaning)
        waiting += _used(meaning, macros)
        found |= {f"var {each}": _short(repr(variables.get(each))) for each in _VAR.findall(meaning)}
    return dict(sorted(found.items()))


def _used(meaning: str, macros: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    yield from (("sql", name) for name in _REF.findall(meaning))
    yield from (("macro", name) for name in _CALL.findall(meaning) if name in macros)


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
