"""What a version looks at: each feature's share of the model's own explanation of its scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ml_assets.training.importance import shap_values

if TYPE_CHECKING:
    import lightgbm

SAMPLE = 1000
"""Rows explained on each side: SHAP costs trees x leaves x depth^2 each."""


def attribution(booster: lightgbm.Booster, *samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """Share [F] of the mean absolute SHAP value per feature; adds up to 1 (0 for a model that looks at nothing).

    Of several samples a feature counts by the largest of its shares: one that the model begins to look at
    because it drifted matters as much as one that it looked at before.

    Args:
        booster: the version that serves.
        samples: rows [n, F] as the booster saw them; empty ones do not count.
    """
    shares = [_shares(booster, rows) for rows in samples if len(rows)]
    largest = np.max(shares, axis=0) if shares else np.zeros(booster.num_feature())
    return np.asarray(largest / max(largest.sum(), 1e-300), dtype=np.float64)


def _shares(booster: lightgbm.Booster, rows: NDArray[np.float32]) -> NDArray[np.float64]:
    mean = np.abs(shap_values(booster, rows)).mean(axis=0)
    return np.asarray(mean / max(float(mean.sum()), 1e-300), dtype=np.float64)
