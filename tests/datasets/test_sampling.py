from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ml_assets.datasets.sampling import keep_negatives, sample_groups


@given(
    label=hnp.arrays(np.int32, st.integers(0, 60), elements=st.integers(0, 3)),
    negatives=st.integers(1, 5),
    data=st.data(),
)
def test_every_label_is_kept_and_never_too_many_negatives(label, negatives, data):
    group = np.sort(data.draw(hnp.arrays(np.int64, len(label), elements=st.integers(0, 5))))
    keep = keep_negatives(label, group, negatives, 7)
    for one in np.unique(group):
        inside = group == one
        positives, unlabelled = inside & (label > 0), inside & (label == 0)
        if not positives.any():
            assert not keep[inside].any()
        else:
            assert keep[positives].all()
            assert keep[unlabelled].sum() == min(negatives, unlabelled.sum())


def test_the_seed_decides_which_negatives():
    label, group = np.array([1] + [0] * 99), np.zeros(100, dtype=int)
    first = keep_negatives(label, group, 10, 1)
    assert (first == keep_negatives(label, group, 10, 1)).all()
    assert (first != keep_negatives(label, group, 10, 2)).any()


def test_whole_groups_are_sampled():
    keep = sample_groups(np.array([2, 3, 4]), 2, seed=1)
    parts = [keep[:2], keep[2:5], keep[5:]]
    assert sum(part.all() for part in parts) == 2
    assert sum(part.any() for part in parts) == 2
