"""What came of a demo: rows, model against baselines, latency, where to look next."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict
from rich.console import Console
from rich.table import Table

from ml_assets.config.model_spec import ModelSpec, model_spec
from ml_assets.config.settings import Settings
from ml_assets.config.source_spec import SourceSpec
from ml_assets.datasets.split import Part
from ml_assets.evaluation.evaluate import REPORT, RESULT, evaluation_folder
from ml_assets.evaluation.result import EvaluationResult, read_result
from ml_assets.execution.runs import RunResult
from ml_assets.ingestion.days.ledger import read_report
from ml_assets.registry.pointer import pointer_path, require_pointer
from ml_assets.storage.warehouse import some_customers
from serving.deploy.probe import Probe, about_customers, probe

MODEL = "product_recommender"


class Rows(BaseModel):
    """Rows of one raw table over all days."""

    rows_in: int
    good: int
    quarantined: int
    reasons: dict[str, int]


class Summary(BaseModel):
    """The demo's result, as printed and as `summary.json`."""

    model_config = ConfigDict(protected_namespaces=())

    ok: bool
    shop: str
    days: tuple[date, date]
    seconds: float
    rows: dict[str, Rows]
    checks_passed: int
    checks_failed: list[str]
    warnings: list[str]
    step_seconds: dict[str, float]
    model: str
    model_version: str
    champion_reason: str
    metric: str
    evaluation: dict[str, dict[str, dict[str, float | None]]]
    gains: dict[str, dict[str, tuple[float | None, float | None, float | None]]]
    url: str
    requests: int
    request_failures: list[str]
    latency_ms: dict[str, float]
    example: dict[str, Any]
    look_next: dict[str, str]


def collect(
    settings: Settings, source: SourceSpec, days: tuple[date, date], runs: Sequence[RunResult], seconds: float
) -> Summary:
    """Gather the facts: from the ledger, the champion's evaluation, the runs' checks, and the running server.

    Raises:
        PointerError: when nothing is deployed.
        FileNotFoundError: when the champion was never evaluated.
    """
    spec = model_spec(MODEL)
    pointer = require_pointer(pointer_path(settings, spec.name))
    folder = evaluation_folder(settings, spec.name, pointer.model_version)
    result = read_result(folder / RESULT)
    asked = _ask(settings, spec, pointer.model_version)
    failed, warnings = (
        [f"{check.asset}: {check.name}: {check.description}" for check in checks]
        for checks in (
            [each for run in runs for each in run.failed_checks],
            [each for run in runs for each in run.warnings],
        )
    )
    return Summary(
        ok=not failed and asked.ok,
        shop=source.name,
        days=days,
        seconds=round(seconds, 1),
        rows={name: _rows(settings, name, days) for name in source.tables},
        checks_passed=sum(check.passed for run in runs for check in run.checks),
        checks_failed=failed,
        warnings=warnings,
        step_seconds={name: round(took, 1) for run in runs for name, took in run.step_seconds.items()},
        model=spec.name,
        model_version=pointer.model_version,
        champion_reason=_promotion(settings, spec, pointer.model_version),
        metric=result.metric,
        evaluation={part: found.values for part, found in result.parts.items()},
        gains={part: _gains(result, part) for part in result.parts},
        url=f"{settings.url}{spec.serving.route}",
        requests=asked.requests,
        request_failures=list(asked.failures),
        latency_ms={"p50": asked.p50_ms, "p95": asked.p95_ms, "p99": asked.p99_ms},
        example=asked.example,
        look_next=_look_next(settings, folder / REPORT),
    )


def _ask(settings: Settings, spec: ModelSpec, version: str) -> Probe:
    customers = some_customers(settings, 200)
    route, k, told = spec.serving.route, spec.serving.k, settings.key_header
    probe(settings.url, route, about_customers(customers[:20], version, k), headers=told)  # caches warm, as in a shop
    return probe(settings.url, route, about_customers(customers, version, k), repeat=2, headers=told)


def _rows(settings: Settings, table: str, days: tuple[date, date]) -> Rows:
    report = read_report(settings.lake, table, *days)
    return Rows(
        rows_in=report.rows_in, good=report.rows_good, quarantined=report.rows_quarantined, reasons=report.reasons
    )


def _promotion(settings: Settings, spec: ModelSpec, version: str) -> str:
    from ml_assets.registry.promote import promotions

    entries = promotions(settings, spec.name)
    reasons = [entry["reason"] for entry in entries if entry["event"] == "promoted" and entry["version"] == version]
    return reasons[-1] if reasons else "unknown"


def _gains(result: EvaluationResult, part: str) -> dict[str, tuple[float | None, float | None, float | None]]:
    found = result.parts[part].gains
    metric = result.metric
    return {name: (each[metric].gain, each[metric].low, each[metric].high) for name, each in found.items()}


def _look_next(settings: Settings, report: Path) -> dict[str, str]:
    return {
        "lineage, runs, checks": f"make ui  ->  {settings.ui_url}",
        "experiments": f"make mlflow-ui  ->  {settings.mlflow_url}",
        "evaluation report": str(report),
        "stop the model server": "make stop",
    }


def show(console: Console, summary: Summary, file: Path) -> None:
    """Print the summary for people."""
    console.print()
    rows = Table("rows", "in", "good", "quarantined", "most frequent reasons", title="Data")
    for name, found in summary.rows.items():
        why = ", ".join(f"{reason} {count:,}" for reason, count in list(found.reasons.items())[:4])
        rows.add_row(name, f"{found.rows_in:,}", f"{found.good:,}", f"{found.quarantined:,}", why)
    console.print(rows)
    for part in summary.evaluation:
        console.print(_metrics_table(summary, part))
    console.print(f"{summary.model} {summary.model_version} {summary.champion_reason}")
    took = ", ".join(f"{name} {value:.1f} ms" for name, value in summary.latency_ms.items())
    console.print(f"{summary.url}: {summary.requests} requests one by one, {took}")
    customer = summary.example.get("customer", "?")
    console.print(f"  customer {customer} -> {', '.join(summary.example.get('products', []))}")
    counts = f"{summary.checks_passed} passed, {len(summary.checks_failed)} failed, {len(summary.warnings)} warn"
    console.print(f"checks: {counts}")
    for line in summary.warnings:
        console.print(f"  [yellow]! {line}[/]")
    for line in [*summary.checks_failed, *summary.request_failures[:5]]:
        console.print(f"  [red]✗ {line}[/]")
    console.print("\n[bold]Where to look next[/]")
    for what, where in {**summary.look_next, "this summary": str(file)}.items():
        console.print(f"  {what}: {where}", soft_wrap=True)
    verdict = "[bold green]done[/]" if summary.ok else "[bold red]failed[/]"
    console.print(f"\n{verdict} in {summary.seconds:.0f} s")


def _metrics_table(summary: Summary, part: str) -> Table:
    metrics = ("ndcg_10", "recall_20", "map_12", "mrr")
    note = "what the gate judged" if part == Part.TEST.value else "seen by no choice"
    table = Table("model", *metrics, f"gain in {summary.metric} [interval]", title=f"{part}: {note}")
    values = summary.evaluation[part]
    order = sorted(values, key=lambda name: (name != "candidate", -(values[name][summary.metric] or 0)))
    for name in order:
        gain = summary.gains[part].get(name)
        interval = "" if gain is None or None in gain else "{:+.4f} [{:+.4f}, {:+.4f}]".format(*gain)
        table.add_row(name, *(f"{values[name][metric] or 0:.4f}" for metric in metrics), interval)
    return table
