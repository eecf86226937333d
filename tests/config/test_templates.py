"""Templates of a model mean what Dagster's templates mean; what needs Dagster is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from dagster.components.resolved.context import ResolutionContext
from dagster.components.resolved.errors import ResolutionException

from ml_assets.config.templates import ALLOWED, filled, variables
from ml_assets.config.yaml_file import ConfigError, Part

PART = Part(Path("nowhere.yaml"))
TEXTS = (
    "{{ env.NUMBER }}", "{{ env('NUMBER') }}", "{{env.TEXT}}", "a {{ env.TEXT }} b", "{{ env.NUMBER }}0",
    "{{ env('UNSET', 'x') }}", "{{ env('UNSET', 4) }}", "{{ env('UNSET', default=None) }}", "{{ env.LIST }}",
    "{{ env.UNSET }}", "{{ env.TRUE }}", "{{ env.TEXT }}-{{ env('NUMBER') }}", "{{ env.EMPTY }}", "x{{ env.EMPTY }}",
)  # fmt: skip


@pytest.fixture(autouse=True)
def there(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"NUMBER": "12", "TEXT": "so", "LIST": "[1, 'a']", "TRUE": "True", "EMPTY": ""}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("UNSET", raising=False)


@pytest.mark.parametrize("text", TEXTS)
def test_a_template_is_what_dagster_makes_of_it(text: str) -> None:
    content = {"a": [text], "b": {"c": text}}
    assert filled(content, PART) == ResolutionContext.default().resolve_value(content)


@pytest.mark.parametrize("text", ["plain", "5", "[1]", "a: {b}", "", 5, None, True])
def test_what_is_no_template_stays(text: Any) -> None:
    assert filled(text, PART) == text


@pytest.mark.parametrize(
    "text",
    [
        "{{ datetime.datetime.now() }}", "{{ context.project_root }}", "{{ env.A | int }}", "{{ env['A'] }}",
        "{% if env.A %}1{% endif %}", "{# why #}", "{{ env(env.A) }}", "{{ env('A', 'b', 'c') }}", "{{ env.A.b }}",
        "{{ env.A", "{{ env }}", "{{ env() }}", "{{ 1 + 1 }}",
        "{{ env('A', other='b') }}", "{{ env(1) }}", "{{ env(*'AB') }}",
    ],
)  # fmt: skip
def test_any_other_template_is_refused_with_file_line_and_what_is_allowed(tmp_path: Path, text: str) -> None:
    file = tmp_path / "defs.yaml"
    file.write_text("a: 1\n---\nattributes:\n  owner: x\n  split:\n    train: 1\n")
    content = {"owner": "x", "split": {"train": text}}
    with pytest.raises(ConfigError) as told:
        filled(content, Part(file, 1), ("attributes",))
    assert str(told.value) == f"{file}:6: attributes.split.train: the template {text!r} is not known here; {ALLOWED}"


def test_a_variable_that_is_not_set_is_told_by_name() -> None:
    with pytest.raises(ResolutionException, match="UNSET is not set"):
        ResolutionContext.default().resolve_value("{{ env('UNSET') }}")
    with pytest.raises(ConfigError, match=r"a: environment variable UNSET is not set; set it, or say a default: env\("):
        filled({"a": "{{ env('UNSET') }}"}, PART)


def test_what_templates_look_at_is_known() -> None:
    content = {"a": ["{{ env.A }} {{ env( \"B\", 'x') }}", "env.NO", {"b": "{{env('C')}}"}]}
    assert variables(content) == {"A", "B", "C"}
