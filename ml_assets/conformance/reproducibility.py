"""Made twice, equal to the bit; saved and loaded, equal to the bit; damaged, refused."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ml_assets.conformance.context import Context
from ml_assets.conformance.verdict import Finding, judged
from ml_assets.datasets.provenance import Provenance, code_changes, code_of
from ml_assets.evaluation.contenders import Contender
from ml_assets.metrics.ranking import FloatArray
from ml_assets.registry.versions import (
    BOOSTER,
    DESCRIPTION,
    CorruptedVersionError,
    load_version,
    publish_version,
    version_id,
)
from ml_assets.training.train import fit

if TYPE_CHECKING:
    import lightgbm

SINGLY = 200
"""Rows that are also scored one by one, as the service does."""


def determinism(subject: Context) -> Finding:
    """Training again gives the champion's own bytes; scoring again, at once or row by row, the same bits."""
    version, text = subject.version, subject.again.booster.model_to_string()
    made = version_id(text, version.name, version.features, version.created_from)
    problem, said = None, f"trained again it is version {made} to the last bit"
    if made != version.version:
        twice = fit(subject.spec, subject.dataset, version.params).booster.model_to_string()
        changed = ", ".join(code_changes(Provenance.of(version), code_of(subject.spec))) or "nothing that is recorded"
        said = f"trained twice it is the same to the last bit, yet not the one checked (changed since: {changed})"
        problem = None if twice == text else f"trained twice it is two models ({_short(text)}, {_short(twice)})"
    contender, features = Contender.of(version), version.features
    scores = [contender.scores(subject.rows, features, subject.settings.threads) for _ in range(2)]
    if not _same(*scores):
        problem = problem or f"scored twice, {_different(*scores):,} of {len(subject.rows):,} rows differ"
    few = subject.rows[:SINGLY]
    singly = np.concatenate([contender.scores(row[None], features, 1) for row in few])
    if not _same(scores[0][: len(few)], singly):
        problem = problem or f"scored one by one, {_different(scores[0][: len(few)], singly)} of {len(few)} rows differ"
    return judged(
        problem,
        f"{said}; {len(subject.rows):,} rows scored twice, and {len(few)} of them one by one, have the same bits",
        version=version.version,
        version_again=made,
        rounds=subject.again.rounds,
        rows=len(subject.rows),
        rows_singly=len(few),
    )


def saved(subject: Context) -> Finding:
    """A published version scores as it did in memory, and is refused when a byte of it is another one."""
    version, fitted = subject.version, subject.again.booster
    published = publish_version(
        subject.scratch,
        version.name,
        fitted.model_to_string(),
        version.run_id,
        features=version.features,
        params=version.params,
        training_set=version.training_set,
        metrics=version.metrics,
        created_from=version.created_from,
    )
    loaded = load_version(published.path).booster()
    threads = subject.settings.threads
    in_memory, anew = _scores(fitted, subject.rows, threads), _scores(loaded, subject.rows, threads)
    differ = _different(in_memory, anew)
    taken = [name for name, damage in DAMAGES.items() if _taken(subject, published.path, damage)]
    problem = f"{differ:,} of {len(in_memory):,} rows score differently once saved and loaded" if differ else None
    if taken:
        problem = problem or f"a damaged version was loaded: {', '.join(taken)}"
    return judged(
        problem,
        f"{len(in_memory):,} rows score the same bits before saving and after loading; "
        f"{len(DAMAGES)} damaged copies (a bit flipped here and there, a byte cut off) are each refused",
        rows=len(in_memory),
        damages=list(DAMAGES),
    )


def _flipped(name: str, where: float) -> Callable[[Path], None]:
    """One bit of a file is another one, so far into it."""

    def damage(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[int(where * (len(content) - 1))] ^= 1
        (folder / name).write_bytes(content)

    return damage


def _cut(folder: Path) -> None:
    content = (folder / BOOSTER).read_bytes()
    (folder / BOOSTER).write_bytes(content[:-1])


PLACES = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
"""How far into a file a bit is flipped."""
DAMAGES = {
    **{f"a bit of {name} at {where:.0%}": _flipped(name, where) for name in (BOOSTER, DESCRIPTION) for where in PLACES},
    f"a byte too few in {BOOSTER}": _cut,
}


def _taken(subject: Context, version: Path, damage: Callable[[Path], None]) -> bool:
    """Whether a copy of the version is still loaded once damaged."""
    with subject.folder() as aside:
        copy = aside / version.name
        shutil.copytree(version, copy)
        damage(copy)
        try:
            load_version(copy)
        except CorruptedVersionError:
            return False
    return True


def _scores(booster: lightgbm.Booster, x: Any, threads: int) -> FloatArray:
    return np.asarray(booster.predict(x, num_threads=threads), dtype=np.float64)


def _different(one: FloatArray, other: FloatArray) -> int:
    """Rows whose bits differ; NaN is like NaN."""
    return int(np.count_nonzero(one.view(np.int64) != other.view(np.int64)))


def _same(one: FloatArray, other: FloatArray) -> bool:
    return not _different(one, other)


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
