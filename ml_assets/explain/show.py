"""An explanation on the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ml_assets.explain.explanation import EventExplanation, Explanation, ListExplanation, Moved, ShownProduct


def show(console: Console, explanation: ListExplanation | EventExplanation) -> None:
    """Print an explanation for people: the answer with its reasons, the model, the raw events of a list's customer."""
    if isinstance(explanation, ListExplanation):
        _show(console, explanation, _list(explanation), _products(explanation))
        if explanation.events:
            console.print(_events(explanation))
        else:
            console.print(f"no raw event of this customer had arrived by {explanation.as_of}", soft_wrap=True)
    else:
        _show(console, explanation, _event(explanation), _reasons(explanation))
    for note in explanation.notes:
        console.print(f"[yellow]{escape(note)}[/]", soft_wrap=True)


def _show(console: Console, said: Explanation, asked: Iterator[str], reasons: Table) -> None:
    degraded = f", degraded: {', '.join(said.degraded)}" if said.degraded else ""
    arm = f"  arm {said.arm}{degraded}; {said.latency_ms:.1f} ms by {said.served_by}; data up to {said.as_of}"
    for line in (*asked, arm):
        console.print(escape(line), soft_wrap=True)
    console.print(reasons)
    for line in _origin(said):
        console.print(escape(line), soft_wrap=True)


def _list(said: ListExplanation) -> Iterator[str]:
    known = "" if said.customer_known else " (unknown to the model)"
    yield f"{said.prediction_id} at {said.time} UTC: {said.k} products for customer {said.customer_id}{known}"
    session = ", ".join(" ".join(event) for event in said.session)
    yield f"  session: {session or 'none'}; candidates: {_candidates(said)}; {said.ranked} ranked"


def _event(said: EventExplanation) -> Iterator[str]:
    yield f"{said.prediction_id} at {said.time} UTC: {said.value:.4g} for the event {said.event or 'without a name'}"
    known = "" if said.known else " (of which nothing was known)"
    yield f"  keys: {_named(said.keys)}{known}; request: {_named(said.request)}"
    yield f"  what became of it: {'not known yet' if said.label is None else f'{said.label:g}'}"


def _named(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name} = {'missing' if value is None else value}" for name, value in values.items()) or "none"


def _candidates(said: ListExplanation) -> str:
    return "by retrieval" if said.candidates is None else f"{len(said.candidates)} named by the request"


def _products(said: ListExplanation) -> Table:
    table = Table(
        "#", "product", "score", "sources", "what moved the score (feature = value)", "customer", title="Shown"
    )
    for product in said.products:
        score = "" if product.score is None else f"{product.score:.3f}"
        reasons = (", ".join(product.sources), "\n".join(_moved(product)))
        table.add_row(str(product.position), product.product_id, score, *reasons, _did(product))
    return table


def _reasons(said: EventExplanation) -> Table:
    table = Table("what moved the raw score (feature = value)", title=f"Predicted: {said.value:.4g}")
    for line in _moved(said.moved):
        table.add_row(line)
    return table


def _moved(said: Moved) -> Iterator[str]:
    for one in said.contributions:
        yield f"{one.moved:+.3f} {one.feature} = {'missing' if one.value is None else f'{one.value:.4g}'}"
    if said.rest is not None:
        yield f"{said.rest:+.3f} all other features, from {said.base:+.3f}"


def _did(product: ShownProduct) -> str:
    named = {"clicked": product.clicked, "carted": product.carted, "purchased": product.purchased}
    if product.clicked is None:
        return "not known yet"
    return ", ".join(name for name, value in named.items() if value) or "nothing"


def _origin(said: Explanation) -> Iterator[str]:
    if said.origin is None:
        return
    origin = said.origin
    yield f"version {origin.version}, MLflow run {origin.run_id}, learned from decisions up to {origin.trained_until}"
    yield f"  training set {origin.training_set}, code {origin.code}"
    yield f"  data {', '.join(f'{name} {value}' for name, value in origin.data.items())}"
    yield f"  {origin.reason}"
    for line in origin.release:
        yield f"  release {said.release_id}: {line}"


def _events(said: ListExplanation) -> Table:
    title = (
        f"The newest {len(said.events)} of {said.events_before} raw events of {said.customer_id} before {said.as_of}"
    )
    table = Table("time", "event", "product", "session", "event id", "file", title=title)
    for event in said.events:
        cells = (event.event_ts, event.event_type, event.product_id, event.session_id or "", event.event_id)
        table.add_row(*map(str, cells), ", ".join(event.files))
    return table
