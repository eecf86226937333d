"""The gate from both sides: the champion passes it, and models that learned nothing do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ml_assets.config.model_spec import ModelSpec
from ml_assets.conformance.context import Context
from ml_assets.conformance.verdict import Finding, failed, judged, passed
from ml_assets.datasets.split import LEARNED, Part
from ml_assets.datasets.training_set import ROWS, DatasetRef
from ml_assets.evaluation import evaluate
from ml_assets.evaluation.gate import decision_of
from ml_assets.evaluation.result import CANDIDATE, GateDecision
from ml_assets.registry.versions import VersionRef, publish_version
from ml_assets.training.train import fit

SEEDS, SEVERAL = 1, 3
"""Shufflings of a ranking, and of a training set of labelled events, which trains in seconds."""
BATCH = 65_536


def better(subject: Context) -> Finding:
    """The champion beats the best baseline on its test part, by the gate's own rules."""
    decision, figures = _judged(subject, subject.version)
    return judged(None if decision.promote else decision.reason, decision.reason, **figures)


def shuffled(subject: Context) -> Finding:
    """Trained on labels that were shuffled, no model passes the gate."""
    seeds = range(subject.spec.training.seed, subject.spec.training.seed + (SEEDS if subject.spec.ranks else SEVERAL))
    metric, found = subject.spec.gate.metric, {}
    for seed in seeds:
        with subject.folder() as aside:
            relabelled = shuffle_labels(subject.spec, subject.dataset, aside / "shuffled", seed)
            found[seed] = _judged(subject, trained_aside(subject, relabelled, seed))
    through = [seed for seed, (decision, _) in found.items() if decision.promote]
    values = ", ".join(_number(figures[metric]) for _, figures in found.values())
    runs = {f"seed {seed}": {**figures, "gate": decision.reason} for seed, (decision, figures) in found.items()}
    if through:
        worst = found[through[0]][0]
        said = f"{len(through)} of {len(found)} models trained on shuffled labels pass the gate: {worst.reason}"
        return failed(said, runs=runs)
    nearest = max(found.values(), key=lambda run: run[1]["gain"] or -np.inf)[0]
    said = "; ".join(check.detail for check in nearest.checks if check.name != "slices")
    return passed(
        f"{len(found)} trained on shuffled labels, test {metric} {values}, stopped by the gate, the best by {said}",
        runs=runs,
    )


def _judged(subject: Context, version: VersionRef) -> tuple[GateDecision, dict[str, Any]]:
    """What the gate says of a version against the baselines, by the evaluation every candidate gets; its figures."""
    spec = subject.spec
    result, _ = evaluate.judged(spec, subject.settings, subject.dataset, version, parts=(Part.TEST,))
    test, decision = result.parts[Part.TEST.value], decision_of(result, spec.gate)
    gain = test.gains[result.reference][spec.gate.metric]
    figures = {
        spec.gate.metric: test.values[CANDIDATE][spec.gate.metric],
        "baseline": result.reference,
        f"baseline_{spec.gate.metric}": test.values[result.reference][spec.gate.metric],
        "gain": gain.gain,
        "low": gain.low,
        "high": gain.high,
        "confidence": result.confidence,
    }
    return decision, figures


def trained_aside(subject: Context, dataset: DatasetRef, seed: int) -> VersionRef:
    """A version trained as the champion was, published aside."""
    version = subject.version
    fitted = fit(subject.spec, dataset, version.params)
    return publish_version(
        subject.scratch,
        version.name,
        fitted.booster.model_to_string(),
        "shuffled",
        features=dataset.manifest.features,
        params=version.params,
        training_set=dataset.fingerprint,
        metrics={"rounds": fitted.rounds},
        created_from={"shuffled": seed},
    )


def shuffle_labels(spec: ModelSpec, dataset: DatasetRef, folder: Path, seed: int) -> DatasetRef:
    """A training set whose train and validation labels are shuffled: within each list, or within each part.

    Every list keeps as many labels of each grade, every part of labelled events its labels. Test and holdout rows are
    left out: what is trained is judged on those of `dataset`.
    """
    folder.mkdir()
    for file in dataset.path.iterdir():
        if file.name != ROWS:
            (folder / file.name).symlink_to(file.resolve())
    keys = pq.read_table(dataset.path / ROWS, columns=[spec.label, "split", "group"])
    learned = pc.is_in(keys["split"], pa.array([part.value for part in LEARNED])).to_numpy(zero_copy_only=False)
    parts = pc.dictionary_encode(keys["split"]).combine_chunks().indices.to_numpy()
    label = keys[spec.label].to_numpy()
    strata = keys["group"].to_numpy() if spec.ranks else parts
    label = np.where(learned, _shuffled(label, strata, seed), label)
    source, at = pq.ParquetFile(dataset.path / ROWS), 0
    place = source.schema_arrow.get_field_index(spec.label)
    with pq.ParquetWriter(folder / ROWS, source.schema_arrow) as writer:
        for batch in source.iter_batches(BATCH):
            new = pa.array(label[at : at + len(batch)], source.schema_arrow.field(place).type)
            kept = batch.set_column(place, source.schema_arrow.field(place), new)
            writer.write_batch(kept.filter(pa.array(learned[at : at + len(batch)])))
            at += len(batch)
    return DatasetRef(folder)


def _shuffled(values: NDArray[Any], stratum: NDArray[Any], seed: int) -> NDArray[Any]:
    """The values [n], drawn anew without replacement within each stratum [n]."""
    drawn = np.lexsort((np.random.default_rng(seed).random(len(values)), stratum))
    made = np.empty_like(values)
    made[np.argsort(stratum, kind="stable")] = values[drawn]
    return made


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"
