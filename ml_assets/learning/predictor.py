"""`Booster.predict` for many rows on one thread, with the same bytes for an answer in less time.

What a tree asks of a row depends on its answers so far, and the processor works ahead on a guess of them. Rows that
answer the commonest questions alike follow one another here: the guesses then hold, which saves a sixth of the time.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ml_assets.learning.metrics import IntArray
from ml_assets.registry.versions import VersionRef

QUESTIONS = 16
"""Splits whose answers order the rows: so many bits are sorted in linear time."""


class Predictor:
    """The scores of one model version; not to be shared between threads.

    Attributes:
        used: the features that a tree looks at, in the version's order: no other can change a score.
    """

    def __init__(self, ref: VersionRef) -> None:
        self._booster, self._features = ref.booster(), ref.features
        text = ref.booster_file.read_text()
        split, of_leaf = _said(text, "split_feature", int), _said(text, "leaf_features", int)
        self.used: Sequence[str] = [ref.features[at] for at in sorted({*split, *of_leaf})]
        asked: Counter[tuple[int, float]] = Counter()
        for at, threshold, rows in zip(
            split, _said(text, "threshold", float), _said(text, "internal_count", float), strict=True
        ):
            asked[at, threshold] += int(rows)
        self._questions = [question for question, _ in asked.most_common(QUESTIONS)]

    def __call__(self, features: pa.Table) -> NDArray[np.float64]:
        """[n] the score of each row.

        Args:
            features: float32 columns, missing is null or NaN; all that are `used`, and any others.
        """
        if not len(features):
            return np.empty(0)
        columns = {self._features.index(name): features[name].to_numpy() for name in self.used}
        order = self._order(columns, len(features))
        x = np.zeros((len(self._features), len(features)), dtype=np.float32)
        for at, values in columns.items():
            np.take(values, order, out=x[at], mode="clip")  # any other mode goes through a copy
        scores = np.empty(len(features))
        scores[order] = self._booster.predict(x.T, num_threads=1)
        return scores

    def _order(self, columns: dict[int, NDArray[np.float32]], rows: int) -> IntArray:
        """[n] rows with the same answers together."""
        answers: NDArray[np.uint16] = np.zeros(rows, dtype=np.uint16)
        with np.errstate(over="ignore"):  # a threshold may lie beyond float32
            for at, threshold in self._questions:
                answers = (answers << np.uint16(1)) | (columns[at] <= np.float32(threshold)).astype(np.uint16)
        return np.argsort(answers, kind="stable")


def _said(text: str, key: str, kind: type) -> list[Any]:
    """What LightGBM's text form says under this key of all trees, one after the other."""
    return [kind(each) for line in re.findall(rf"^{key}=(.*)$", text, re.M) for each in line.split()]
