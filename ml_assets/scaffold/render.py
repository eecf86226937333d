"""The plan as files: templates, and how YAML is set so that it reads as if written by hand."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from ml_assets.scaffold.names import words
from ml_assets.scaffold.plan import Plan

TEMPLATES = Path(__file__).parent / "templates"
WIDTH = 120
SUM, EXACT = "bigint", "bignum"
"""Types of sums: of counts, and of numbers as the macro `exact` has them."""


def render(plan: Plan) -> dict[str, str]:
    """Every file by its path beneath the project."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True, variable_start_string="<<", variable_end_string=">>", block_start_string="<%",
        block_end_string="%>", comment_start_string="<#", comment_end_string="#>", autoescape=False,  # noqa: S701 - no HTML
    )  # fmt: skip
    shared = {
        "plan": plan, "text": text, "plain": plain, "quoted": quoted, "entry": entry, "long": long, "listed": listed,
        "comment": comment, "features": features(plan), "spine_columns": spine_columns(plan), "sums": sums(plan),
        "longest": plan.windows[-1], "shares": plan.windows[-2:], "prior": f"{5 * plan.label_mean:.3g}",
        "label_sum": label_sum(plan),
        "things": " and ".join(f"a {entity.thing.replace('_', ' ')}" for entity in plan.entities),
        "expressions": expressions(plan),
    }  # fmt: skip

    def made(template: str, **more: Any) -> str:
        return environment.get_template(f"{template}.j2").render(**shared, **more)

    folder = f"dbt_project/models/{plan.source}"
    found = {
        f"sources/{plan.source}.yaml": made("source.yaml"),
        f"{folder}/sources.yml": made("sources.yml"),
        f"{folder}/{plan.staging}.sql": made("stg.sql"),
        f"{folder}/{plan.staging}.yml": made("stg.yml"),
        f"{folder}/{plan.spine}.sql": made("spine.sql"),
        f"{folder}/{plan.spine}.yml": made("spine.yml"),
        f"feature_repo/features/{plan.source}.yaml": made("features.yaml"),
        f"ml_assets/defs/models/{plan.model}/defs.yaml": made("defs.yaml"),
    }
    for entity in plan.entities:
        for kind in ("sql", "yml"):
            found[f"{folder}/{entity.table}.{kind}"] = made(f"feat.{kind}", entity=entity)
    return found


def features(plan: Plan) -> dict[str, tuple[str, str]]:
    """The columns of a feature view with their type and meaning."""
    label, longest = plan.label, plan.windows[-1]
    found = {f"events_{days}d": ("int", f"Events in the last {days} days (count)") for days in plan.windows}
    for days in plan.windows[-2:]:
        about = f"in {days} days, of the outcomes known by then"
        if plan.binary:
            found[f"{label}_share_{days}d"] = ("float", f"Share with {label} {about}, smoothed (0 to 1)")
        else:
            found[f"mean_{label}_{days}d"] = ("float", f"Mean {label} {about}; missing without")
    for name in plan.means:
        mean = f"Mean {words(name)} in the last {longest} days; missing without events"
        found[f"mean_{name}_{longest}d"] = ("float", mean)
    return found


def sums(plan: Plan) -> dict[str, str]:
    """What the windows sum, with the type of the sum."""
    found = {"events": SUM, "outcomes": SUM, plan.label: SUM if plan.binary else EXACT}
    for name in plan.means:
        found |= {name: EXACT} | ({f"{name}_known": SUM} if name in plan.gappy else {})
    return found


def label_sum(plan: Plan) -> str:
    """SQL: the sum of a day's labels."""
    return f"sum({plan.label})" if plan.binary else f"sum({{{{ exact('{plan.label}') }}}})"


def expressions(plan: Plan) -> list[str]:
    """What holds in every row of a feature table."""
    first, *longer = plan.windows
    nested = [f"events_{days}d >= events_{before}d" for before, days in zip(plan.windows, longer, strict=False)]
    shares = [f"{plan.label}_share_{days}d between 0 and 1" for days in plan.windows[-2:]] if plan.binary else []
    return [f"events_{first}d >= 0", *nested, *shares]


def spine_columns(plan: Plan) -> tuple[str, ...]:
    """The spine's columns, what is known after the event last."""
    keys = [entity.key for entity in plan.entities]
    known = [plan.event, plan.time, "event_day", plan.label, *keys, *plan.request, *plan.slices, *plan.known_after]
    return tuple(dict.fromkeys(known))


def text(value: object) -> str:
    """A YAML scalar as it stands in a mapping of one line."""
    return yaml.safe_dump([value], default_flow_style=True, width=10_000, allow_unicode=True).strip()[1:-1]


def comment(value: str, indent: int = 0) -> str:
    """A text as comment lines."""
    pad = " " * indent + "# "
    return "\n".join(textwrap.wrap(value, WIDTH, initial_indent=pad, subsequent_indent=pad, break_long_words=False))


def plain(value: object) -> str:
    """A YAML scalar as it stands on a line of its own."""
    return yaml.safe_dump(value, width=10_000, allow_unicode=True).removesuffix("\n").removesuffix("\n...")


def quoted(value: str) -> str:
    """A text in double quotes."""
    return yaml.safe_dump(value, default_style='"', width=10_000, allow_unicode=True).strip()


def entry(name: str, said: Mapping[str, Any], indent: int) -> str:
    """A key and its mapping: on one line where that fits."""
    line = f"{' ' * indent}{name}: {{{', '.join(f'{key}: {text(value)}' for key, value in said.items())}}}"
    if len(line) <= WIDTH:
        return line
    return "\n".join([f"{' ' * indent}{name}:", *(long(key, value, indent + 2) for key, value in said.items())])


def long(key: str, value: object, indent: int) -> str:
    """A key and its value, folded where one line is too short."""
    line = f"{' ' * indent}{key}: {plain(value)}"
    if len(line) <= WIDTH or not isinstance(value, str) or not value.isprintable() or "  " in value:
        return line
    pad = " " * (indent + 2)
    parts = textwrap.wrap(
        value, WIDTH, initial_indent=pad, subsequent_indent=pad, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join([f"{' ' * indent}{key}: >-", *parts])


def listed(key: str, values: Iterable[str], indent: int) -> str:
    """A key and a list of names, wrapped."""
    pad = " " * indent
    return "\n".join(
        textwrap.wrap(
            f"{key}: [{', '.join(values)}]",
            WIDTH,
            initial_indent=pad,
            subsequent_indent=f"{pad}  ",
            break_long_words=False,
        )
    )
