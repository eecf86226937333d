"""YAML files of this project: what is wrong in one is said with file, line and key, and the nearest key there is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

Loc = Sequence[int | str]
"""Where a value stands in a file: the keys (of a list, the numbers) that lead to it."""
Model = TypeVar("Model", bound=BaseModel)


class ConfigError(ValueError):
    """What somebody has configured cannot be; the text says where, what, and what can."""


class Strict(BaseModel):
    """A frozen model that refuses keys it does not know, and numbers that are none."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Part:
    """One document of a YAML file that may have several, parted by `---`; they are counted from 0."""

    file: Path
    number: int = 0


def nearest(said: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or what there is when nothing is near."""
    names = sorted(known)
    found = get_close_matches(said, names, n=1)
    return f"; did you mean {found[0]!r}?" if found else f"; there are: {', '.join(names)}"


def wrong_keys(title: str, problems: Mapping[Loc, str]) -> ValidationError:
    """A validator's complaint about several keys, each at its place below the model that is validated."""
    lines = [
        InitErrorDetails(type=PydanticCustomError("wrong_key", "{said}", {"said": said}), loc=tuple(loc), input=None)
        for loc, said in problems.items()
    ]
    return ValidationError.from_exception_data(title, lines)


def read_yaml(path: Path) -> Any:
    """The content of a file, by the safe loader.

    Raises:
        FileNotFoundError: when there is no such file.
        ConfigError: when it is no YAML, or says a key twice: the first would do nothing.
    """
    with _no_yaml_told(path):
        text = path.read_text()
        _refuse_twice(path, yaml.compose(text, yaml.SafeLoader))
        return yaml.safe_load(text)


def read_parts(path: Path) -> list[tuple[Any, int]]:
    """The content of each document of a file, by the safe loader, and the line on which it begins.

    Raises:
        FileNotFoundError: when there is no such file.
        ConfigError: when it is no YAML, or says a key twice: the first would do nothing.
    """
    with _no_yaml_told(path):
        text = path.read_text()
        nodes = list(yaml.compose_all(text, yaml.SafeLoader))
        for node in nodes:
            _refuse_twice(path, node)
        lines = [node.start_mark.line + 1 for node in nodes]
        return list(zip(yaml.safe_load_all(text), lines, strict=True))


@contextmanager
def _no_yaml_told(path: Path) -> Iterator[None]:
    """Say of what is no YAML on which line, and why."""
    try:
        yield
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        quoted = '; a template is quoted: "{{ env.NAME }}"' if "unhashable" in str(error.problem) else ""
        raise ConfigError(f"{path}:{mark.line + 1 if mark else 1}: this is no YAML: {error.problem}{quoted}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: this is no YAML: {error}") from None


def _refuse_twice(path: Path, node: yaml.Node | None) -> None:
    for key in _twice(node):
        raise ConfigError(f"{path}:{key.start_mark.line + 1}: {key.value}: this key is there twice; keep one")


def validated(model: type[Model], content: Any, files: Sequence[Path | Part], below: Loc = ()) -> Model:
    """Check content against its model.

    Args:
        model: what may be said.
        content: as `read_yaml` gives it, below `below`.
        files: the file (or its part) it is of, then those it is laid upon.
        below: where in the file the content begins.

    Raises:
        ConfigError: a line for each wrong key or value.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise config_error(error, model, files, below) from None


def config_error(
    error: ValidationError, model: type[BaseModel], files: Sequence[Path | Part], below: Loc = ()
) -> ConfigError:
    """What a validator complains about, a line for each wrong key or value; the arguments are those of `validated`."""
    found = [(each["loc"], _told(each, model)) for each in error.errors(include_url=False)]
    return ConfigError("\n".join(f"{place(files, (*below, *loc))}: {text}" for loc, text in found))


def place(files: Sequence[Path | Part], loc: Loc) -> str:
    """`file:line: key.key`: where a key is said, in the first file that says most of it."""
    parts = [each if isinstance(each, Part) else Part(each) for each in files]
    found = [(part.file, *_found(_node(part), loc)) for part in parts if part.file.is_file()]
    dotted = ".".join(map(str, loc))
    if not found:
        return dotted
    file, line, _ = max(found, key=lambda each: each[2])
    return f"{file}:{line}: {dotted}" if dotted else f"{file}:{line}"


def _node(part: Part) -> yaml.Node | None:
    nodes = list(yaml.compose_all(part.file.read_text(), yaml.SafeLoader))
    return nodes[part.number] if part.number < len(nodes) else None


def _found(node: yaml.Node | None, loc: Loc) -> tuple[int, int]:
    """Line of the deepest part of a place that the file has, and how deep that is."""
    line, depth = node.start_mark.line + 1 if node else 1, 0
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            pairs = [(key, value) for key, value in node.value if key.value == str(part)]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            pairs = [(node.value[part], node.value[part])]
        else:
            break
        if pairs:  # else it is a key that is left out, or the name of a kind
            key, node = pairs[0]
            line, depth = key.start_mark.line + 1, depth + 1
    return line, depth


def _twice(node: yaml.Node | None) -> Iterator[yaml.Node]:
    """Keys of a mapping that were there before."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue  # refused by the loader
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                yield key
            seen.add(key.value)
            yield from _twice(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _twice(value)


def _told(error: Any, model: type[BaseModel]) -> str:
    """What is wrong, in words, with the value as it was said when that is short."""
    if error["type"] == "extra_forbidden":
        schema = model.model_json_schema(by_alias=True)
        known = _properties(schema, [schema], error["loc"][:-1])
        return f"there is no such key{nearest(str(error['loc'][-1]), known)}"
    said, value = str(error["msg"]).removeprefix("Value error, "), error.get("input")
    shown = isinstance(value, str | int | float) and len(str(value)) <= 60 and error["type"] != "value_error"
    return f"{said}, not {value!r}" if shown else f"fill it in: {said}" if _is_empty(error) else said


def _is_empty(error: Any) -> bool:
    """Whether a key is there, and nothing behind it."""
    return error.get("input", "") is None and str(error["type"]).endswith("_type")


def _properties(root: Mapping[str, Any], schemas: list[Mapping[str, Any]], loc: Loc) -> set[str]:
    """The keys that may stand at a place, by the JSON schema."""
    options = [each for schema in schemas for each in _options(root, schema)]
    if not loc:
        return {name for each in options for name in each.get("properties", ())}
    part, inside = loc[0], []
    for each in options:
        below = each.get("properties", {}).get(part, each.get("additionalProperties") or each.get("items"))
        inside += [below] if isinstance(below, Mapping) else []
    return _properties(root, inside or options, loc[1:])  # a part that is no key names one of the options


def _options(root: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if "$ref" in schema:
        yield from _options(root, root["$defs"][schema["$ref"].rpartition("/")[2]])
    elif inner := [*schema.get("anyOf", ()), *schema.get("oneOf", ())]:
        for each in inner:
            yield from _options(root, each)
    else:
        yield schema
