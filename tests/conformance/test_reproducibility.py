"""Determinism, and saving and loading: what repeats passes, what does not is caught."""

from __future__ import annotations

import re
from itertools import count
from typing import Any

import numpy as np
import pytest

from ml_assets.config.model_spec import Task
from ml_assets.conformance import context as subjects
from ml_assets.conformance import reproducibility as repeats
from ml_assets.conformance.context import Context
from ml_assets.conformance.verdict import Outcome
from ml_assets.evaluation.contenders import Contender
from ml_assets.registry.versions import BOOSTER, DESCRIPTION, load_version, publish_version
from ml_assets.training import train


def test_a_sound_model_repeats_and_is_kept(champion: Context) -> None:
    found = repeats.determinism(champion)
    assert found.outcome is Outcome.PASSED, found.text
    assert found.figures["version_again"] == champion.version.version
    kept = repeats.saved(champion)
    assert kept.outcome is Outcome.PASSED, kept.text
    assert any(DESCRIPTION in damage for damage in kept.figures["damages"])


def test_training_that_depends_on_chance_is_caught(champion: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = count(100)

    def by_chance(spec: Any, dataset: Any, params: Any) -> Any:
        return train.fit(spec, dataset, {**params, "seed": next(seeds)})

    monkeypatch.setattr(repeats, "fit", by_chance)
    monkeypatch.setattr(subjects, "fit", by_chance)
    found = repeats.determinism(champion)
    assert found.outcome is Outcome.FAILED
    assert "two models" in found.text


def test_a_champion_of_other_code_repeats_though_it_is_another(champion_of: Any) -> None:
    found = repeats.determinism(champion_of(Task.BINARY, learning_rate=0.2))
    assert found.outcome is Outcome.PASSED
    assert "not the one checked" in found.text


@pytest.mark.parametrize("when", ["always", "alone"])
def test_scores_that_depend_on_chance_are_caught(champion: Context, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    rng, honest = np.random.default_rng(1), Contender.scores

    def noisy(self: Contender, x: Any, columns: Any, threads: int) -> Any:
        noise = rng.normal(size=len(x)) * 1e-12
        return honest(self, x, columns, threads) + (noise if when == "always" or len(x) == 1 else 0)

    monkeypatch.setattr(Contender, "scores", noisy)
    found = repeats.determinism(champion)
    assert found.outcome is Outcome.FAILED
    assert ("scored twice" if when == "always" else "one by one") in found.text


def test_a_loader_that_checks_nothing_is_caught(champion: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    class Unchecked:
        def booster(self) -> Any:
            return champion.again.booster

    monkeypatch.setattr(repeats, "load_version", lambda path: Unchecked())
    found = repeats.saved(champion)
    assert found.outcome is Outcome.FAILED
    assert BOOSTER in found.text


def test_a_model_saved_with_fewer_digits_is_caught(champion: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    def shortened(settings: Any, name: str, booster: str, run_id: str, **rest: Any) -> Any:
        rounded = re.sub(r"(?m)^leaf_value=(.*)$", lambda line: "leaf_value=" + " ".join(
            f"{float(value):.3g}" for value in line[1].split()), booster)  # fmt: skip
        return publish_version(settings, name, re.sub(r"(?m)^tree_sizes=.*\n", "", rounded), run_id, **rest)

    monkeypatch.setattr(repeats, "publish_version", shortened)
    found = repeats.saved(champion)
    assert found.outcome is Outcome.FAILED
    assert "once saved and loaded" in found.text


def test_every_bit_of_a_description_is_guarded(champion_of: Any) -> None:
    version = champion_of(Task.REGRESSION).version
    file = version.path / DESCRIPTION
    whole = file.read_bytes()
    for at in range(0, len(whole), 97):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(ValueError, match="train again"):
            load_version(version.path)
    file.write_bytes(whole)
    assert load_version(version.path) == version
