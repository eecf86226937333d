"""Evidently's picture of how test candidates differ from validation candidates: for people, not a gate.

Its default tests raise false alarms on ids and on large samples, so nothing here decides anything: a
fixed-seed sample, the booster's most important columns; one that is missing throughout is named with why.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ml_assets.config.model_spec import ModelSpec
from ml_assets.datasets.split import Part
from ml_assets.datasets.training_set import DatasetRef, load_rows
from ml_assets.registry.versions import VersionRef
from ml_assets.reporting.evidently_page import save_page

if TYPE_CHECKING:
    import pandas as pd

ROWS, COLUMNS = 2500, 12


def draw(spec: ModelSpec, dataset: DatasetRef, version: VersionRef, out: Path) -> None:
    """Draw the drift report of the test candidates against the validation candidates to `out` (HTML)."""
    columns = _important(version)
    reference = _sample(spec, dataset, Part.VALIDATION, columns)
    current = _sample(spec, dataset, Part.TEST, columns)
    save_page(current, reference, out)


def _important(version: VersionRef) -> list[str]:
    gain = version.booster().feature_importance("gain")
    return [version.features[at] for at in np.argsort(-gain, kind="stable")[:COLUMNS]]


def _sample(spec: ModelSpec, dataset: DatasetRef, part: Part, columns: list[str]) -> pd.DataFrame:
    import pandas as pd

    x = load_rows(dataset, part, columns, spec).x
    rows = np.sort(np.random.default_rng(spec.training.seed).permutation(len(x))[:ROWS])
    return pd.DataFrame(x[rows].astype(np.float64), columns=columns)
