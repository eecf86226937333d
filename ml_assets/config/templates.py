"""Templates in a model's YAML: `{{ env.NAME }}`, `{{ env('NAME', 'default') }}`, with the meaning Dagster gives them.

Dagster's other templates need Dagster, and a model is also read by what knows none of it: they are refused.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ml_assets.config.yaml_file import ConfigError, Loc, Part, place

ALLOWED = """allowed in a model: "{{ env.NAME }}", "{{ env('NAME') }}", "{{ env('NAME', 'default') }}\""""
_MARKS = ("{{", "{%", "{#")
_TEMPLATE = r"\{\{"


class Environment:
    """What `env` is in a template."""

    def __getattr__(self, name: str) -> str | None:
        """The variable, or None."""
        if name.startswith("jinja"):  # the template engine looks whether it may pass something of its own
            raise AttributeError(name)
        return os.environ.get(name)

    def __call__(self, name: str, default: Any = ...) -> Any:
        """The variable, or the default.

        Raises:
            KeyError: when neither is there.
        """
        value = os.environ.get(name, default)
        if value is ...:
            raise KeyError(name)
        return value


def filled(content: Any, part: Part, loc: Loc = ()) -> Any:
    """The content with every template replaced by its value; a text that is no template stays as it is.

    Args:
        content: as the YAML says it.
        part: where it is said, for the lines.
        loc: the keys that lead to it.

    Raises:
        ConfigError: naming file, line and key of each template that is not allowed or has no value.
    """
    problems: list[str] = []
    made = _filled(content, part, tuple(loc), problems)
    if problems:
        raise ConfigError("\n".join(problems))
    return made


def variables(content: Any) -> frozenset[str]:
    """Names of the environment variables that templates in the content look at."""
    texts = [text for text in _texts(content) if is_template(text)]
    return frozenset(name for text in texts for name in re.findall(r"\benv(?:\.|\(\s*['\"])(\w+)", text))


def is_template(text: str) -> bool:
    """Whether a text is more than its letters."""
    return any(mark in text for mark in _MARKS)


def _texts(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, Mapping | list):
        for each in content.values() if isinstance(content, Mapping) else content:
            yield from _texts(each)


def _filled(content: Any, part: Part, loc: tuple[int | str, ...], problems: list[str]) -> Any:
    if isinstance(content, Mapping):
        return {key: _filled(value, part, (*loc, key), problems) for key, value in content.items()}
    if isinstance(content, list):
        return [_filled(value, part, (*loc, number), problems) for number, value in enumerate(content)]
    if not isinstance(content, str) or not is_template(content):
        return content
    from jinja2.nativetypes import NativeTemplate  # only where there is a template

    if not _allowed(content):
        problems.append(f"{place([part], loc)}: the template {content!r} is not known here; {ALLOWED}")
        return None
    try:
        return NativeTemplate(content).render(env=Environment())
    except KeyError as error:
        name = error.args[0]
        told = f"environment variable {name} is not set; set it, or say a default: env('{name}', 'default')"
        problems.append(f"{place([part], loc)}: {told}")
        return None


def _allowed(text: str) -> bool:
    """Whether a template asks the environment, and nothing else."""
    from jinja2 import Environment as Jinja
    from jinja2 import TemplateSyntaxError, nodes

    try:
        body = Jinja().parse(text).body  # noqa: S701  # no page is made of it
    except TemplateSyntaxError:
        return False
    if "{#" in text or not all(isinstance(each, nodes.Output) for each in body):
        return False
    return all(_asks(part) for each in body if isinstance(each, nodes.Output) for part in each.nodes)


def _asks(node: Any) -> bool:
    from jinja2 import nodes

    if isinstance(node, nodes.TemplateData):
        return True
    if isinstance(node, nodes.Getattr):
        return isinstance(node.node, nodes.Name) and node.node.name == "env"
    if not isinstance(node, nodes.Call) or not isinstance(node.node, nodes.Name) or node.node.name != "env":
        return False
    named = [each.key for each in node.kwargs]
    given = [*node.args, *(each.value for each in node.kwargs)]
    fits = 1 <= len(node.args) <= 2 and named in ([], ["default"]) and not (node.dyn_args or node.dyn_kwargs)
    values = [each.value for each in given if isinstance(each, nodes.Const)]
    return fits and len(values) == len(given) <= 2 and isinstance(values[0], str)


def templated(schema: Any) -> Any:
    """A JSON schema that also takes a template wherever it takes a value."""
    if isinstance(schema, list):
        return [templated(each) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    below = ("properties", "$defs")
    made = {
        key: {name: templated(each) for name, each in value.items()}
        if key in below
        else templated(value)
        if key in {"items", "anyOf", "oneOf", "prefixItems", "additionalProperties"}
        else value
        for key, value in schema.items()
    }
    kind = made.get("type")
    if kind == "string" and {"enum", "pattern"} & made.keys():
        said = made.pop("pattern", None) or f"^({'|'.join(map(re.escape, made.pop('enum')))})$"
        return {**made, "pattern": f"{said}|{_TEMPLATE}"}
    if kind in {"integer", "number", "boolean", "array"}:
        return {**made, "type": [kind, "string"], "pattern": _TEMPLATE}
    return made
