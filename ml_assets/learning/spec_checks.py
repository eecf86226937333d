"""What a model's YAML names must exist: its source, its feature service, its spine and the spine's columns.

Asked while the definitions load, so that nothing runs before; answered from files alone (no Feast, no warehouse).
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

import yaml

from feature_repo.declared import SHOP_SERVICES, file_of, service_names
from ml_assets.ingestion.beside import sources_beside
from ml_assets.learning.labelled_columns import spine_columns
from ml_assets.learning.scales import metrics_of
from ml_assets.learning.spec import ModelSpec, model_specs
from ml_assets.settings import PROJECT, SHOP

DBT_MODELS = PROJECT / "dbt_project" / "models"


class SpecError(ValueError):
    """A model's YAML names what does not exist; the text says file, line, key, and what there is."""


def check_spec(spec: ModelSpec, file: Path | None = None, models: Path = DBT_MODELS) -> None:
    """Refuse a spec that names what does not exist.

    Args:
        spec: the model.
        file: its YAML, for the lines.
        models: folder of the dbt models.

    Raises:
        SpecError: naming every problem.
    """
    problems = [f"{_where(file, key)}: {text}" for key, text in _problems(spec, models)]
    if problems:
        raise SpecError("\n".join([f"model {spec.name} cannot be built:", *problems]))


def _problems(spec: ModelSpec, models: Path) -> Iterator[tuple[str, str]]:
    """(key, what is wrong with it)."""
    sources = (SHOP, *sources_beside())
    if spec.source not in sources:
        yield "source", f"there is no source {spec.source!r}; allowed: {', '.join(sources)}"
    metrics = metrics_of(spec.task)
    if spec.gate.metric not in metrics:
        yield "metric", f"gate.metric is {spec.gate.metric!r}; a {spec.task.value} model can have {', '.join(metrics)}"
    offset = spec.serving.port_offset
    sharing = [each.name for each in model_specs() if each.name != spec.name and each.serving.port_offset == offset]
    if sharing:
        yield "port_offset", f"serving.port_offset {offset} is {sharing[0]}'s already; each model has a port of its own"
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
            yield key, f"{spec.spine} has no column {', '.join(missing)}; its .yml documents {', '.join(columns)}"


def _columns(spec: ModelSpec) -> dict[str, tuple[str, ...]]:
    """The spine's columns that each key of the YAML names."""
    if spec.ranks:
        revenue = (spec.revenue,) if spec.revenue else ()
        named = {"entity": (spec.entity,), "item": (spec.item,), "time": (spec.time,), "label": (spec.label,)}
        return {**named, "revenue": revenue, "slices": spec.slices}
    service = spec.feature_service
    declared = service in service_names() and service not in SHOP_SERVICES
    keys = file_of(service).keys(service) if declared else ()
    return {**spine_columns(spec), "known_after": spec.known_after, "feature_service": keys}


def documented(model: str, models: Path = DBT_MODELS) -> tuple[str, ...]:
    """The columns of a dbt model that its `.yml` documents."""
    for path in sorted(models.rglob("*.yml")):
        for each in (yaml.safe_load(path.read_text()) or {}).get("models") or ():
            if each["name"] == model:
                return tuple(column["name"] for column in each.get("columns") or ())
    return ()


def _where(file: Path | None, key: str) -> str:
    """`file:line: key`, the line being that of the key (of the file's first, when the YAML leaves it out)."""
    if file is None or not file.is_file():
        return key
    line = next((n for n, text in enumerate(file.read_text().splitlines(), 1) if text.strip().startswith(f"{key}:")), 1)
    return f"{file}:{line}: {key}"
