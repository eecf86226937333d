"""Evidently's picture of how test candidates differ from validation candidates: for people, not a gate.

Its default tests raise false alarms on ids and on large samples, so nothing here decides anything: a
fixed-seed sample, the booster's most important columns, no column that is missing throughout (Evidently
raises on those).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ml_assets.files import replace_file
from ml_assets.learning.spec import ModelSpec
from ml_assets.learning.split import Part
from ml_assets.learning.training_set import DatasetRef, load_rows
from ml_assets.registry.versions import VersionRef

if TYPE_CHECKING:
    import pandas as pd

ROWS, COLUMNS = 2500, 12


def draw(spec: ModelSpec, dataset: DatasetRef, version: VersionRef, out: Path) -> None:
    """Draw the drift report of the test candidates against the validation candidates to `out` (HTML)."""
    from evidently import Report
    from evidently.presets import DataDriftPreset

    columns = _important(version)
    reference = _sample(spec, dataset, Part.VALIDATION, columns)
    current = _sample(spec, dataset, Part.TEST, columns)
    drawn = [name for name in columns if reference[name].notna().any() and current[name].notna().any()]
    if not drawn:
        raise ValueError(f"{dataset.path}: every important feature is missing throughout; nothing to draw")
    snapshot = Report([DataDriftPreset()]).run(current[drawn], reference[drawn])
    with replace_file(out) as aside:
        snapshot.save_html(str(aside))


def _important(version: VersionRef) -> list[str]:
    gain = version.booster().feature_importance("gain")
    return [version.features[at] for at in np.argsort(-gain, kind="stable")[:COLUMNS]]


def _sample(spec: ModelSpec, dataset: DatasetRef, part: Part, columns: list[str]) -> pd.DataFrame:
    import pandas as pd

    x = load_rows(dataset, part, columns, spec).x
    rows = np.sort(np.random.default_rng(spec.training.seed).permutation(len(x))[:ROWS])
    return pd.DataFrame(x[rows].astype(np.float64), columns=columns)
