"""Evaluate a version next to the champion and the baselines, on the same rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.datasets.code import evaluation_code, version_of
from ml_assets.datasets.provenance import Provenance
from ml_assets.datasets.split import LEARNED, Part
from ml_assets.datasets.training_set import DatasetRef
from ml_assets.evaluation.evaluate_ranking import judge_lists
from ml_assets.evaluation.evaluate_tabular import judge_rows
from ml_assets.evaluation.gate import decide, decision_of
from ml_assets.evaluation.report import render
from ml_assets.evaluation.result import (
    CANDIDATE,
    CHAMPION,
    WITHOUT,
    EvaluationResult,
    PartResult,
    read_result,
    write_result,
)
from ml_assets.metrics.metric_registry import metrics_of, sign
from ml_assets.registry.mlflow_client import log, open_mlflow
from ml_assets.registry.versions import VersionRef
from ml_assets.storage.files import replace_file, write_text_atomically

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
        ValueError: when the gate's metric is unknown, or a file of the training set is not what was published.
        KeyError: when the training set lacks a feature of the candidate.
    """
    _require_metric(spec)
    inputs = _inputs(spec, dataset, version, champion, evidently)
    published = evaluation_folder(settings, spec.name, version.version) / RESULT
    known = _published(published)
    if known is not None and known.inputs == inputs:
        return known
    altered = dataset.altered()
    if altered:
        raise ValueError(
            f"{dataset.path}: {', '.join(altered)} are not what was published; remove the folder and build it again"
        )
    result, lists = judged(spec, settings, dataset, version, champion)
    result = result.model_copy(update={"inputs": inputs})
    _publish(spec, settings, dataset, version, result, lists=lists, evidently=evidently)
    return result


def _published(path: Path) -> EvaluationResult | None:
    """The evaluation there is, None when there is none or it was altered: it is made anew then."""
    try:
        return read_result(path)
    except (FileNotFoundError, ValueError):
        return None


def judged(
    spec: ModelSpec,
    settings: Settings,
    dataset: DatasetRef,
    version: VersionRef,
    champion: VersionRef | None = None,
    *,
    parts: Sequence[Part] = EVALUATED,
) -> tuple[EvaluationResult, pa.Table]:
    """The evaluation itself, decided, and every contender's lists or predictions; writes and logs nothing.

    Of `parts` those are judged that the training set has; the test must be among them. All else as of `evaluate`.
    """
    _require_metric(spec)
    rival = None if champion is None or champion.version == version.version else champion
    boosters = {CANDIDATE: version} | ({} if rival is None else {CHAMPION: rival})
    wanted, judge = _features(dataset, boosters), judge_lists if spec.ranks else judge_rows
    there = [part for part in parts if dataset.manifest.split[part]]
    found = {part: judge(spec, settings, dataset, part, versions=boosters, wanted=wanted) for part in there}
    result = EvaluationResult(
        model=spec.name,
        version=version.version,
        run_id=version.run_id,
        training_set=dataset.fingerprint,
        champion=champion.version if champion else None,
        reference=_reference(found[Part.TEST][0], spec.gate.metric),
        metric=spec.gate.metric,
        confidence=spec.gate.confidence,
        parts={part.value: summary for part, (summary, _) in found.items()},
        notes=_notes(dataset, rival),
    )
    result = result.model_copy(update={"decision": decide(result, spec.gate)})
    return result, pa.concat_tables([lists for _, lists in found.values()])


def _require_metric(spec: ModelSpec) -> None:
    allowed = metrics_of(spec.task)
    if spec.gate.metric not in allowed:
        raise ValueError(f"{spec.name}: gate.metric {spec.gate.metric!r} is not one of {', '.join(allowed)}")


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
    described = json.dumps([*said, version_of(evaluation_code())], sort_keys=True)
    return hashlib.sha256(described.encode()).hexdigest()[:16]


def _features(dataset: DatasetRef, versions: dict[str, VersionRef]) -> list[str]:
    """The training set's features that a version takes; refuses a candidate that takes others."""
    known = dataset.manifest.features
    missing = sorted(set(versions[CANDIDATE].features) - set(known))
    if missing:
        raise KeyError(f"{dataset.path}: no features {missing}, which version {versions[CANDIDATE].version} needs")
    return [name for name in known if any(name in ref.features for ref in versions.values())]


def _reference(test: PartResult, metric: str) -> str:
    """Whom the gate compares to: the champion, or the best baseline while there is none."""
    if CHAMPION in test.gains:
        return CHAMPION
    known = [name for name in sorted(test.gains) if test.values[name][metric] is not None] or sorted(test.gains)
    return max(known, key=lambda name: sign(metric) * (test.values[name][metric] or 0.0))


def _notes(dataset: DatasetRef, rival: VersionRef | None) -> tuple[str, ...]:
    if rival is None:
        return ()
    gone = sorted(set(rival.features) - set(dataset.manifest.features))
    split = Provenance.of(rival).split
    known = {day for part in LEARNED for day in split.get(part, ())}
    seen = sorted(known & set(dataset.manifest.split[Part.TEST]))
    notes = []
    if gone:
        notes.append(f"{WITHOUT}: {', '.join(gone)}")
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
    with replace_file(folder / LISTS) as aside:
        pq.write_table(lists, aside)
    if evidently:
        from ml_assets.evaluation.evidently_report import draw

        draw(spec, dataset, version, folder / EVIDENTLY)
    plots = settings.model_home(spec.name) / "plots" / version.version
    page = render(spec, dataset, version, result, plots=plots, scored=None if spec.ranks else lists)
    write_text_atomically(folder / REPORT, page)
    write_result(folder / RESULT, result)
    client = open_mlflow(settings)
    numbers = {
        f"{part}_{metric}": value
        for part, judged in result.parts.items()
        for metric, value in judged.values[CANDIDATE].items()
    }
    log(client, version.run_id, metrics=numbers, tags={"gate": decision_of(result, spec.gate).reason})
    for file in (RESULT, REPORT):
        client.log_artifact(version.run_id, str(folder / file), "evaluation")
