"""What a model's YAML names must exist: its source, its feature service, its spine and the spine's columns.

Asked while the definitions load, so that nothing runs before; answered from files alone (no Feast, no warehouse).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path

import yaml

from feature_repo.declared import FEATURES, SHOP_SERVICES, declared, file_of, service_names
from ml_assets.config.model_spec import ModelSpec, model_specs
from ml_assets.config.settings import PROJECT, SHOP
from ml_assets.config.sources import sources_beside
from ml_assets.config.yaml_file import ConfigError, Loc, Part, nearest, place, read_yaml
from ml_assets.datasets.labelled_columns import spine_columns
from ml_assets.datasets.split import split_decisions
from ml_assets.metrics.metric_registry import metrics_of

DBT_MODELS = PROJECT / "dbt_project" / "models"
_HORIZON = re.compile(r"\bhorizon_days\s*=\s*(\d+)")
"""How SQL says when it knows a label: `{% set horizon_days = 5 %}`, or in a comment where nothing is to be set."""


def check_spec(spec: ModelSpec, part: Part | None = None, models: Path = DBT_MODELS) -> None:
    """Refuse a spec that names what does not exist, or that what it names contradicts.

    Args:
        spec: the model.
        part: its YAML, for the lines.
        models: folder of the dbt models.

    Raises:
        ConfigError: naming every problem with file, line and key.
    """
    parts = [] if part is None else [part]
    found = [*_problems(spec, models), *_horizon(spec, models), *_too_few_days(spec)]
    problems = [f"{place(parts, ['attributes', *key.split('.')])}: {text}" for key, text in found]
    if problems:
        raise ConfigError("\n".join([f"model {spec.name} cannot be built:", *problems]))


def check_features(models: Path = DBT_MODELS, folder: Path = FEATURES) -> None:
    """Refuse feature views whose dbt model is not there, or has no such key or feature.

    Raises:
        ConfigError: naming every problem with file, line and key.
    """
    problems = []
    for source, file in declared(folder).items():
        for name, view in file.views.items():
            wanted = [(("views", name, "features", each), each) for each in view.features]
            wanted += [(("views", name, "entities", str(each)), file.entities[each].key) for each in view.entities]
            for loc, text in _lacking(view.table, wanted, models):
                problems.append(f"{place([folder / f'{source}.yaml'], loc)}: {text}")
    if problems:
        raise ConfigError("\n".join(problems))


def _lacking(table: str, wanted: Sequence[tuple[Loc, str]], models: Path) -> Iterator[tuple[Loc, str]]:
    """Columns that a dbt model can be seen not to have: neither its `.yml` nor its SQL has the word.

    What only a macro or a `select *` knows, and no `.yml` documents, is not judged.
    """
    found = {path.stem: path for path in models.rglob("*.sql")}
    if table not in found:
        yield (*wanted[0][0][:2], "table"), f"there is no dbt model {table!r}{nearest(table, found)}"
        return
    sql, columns = found[table].read_text(), documented(table, models)
    words = {*re.findall(r"\w+", sql), *columns}
    told = columns or (re.search(r"\bselect\b", sql) and not re.search(r"\bselect\s+(\w+\.)?\*", sql))
    for loc, column in wanted:
        if told and column not in words:
            yield loc, f"the table {table} has no column {column!r}{nearest(column, columns or words)}"


def _problems(spec: ModelSpec, models: Path) -> Iterator[tuple[str, str]]:
    """(key, what is wrong with it)."""
    sources = (SHOP, *sources_beside())
    if spec.source not in sources:
        yield "source", f"there is no source {spec.source!r}; allowed: {', '.join(sources)}"
    metrics = metrics_of(spec.task)
    if spec.gate.metric not in metrics:
        yield (
            "gate.metric",
            f"gate.metric is {spec.gate.metric!r}; a {spec.task.value} model can have {', '.join(metrics)}",
        )
    offset = spec.serving.port_offset
    sharing = [each.name for each in model_specs() if each.name != spec.name and each.serving.port_offset == offset]
    if sharing:
        yield (
            "serving.port_offset",
            f"serving.port_offset {offset} is {sharing[0]}'s already; each model has a port of its own",
        )
    services = service_names()
    if spec.feature_service not in services:
        yield "feature_service", f"there is no {spec.feature_service!r}; allowed: {', '.join(services)}"
    known = {path.stem for path in models.rglob("*.sql")}
    if spec.spine not in known:
        near = get_close_matches(spec.spine, sorted(known), n=3) or sorted(known)
        yield "spine", f"there is no dbt model {spec.spine!r} in {models.name}/; did you mean {', '.join(near)}?"
        return
    columns = documented(spec.spine, models)
    for key, names in _columns(spec).items():
        missing = [name for name in names if name not in columns]
        if missing:
            what = f"{spec.spine} has no column {', '.join(missing)}"
            if key == "feature_service":
                what += f", by which the features of {spec.feature_service} are read: they are of another entity"
            yield key, f"{what}; its .yml documents {', '.join(columns)}"


def _horizon(spec: ModelSpec, models: Path) -> Iterator[tuple[str, str]]:
    """That labels form in the days that dbt says: of a ranking in its variables, of the other tasks in their SQL."""
    for days, where in _told_by_variable(models.parent) if spec.ranks else _told_by_sql(spec, models):
        if days != spec.horizon_days:
            said = f"{spec.horizon_days} here, but the labels form in {days} days: {where}; make both the same"
            yield "horizon_days", said


def _told_by_variable(project: Path) -> Iterator[tuple[int, str]]:
    """The horizon that the spine of rankings is made with, and where it stands."""
    dbt = project / "dbt_project.yml"
    days = read_yaml(dbt).get("vars", {}).get("horizon_days") if dbt.is_file() else None
    if days is not None:
        yield days, place([dbt], ["vars", "horizon_days"])


def _told_by_sql(spec: ModelSpec, models: Path) -> Iterator[tuple[int, str]]:
    """Each horizon that the spine or a table of features says it counts labels with, and where it stands."""
    service = spec.feature_service
    own = () if service in SHOP_SERVICES or service not in service_names() else file_of(service).tables(service)
    for path in sorted(path for path in models.rglob("*.sql") if path.stem in {spec.spine, *own}):
        text = path.read_text()
        for found in _HORIZON.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            yield int(found.group(1)), f"{path}:{line}: horizon_days"


def _too_few_days(spec: ModelSpec) -> Iterator[tuple[str, str]]:
    """Whether the calendar of a source that has ended has enough days; who serves which shop is not the model's."""
    calendar = sources_beside()[spec.source].calendar if spec.source in sources_beside() else None
    if calendar is None or calendar.end is None:
        return
    days = [calendar.start + timedelta(days=at) for at in range((calendar.end - calendar.start).days + 1)]
    try:
        split_decisions(days, spec.split, calendar.start, spec.horizon_days)
    except ValueError as error:
        yield "split", f"the calendar of {spec.source} has at most {error}"


def _columns(spec: ModelSpec) -> dict[str, tuple[str, ...]]:
    """The spine's columns that each key of the YAML names."""
    service = spec.feature_service
    known = service in service_names()
    keys = {"feature_service": (SHOP_SERVICES.get(service) or file_of(service).keys(service)) if known else ()}
    if spec.ranks:
        revenue = (spec.revenue,) if spec.revenue else ()
        named = {"entity": (spec.entity,), "item": (spec.item,), "time": (spec.time,), "label": (spec.label,)}
        return {**named, "revenue": revenue, "slices": spec.slices, **keys}
    return {**spine_columns(spec), "post_outcome_columns": spec.post_outcome_columns, **keys}


def documented(model: str, models: Path = DBT_MODELS) -> tuple[str, ...]:
    """The columns of a dbt model that its `.yml` documents."""
    for path in sorted(models.rglob("*.yml")):
        for each in (yaml.safe_load(path.read_text()) or {}).get("models") or ():
            if each["name"] == model:
                return tuple(column["name"] for column in each.get("columns") or ())
    return ()
