"""A pydantic model and everything nested in it as Markdown tables."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from pydantic import BaseModel

Schema = Mapping[str, Any]

BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
FORMATS = {"duration": "duration, e.g. `15 minutes`", "date": "date", "path": "path", "password": "text"}
NAMES = {"integer": "integer", "number": "number", "string": "text", "boolean": "true or false", "object": "mapping"}
UNITS = (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1))


def sections(model: type[BaseModel]) -> str:
    """One section per class, in the order they are first named: what it is, where it stands, its keys."""
    schema = model.model_json_schema()
    classes = {model.__name__: model, **{cls.__name__: cls for cls in _nested(model)}}
    places = _places(schema, model.__name__)
    parts = []
    for name, where in places.items():
        described = schema if name == model.__name__ else schema["$defs"][name]
        said = " ".join(described.get("description", "").split())
        stands = f"\n\nAt {', '.join(f'`{each}`' for each in where)}." if where else ""
        parts.append(f"## {name}\n\n{said}{stands}\n\n{_table(classes[name], described)}")
    return "\n\n".join(parts)


def _nested(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Every model class that a model's fields name, at any depth."""
    for field in model.model_fields.values():
        for cls in _classes(field.annotation):
            yield cls
            yield from _nested(cls)


def _classes(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _classes(inner)


def _places(schema: Schema, root: str) -> dict[str, list[str]]:
    """Class -> the paths of keys at which it stands; breadth first, so that a page reads from the outside in."""
    found: dict[str, list[str]] = {root: []}
    waiting = [(schema, "")]
    while waiting:
        described, path = waiting.pop(0)
        for key, field in described.get("properties", {}).items():
            for name, inside in _references(field):
                below = schema["$defs"][name]
                if "properties" not in below:  # an enumeration
                    continue
                where = f"{path}{key}{inside}"
                if where not in found.setdefault(name, []):
                    found[name].append(where)
                    waiting.append((below, f"{where}."))
    return found


def _references(field: Schema, inside: str = "") -> Iterator[tuple[str, str]]:
    """Names of the classes a field refers to, and what stands between its key and their keys."""
    if "$ref" in field:
        yield field["$ref"].rpartition("/")[2], inside
    for option in (*field.get("anyOf", ()), *field.get("oneOf", ())):
        yield from _references(option, inside)
    if isinstance(field.get("additionalProperties"), Mapping):
        yield from _references(field["additionalProperties"], f"{inside}.<name>")


def _table(model: type[BaseModel], described: Schema) -> str:
    definitions = model.model_json_schema().get("$defs", {})
    lines = ["| key | value | default | meaning |", "|---|---|---|---|"]
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    for key, field in described["properties"].items():
        default = fields[key].get_default(call_default_factory=True)
        told = "required" if fields[key].is_required() else default_text(default)
        cells = (f"`{key}`", value_text(field, definitions), told, _meaning(field, definitions))
        lines.append(f"| {' | '.join(map(_cell, cells))} |")
    return "\n".join(lines)


def _meaning(field: Schema, definitions: Schema) -> str:
    """What the field says of itself, else the first sentence of the one class it refers to."""
    if "description" in field:
        return str(field["description"])
    referred = [field, *field.get("anyOf", ()), field.get("additionalProperties")]
    names = [each["$ref"].rpartition("/")[2] for each in referred if isinstance(each, Mapping) and "$ref" in each]
    said = " ".join(str(definitions[names[0]].get("description", "")).split()) if len(names) == 1 else ""
    return re.split(r"\.\s", said, maxsplit=1)[0].rstrip(".")


def value_text(field: Schema, definitions: Schema) -> str:
    """What may stand there, in words: type, bounds, allowed values, or the section that says it."""
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        allowed = definitions.get(name, {}).get("enum")
        return _one_of(allowed) if allowed else f"[{name}](#{name.lower()})"
    options = [*field.get("anyOf", ()), *field.get("oneOf", ())]
    if options:
        said = [value_text(option, definitions) for option in options if option.get("type") != "null"]
        return " or ".join(dict.fromkeys(said))
    if "const" in field or "enum" in field:
        return _one_of(field.get("enum") or [field["const"]])
    if field.get("type") == "array":
        return f"list of {value_text(field['items'], definitions)}"
    if isinstance(field.get("additionalProperties"), Mapping):
        return f"mapping of name to {value_text(field['additionalProperties'], definitions)}"
    name = FORMATS.get(field.get("format", ""), NAMES.get(field.get("type", ""), "anything"))
    bounds = [f"{sign} {_number(field[bound])}" for bound, sign in BOUNDS.items() if bound in field]
    pattern = [f"matching `{field['pattern']}`"] if "pattern" in field else []
    return " ".join([name, *bounds, *pattern])


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:g}"


def _one_of(values: list[Any]) -> str:
    return " or ".join(f"`{value}`" for value in values)


def default_text(value: Any) -> str:
    """A default as YAML would say it; of a nested section only what differs from that section's own defaults."""
    if isinstance(value, BaseModel):
        said = value.model_dump(mode="json", exclude_defaults=True)
        return f"`{_flow(said)}`" if said else "its defaults"
    if value is None:
        return "none"
    if isinstance(value, timedelta):
        unit, seconds = next(each for each in UNITS if value.total_seconds() % each[1] == 0)
        count = value.total_seconds() / seconds
        return f"`{count:g} {unit}{'s' * (count != 1)}`"
    if isinstance(value, tuple | list | dict) and not value:
        return "empty"
    if isinstance(value, tuple | list | dict | bool):
        return f"`{_flow(value)}`"
    return f"`{value}`"


def _flow(value: Any) -> str:
    return re.sub(r'"(\w+)"', r"\1", json.dumps(value))


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
