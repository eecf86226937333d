"""An explanation on the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ml_assets.why.explanation import Explanation, ShownProduct


def show(console: Console, explanation: Explanation) -> None:
    """Print an explanation for people: the answer, each product with its reasons, the model, the raw events."""
    for line in _answer(explanation):
        console.print(escape(line), soft_wrap=True)
    console.print(_products(explanation))
    for line in _origin(explanation):
        console.print(escape(line), soft_wrap=True)
    if explanation.events:
        console.print(_events(explanation))
    else:
        console.print(f"no raw event of this customer had arrived by {explanation.as_of}", soft_wrap=True)
    for note in explanation.notes:
        console.print(f"[yellow]{escape(note)}[/]", soft_wrap=True)


def _answer(said: Explanation) -> Iterator[str]:
    known = "" if said.customer_known else " (unknown to the model)"
    yield f"{said.prediction_id} at {said.time} UTC: {said.k} products for customer {said.customer_id}{known}"
    session = ", ".join(" ".join(event) for event in said.session)
    yield f"  session: {session or 'none'}; candidates: {_candidates(said)}; {said.ranked} ranked"
    degraded = f", degraded: {', '.join(said.degraded)}" if said.degraded else ""
    yield f"  arm {said.arm}{degraded}; {said.latency_ms:.1f} ms by {said.served_by}; data up to {said.as_of}"


def _candidates(said: Explanation) -> str:
    return "by retrieval" if said.candidates is None else f"{len(said.candidates)} named by the request"


def _products(said: Explanation) -> Table:
    table = Table(
        "#", "product", "score", "sources", "what moved the score (feature = value)", "customer", title="Shown"
    )
    for product in said.products:
        moved = [
            f"{one.moved:+.3f} {one.feature} = {'missing' if one.value is None else f'{one.value:.4g}'}"
            for one in product.contributions
        ]
        if product.rest is not None:
            moved.append(f"{product.rest:+.3f} all other features, from {product.base:+.3f}")
        score = "" if product.score is None else f"{product.score:.3f}"
        reasons = (", ".join(product.sources), "\n".join(moved))
        table.add_row(str(product.position), product.product_id, score, *reasons, _did(product))
    return table


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


def _events(said: Explanation) -> Table:
    title = (
        f"The newest {len(said.events)} of {said.events_before} raw events of {said.customer_id} before {said.as_of}"
    )
    table = Table("time", "event", "product", "session", "event id", "file", title=title)
    for event in said.events:
        cells = (event.event_ts, event.event_type, event.product_id, event.session_id or "", event.event_id)
        table.add_row(*map(str, cells), ", ".join(event.files))
    return table
