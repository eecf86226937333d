"""Evaluate a version over the full catalogue, next to the champion and the baselines, on the same rows."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ml_assets.files import replace_file, write_text_atomically
from ml_assets.learning import metrics
from ml_assets.learning.bootstrap import paired_intervals
from ml_assets.learning.compare import decide
from ml_assets.learning.contenders import Contender, Judged, judge, ranked
from ml_assets.learning.evaluation import (
    CANDIDATE,
    CHAMPION,
    EvaluationResult,
    Gain,
    PartResult,
    SliceResult,
    read_result,
)
from ml_assets.learning.fingerprint import EVALUATION_CODE, code_version
from ml_assets.learning.metrics import FloatArray
from ml_assets.learning.provenance import Provenance
from ml_assets.learning.report import render
from ml_assets.learning.spec import ModelSpec
from ml_assets.learning.split import Part
from ml_assets.learning.tracking import log, open_mlflow
from ml_assets.learning.training_set import BASELINES, DatasetRef, Frame, load_frame
from ml_assets.registry.versions import VersionRef
from ml_assets.settings import Settings

EVALUATED = (Part.TEST, Part.HOLDOUT)
RESULT, LISTS, REPORT, EVIDENTLY = "result.json", "lists.parquet", "report.html", "evidently.html"


def evaluation_folder(settings: Settings, name: str, version: str) -> Path:
    """Where a version's evaluation lies; evaluating it again replaces it."""
    return settings.model_home(name) / "evaluations" / version


def evaluate(
    spec: ModelSpec,
    settings: Settings,
    dataset: DatasetRef,
    version: VersionRef,
    champion: VersionRef | None = None,
    *,
    evidently: bool = True,
) -> EvaluationResult:
    """Score test and holdout, write result, lists and reports, and log to the version's MLflow run.

    The same evaluation twice is read, not made again.

    Args:
        spec: the model.
        settings: the deployment.
        dataset: the training set; test and holdout are its own.
        version: the candidate.
        champion: the champion, scored on the same rows; without one the best baseline is the reference.
        evidently: also draw Evidently's report (most of an evaluation's time, for people only).

    Raises:
        ValueError: when the gate's metric is unknown.
        KeyError: when the training set lacks a feature of the candidate.
    """
    if spec.gate.metric not in metrics.RELEVANCE_METRICS:
        raise ValueError(f"{spec.name}: gate.metric {spec.gate.metric!r} is not one of {metrics.RELEVANCE_METRICS}")
    inputs = _inputs(spec, dataset, version, champion, evidently)
    published = evaluation_folder(settings, spec.name, version.version) / RESULT
    if published.exists() and (known := read_result(published)).inputs == inputs:
        return known
    rival = None if champion is None or champion.version == version.version else champion
    boosters = {CANDIDATE: version} | ({} if rival is None else {CHAMPION: rival})
    parts, tables = {}, []
    for part in EVALUATED:
        if dataset.manifest.split[part]:
            parts[part.value], lists = _part(spec, settings, dataset, part, boosters)
            tables.append(lists)
    result = EvaluationResult(
        model=spec.name,
        version=version.version,
        run_id=version.run_id,
        training_set=dataset.fingerprint,
        champion=champion.version if champion else None,
        reference=_reference(parts[Part.TEST.value], spec.gate.metric),
        metric=spec.gate.metric,
        confidence=spec.gate.confidence,
        parts=parts,
        notes=_notes(dataset, rival),
        inputs=inputs,
    )
    _publish(spec, settings, dataset, version, result, lists=pa.concat_tables(tables), evidently=evidently)
    return result


def _inputs(
    spec: ModelSpec, dataset: DatasetRef, version: VersionRef, champion: VersionRef | None, evidently: bool
) -> str:
    """Content address of all an evaluation depends on: who is judged, against whom, on what, how."""
    said = [
        version.version,
        champion.version if champion else None,
        dataset.fingerprint,
        spec.gate.model_dump(),
        evidently,
    ]
    described = json.dumps([*said, code_version(EVALUATION_CODE)], sort_keys=True)
    return hashlib.sha256(described.encode()).hexdigest()[:16]


def _part(
    spec: ModelSpec, settings: Settings, dataset: DatasetRef, part: Part, versions: dict[str, VersionRef]
) -> tuple[PartResult, pa.Table]:
    known = dataset.manifest.features
    wanted = [name for name in known if any(name in ref.features for ref in versions.values())]
    missing = sorted(set(versions[CANDIDATE].features) - set(known))
    if missing:
        raise KeyError(f"{dataset.path}: no features {missing}, which version {versions[CANDIDATE].version} needs")
    frame = load_frame(dataset, part, wanted, spec)
    scores = {name: Contender.of(ref).scores(frame.rows.x, wanted, settings.threads) for name, ref in versions.items()}
    lists = {name: ranked(spec, frame, score, name) for name, score in scores.items()}
    baselines = pq.read_table(dataset.path / BASELINES)
    for name in sorted(pc.unique(baselines["contender"]).to_pylist()):
        lists[name] = baselines.filter(pc.equal(baselines["contender"], name))
    contenders = {name: judge(frame, table) for name, table in lists.items()}
    own = pa.concat_tables([lists[name] for name in versions])
    return _summary(spec, frame, contenders), own


def _summary(spec: ModelSpec, frame: Frame, contenders: dict[str, Judged]) -> PartResult:
    own = contenders[CANDIDATE]
    others = {name: judged for name, judged in contenders.items() if name != CANDIDATE}
    kept = {
        (column, value): column_values == value
        for column, column_values in frame.slices.items()
        for value in sorted({str(one) for one in column_values})
    }
    sliced = {
        (where, name): metrics.relevance_metric(spec.gate.metric, judged.hit, frame.truth, keep)
        for where, keep in kept.items()
        for name, judged in contenders.items()
    }
    differences = {
        f"{name}|{metric}": own.values[metric] - judged.values[metric]
        for name, judged in others.items()
        for metric in metrics.METRICS
    }
    for (where, name), values in sliced.items():
        if name != CANDIDATE:
            differences[f"{name}|{'='.join(where)}"] = sliced[where, CANDIDATE] - values
    gains = _gains(spec, frame, differences)
    return PartResult(
        decisions=tuple(day.as_py().date() for day in frame.decisions),
        customers=len(frame.customers),
        groups=frame.truth.groups,
        relevant=len(frame.truth.item),
        ceiling=_ceiling(frame),
        values={name: _values(judged, frame) for name, judged in contenders.items()},
        gains={name: {m: gains[f"{name}|{m}"] for m in metrics.METRICS} for name in others},
        by_decision={n: _by_decision(j.values[spec.gate.metric], frame) for n, j in contenders.items()},
        slices=tuple(
            SliceResult(
                column=where[0],
                value=where[1],
                customers=len(np.unique(frame.customer[frame.truth.group[keep]])),
                groups=len(np.unique(frame.truth.group[keep])),
                values={name: _mean(sliced[where, name]) for name in contenders},
                gains={name: gains[f"{name}|{'='.join(where)}"] for name in others},
            )
            for where, keep in kept.items()
        ),
    )


def _gains(spec: ModelSpec, frame: Frame, differences: dict[str, FloatArray]) -> dict[str, Gain]:
    gate = spec.gate
    found = paired_intervals(frame.customer, differences, gate.draws, gate.confidence, spec.training.seed)
    return {name: Gain(**vars(interval)) for name, interval in found.items()}


def _values(judged: Judged, frame: Frame) -> dict[str, float | None]:
    means = {name: _mean(values) for name, values in judged.values.items()}
    return {**means, "coverage_10": metrics.coverage(judged.lists, frame.catalogue)}


def _mean(values: FloatArray) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def _by_decision(values: FloatArray, frame: Frame) -> tuple[float, ...]:
    return tuple(_mean(values[frame.decision == at]) for at in range(len(frame.decisions)))


def _ceiling(frame: Frame) -> float:
    """Share of the relevant items that are among the candidates: no ranker can find more."""
    span = len(frame.items)
    there = frame.row_group * span + frame.row_item
    return float(np.isin(frame.truth.group * span + frame.truth.item, there).mean())


def _reference(test: PartResult, metric: str) -> str:
    """Whom the gate compares to: the champion, or the best baseline while there is none."""
    if CHAMPION in test.gains:
        return CHAMPION
    return max(sorted(test.gains), key=lambda name: test.values[name][metric] or 0.0)


def _notes(dataset: DatasetRef, rival: VersionRef | None) -> tuple[str, ...]:
    if rival is None:
        return ()
    gone = sorted(set(rival.features) - set(dataset.manifest.features))
    split = Provenance.of(rival).split
    known = {day for part in (Part.TRAIN, Part.VALIDATION) for day in split.get(part, ())}
    seen = sorted(known & set(dataset.manifest.split[Part.TEST]))
    notes = []
    if gone:
        notes.append(f"the champion was scored without features that no longer exist: {', '.join(gone)}")
    if seen:
        days = ", ".join(map(str, seen))
        notes.append(f"the champion was trained on test decisions, which flatters it: {days}; train on the fresh cut")
    return tuple(notes)


def _publish(
    spec: ModelSpec,
    settings: Settings,
    dataset: DatasetRef,
    version: VersionRef,
    result: EvaluationResult,
    *,
    lists: pa.Table,
    evidently: bool,
) -> None:
    """Write the folder, the result last, and log to the version's run."""
    folder = evaluation_folder(settings, spec.name, version.version)
    decision = decide(result, spec.gate)
    with replace_file(folder / LISTS) as aside:
        pq.write_table(lists, aside)
    if evidently:
        from ml_assets.learning.evidently_report import draw

        draw(spec, dataset, version, folder / EVIDENTLY)
    plots = settings.model_home(spec.name) / "plots" / version.version
    write_text_atomically(folder / REPORT, render(spec, dataset, version, result, decision, plots=plots))
    write_text_atomically(folder / RESULT, result.model_dump_json(indent=2) + "\n")
    client = open_mlflow(settings)
    numbers = {
        f"{part}_{metric}": value
        for part, judged in result.parts.items()
        for metric, value in judged.values[CANDIDATE].items()
    }
    log(client, version.run_id, metrics=numbers, tags={"gate": decision.reason})
    for file in (RESULT, REPORT):
        client.log_artifact(version.run_id, str(folder / file), "evaluation")
