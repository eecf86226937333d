"""A check judges each day of its run: each day has a history of its own, and a range also a result for all of it.

What could not be judged does not pass: it is a warning that says "not judged" and why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, cast
from uuid import uuid4

import dagster as dg
from dagster._core.events import DagsterEvent, DagsterEventBatchMetadata, DagsterEventType

from ml_assets.components.days import days_of
from ml_assets.ingestion.days.ledger import days_between

NEWS = 7
"""Days at the end of a range that a finding may lie in to be more than a warning, unless it blocks."""
SHOWN = 5
UNJUDGED = "not judged"

Evaluations = Iterator[dg.AssetCheckResult]


def daily_check(**options: Any) -> Callable[[Callable[..., Evaluations]], dg.AssetChecksDefinition]:
    """`@dg.asset_check` for a function that gives back what `each_day` makes of it."""
    decorate: Any = dg.asset_check(**options)
    return cast("Callable[[Callable[..., Evaluations]], dg.AssetChecksDefinition]", decorate)


@dataclass(frozen=True)
class Verdict:
    """What a check says of a day, or of a range.

    Attributes:
        passed: None when nothing was judged; `text` says why.
        text: one line for people.
        weight: how bad it is among the days of a range that did not pass.
        metadata: figures beside it.
    """

    passed: bool | None
    text: str
    weight: float = 0.0
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def said(self, severity: dg.AssetCheckSeverity) -> dict[str, Any]:
        """As a check's result says it."""
        judged = self.passed is not None
        return {
            "passed": bool(self.passed),
            "description": self.text if judged else f"{UNJUDGED}: {self.text}",
            "severity": severity if judged else dg.AssetCheckSeverity.WARN,
            "metadata": dict(self.metadata),
        }


def each_day(
    context: dg.AssetCheckExecutionContext,
    judge: Callable[[date], Verdict],
    *,
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
    whole: Verdict | None = None,
) -> Evaluations:
    """Judge every day of the run.

    Args:
        context: of the check.
        judge: the verdict on a day.
        severity: of a day that did not pass; a range says so of older days as a warning, unless the check blocks.
        whole: what the check says of all days together, besides each of them.
    """
    verdicts = {day: judge(day) for day in days_between(*days_of(context))}
    newest = max(verdicts)
    if context.op_execution_context.has_partition_key:
        yield dg.AssetCheckResult(**(whole or verdicts[newest]).said(severity))
        return
    [spec] = context.check_specs
    evaluations = [
        dg.AssetCheckEvaluation(
            check_name=spec.name, asset_key=spec.asset_key, partition=str(day), **verdict.said(severity)
        )  # the range's result may block
        for day, verdict in verdicts.items()
    ]
    record_evaluations(context, evaluations)
    old = not spec.blocking and all((newest - day).days >= NEWS for day in failed_days(verdicts))
    yield dg.AssetCheckResult(**in_all(verdicts, whole).said(dg.AssetCheckSeverity.WARN if old else severity))


def record_evaluations(context: dg.AssetCheckExecutionContext, evaluations: Sequence[dg.AssetCheckEvaluation]) -> None:
    """Write the results of days to the run's event log as one batch; yielded, each would be stored on its own."""
    step, batch = context.op_execution_context.get_step_execution_context(), str(uuid4())
    for number, evaluation in enumerate(evaluations, 1):
        said = "passed" if evaluation.passed else "did not pass"
        DagsterEvent.from_step(
            DagsterEventType.ASSET_CHECK_EVALUATION,
            step,
            evaluation,
            f"{evaluation.check_name} of {evaluation.partition} {said}: {evaluation.description}",
            DagsterEventBatchMetadata(batch, is_end=number == len(evaluations)),
        )


def in_all(verdicts: Mapping[date, Verdict], whole: Verdict | None = None) -> Verdict:
    """What a range says: its worst day by name when one did not pass, else its newest day."""
    failed = failed_days(verdicts)
    newest, days = verdicts[max(verdicts)], len(verdicts)
    if failed:
        worst = max(failed, key=lambda day: (verdicts[day].weight, day))
        listed = ", ".join(map(str, failed[:SHOWN])) + (f" and {len(failed) - SHOWN} more" * (len(failed) > SHOWN))
        text = f"{len(failed)} of {days} days did not pass ({listed}); worst, {worst}: {verdicts[worst].text}"
        text = text if whole is None else f"{whole.text}; {text}"
        return Verdict(False, text, metadata=(whole or verdicts[worst]).metadata)
    if whole is not None:
        return whole
    unjudged = Counter(verdict.text for verdict in verdicts.values() if verdict.passed is None)
    if newest.passed is None or not unjudged:
        return newest
    why = unjudged.most_common(1)[0][0]
    return Verdict(
        True, f"{newest.text}; {unjudged.total()} of {days} days {UNJUDGED}, as: {why}", 0.0, newest.metadata
    )


def failed_days(verdicts: Mapping[date, Verdict]) -> list[date]:
    """Days that did not pass, in order."""
    return [day for day, verdict in verdicts.items() if verdict.passed is False]
