"""Rolling origin: nothing gains over itself, what is better does, and the mean is over windows."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pytest
from tiny_labelled import labelled_spec

from benchmarks.rolling import RIVALS, Window, mean_gains
from ml_assets.config.model_spec import Task


def window(seed: int, sharpness: float) -> Window:
    """300 events of 30 days whose own prediction is `sharpness` of the truth and noise for the rest."""
    rng = np.random.default_rng(seed)
    truth, noise = (rng.random(300) < 0.3).astype(float), rng.random(300)
    blind: Any = None
    return Window(
        days=(date(2026, 1, 1), date(2026, 1, 30)),
        trained_on=1000,
        result=blind,
        decision=blind,
        truth=truth,
        own=sharpness * truth + (1 - sharpness) * noise,
        rivals=dict.fromkeys(RIVALS.values(), noise),
        cluster=np.repeat(np.arange(30), 10),
    )


@pytest.mark.parametrize("rival", RIVALS.values())
def test_nothing_gains_over_itself_and_what_knows_more_does(rival: str) -> None:
    spec = labelled_spec(Task.BINARY)
    same = mean_gains(spec, [window(1, 0.0), window(2, 0.0)], rival)
    assert all(set(each.values()) == {0.0} for each in same.values())
    better = mean_gains(spec, [window(1, 0.5), window(2, 0.5)], rival)
    assert better["average_precision"]["low"] > 0
    assert better["brier"]["low"] > 0


def test_the_mean_is_of_the_windows() -> None:
    spec = labelled_spec(Task.BINARY)
    alone = [mean_gains(spec, [each], "linear")["auc"]["gain"] for each in (window(1, 0.5), window(2, 0.1))]
    both = mean_gains(spec, [window(1, 0.5), window(2, 0.1)], "linear")["auc"]
    assert both["gain"] == pytest.approx(np.mean(alone))
    assert both["low"] < both["gain"] < both["high"]
