"""What is wrong in a YAML file is said with file, line and key."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from ml_assets.config.yaml_file import ConfigError, Strict, nearest, place, read_yaml, validated


class Inner(Strict):
    count: int = Field(default=1, ge=1, le=9)
    share: float = 0.5


class Outer(Strict):
    name: str
    inner: Inner = Field(default_factory=Inner)
    each: dict[str, Inner] = Field(default_factory=dict)
    several: tuple[Inner, ...] = ()


def refused(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as told:
        validated(Outer, read_yaml(path), [path])
    return [line.removeprefix(f"{path}:") for line in str(told.value).splitlines()]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: a\niner: {}\n", "2: iner: there is no such key; did you mean 'inner'?"),
        ("name: a\ninner:\n  cuont: 2\n", "3: inner.cuont: there is no such key; did you mean 'count'?"),
        ("name: a\nxyz: 1\n", "2: xyz: there is no such key; there are: each, inner, name, several"),
        (
            "name: a\neach:\n  x: {}\n  y:\n    shar: 1\n",
            "5: each.y.shar: there is no such key; did you mean 'share'?",
        ),
        (
            "name: a\nseveral:\n- count: 1\n- coun: 1\n",
            "4: several.1.coun: there is no such key; did you mean 'count'?",
        ),
        ("name: a\ninner: {count: -5}\n", "2: inner.count: Input should be greater than or equal to 1, not -5"),
        ("name: a\ninner: {share: .inf}\n", "2: inner.share: Input should be a finite number, not inf"),
        ("name: a\ninner: {share: .nan}\n", "2: inner.share: Input should be a finite number, not nan"),
        ("inner: {count: 2}\n", "1: name: Field required"),
        ("name: a\ninner: {}\ninner: {count: 2}\n", "3: inner: this key is there twice; keep one"),
        ("name: a\n  inner: {}\n", "2: this is no YAML: mapping values are not allowed here"),
        ("name: a\ninner: [1\n", "3: this is no YAML: expected ',' or ']', but got '<stream end>'"),
    ],
)
def test_each_mistake_has_its_line_and_its_remedy(tmp_path: Path, text: str, said: str) -> None:
    assert refused(tmp_path, text) == [said]


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    said = refused(tmp_path, "nam: a\ninner: {count: 10}\n")
    assert [line.split(":")[0] for line in said] == ["1", "2", "1"]


def test_a_key_of_a_file_below_is_found_there(tmp_path: Path) -> None:
    top, base = tmp_path / "top.yaml", tmp_path / "base.yaml"
    top.write_text("name: a\n")
    base.write_text("\ninner:\n  count: 2\n")
    assert place([top, base], ["inner", "count"]) == f"{base}:3: inner.count"
    assert place([top, base], ["name"]) == f"{top}:1: name"
    assert place([], ["name"]) == "name"


@given(st.sampled_from(["train", "validation", "holdout"]), st.data())
def test_a_letter_that_is_lost_is_found_again(name: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(name) - 1))
    assert (
        nearest(name[:at] + name[at + 1 :], ["train", "validation", "test", "holdout"]) == f"; did you mean {name!r}?"
    )
