"""An evaluation in a few lines: for the terminal, for an asset's metadata, for a summary file."""

from __future__ import annotations

from ml_assets.evaluation.result import CANDIDATE, EvaluationResult
from ml_assets.metrics.metric_registry import ROW_METRICS, sign

SHOWN = (
    *("ndcg_10", "recall_20", "map_12", "mrr", "revenue_ndcg_10", "coverage_10", "novelty_10"),
    *(name for names in ROW_METRICS.values() for name in names),
)


def contenders(result: EvaluationResult, part: str) -> list[str]:
    """The candidate first, then the others from the best to the worst by the gate's metric."""
    values = result.parts[part].values
    others = [name for name in values if name != CANDIDATE]
    return [CANDIDATE, *sorted(others, key=lambda name: -sign(result.metric) * (values[name][result.metric] or 0.0))]


def markdown(result: EvaluationResult) -> str:
    """The gate's decision, then every part as a table: a row per contender, the gain over it with its interval last."""
    blocks = [] if result.decision is None else [f"The candidate {result.version}: {result.decision.reason}"]
    for part, found in result.parts.items():
        metrics = [name for name in SHOWN if name in found.values[CANDIDATE]]
        head = [f"**{part}**", *metrics, f"gain in {result.metric}"]
        rows = [head, ["---"] * len(head)]
        for name in contenders(result, part):
            rows.append(
                [
                    name,
                    *(_number(found.values[name].get(metric)) for metric in metrics),
                    _gain(result, part, name),
                ]
            )
        blocks.append("\n".join(f"| {' | '.join(row)} |" for row in rows))
    return "\n\n".join(blocks)


def _gain(result: EvaluationResult, part: str, name: str) -> str:
    if name == CANDIDATE:
        return ""
    gain = result.parts[part].gains[name][result.metric]
    return f"{_number(gain.gain)} [{_number(gain.low)}, {_number(gain.high)}]"


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.4f}"
