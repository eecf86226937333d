"""`make bench-quality DATA=<invoice_lines.parquet>`: the ranking bar on Online Retail II, through the real graph.

Protocol: eight weekly decisions, Mondays 2011-10-10 to 2011-11-28; every customer who buys in the week after; the
full catalogue; truth is the set of distinct products bought; NDCG@10, and recall@20 over min(20, |truth|). One model,
trained on the 26 weeks before the first decision plus the same season a year before. Tuning and early stopping look at
the last two of those 26 weeks; no test week is touched by any choice.

Ranked lists go to benchmarks/results/quality_lists.parquet (week_start, customer_id, product, rank 1..20), the figures
to benchmarks/results/quality.json.
"""

from __future__ import annotations

import sys
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from ml_assets.config.model_spec import ModelSpec, SplitSpec, model_spec
from ml_assets.config.settings import PROJECT, Settings, load_settings
from ml_assets.config.source_spec import load_source
from ml_assets.datasets.split import Part
from ml_assets.demo.run import demo_days, ingest_changed
from ml_assets.demo.summary import MODEL
from ml_assets.evaluation.evaluate import LISTS, evaluate, evaluation_folder
from ml_assets.evaluation.result import CANDIDATE, EvaluationResult
from ml_assets.evaluation.summary import contenders
from ml_assets.execution.runs import dagster_home
from ml_assets.storage.files import replace_file, write_text_atomically

RESULTS = PROJECT / "benchmarks" / "results"
FIRST = date(2011, 10, 10)
SHOWN = 20


def main() -> int:
    """Run the protocol and print every contender with the paired interval of the model's gain over it."""
    console = Console(highlight=False)
    base = load_settings()
    if base.data is None:
        console.print("say where the data is: make bench-quality DATA=<invoice_lines.parquet>")
        return 2
    settings = base.model_copy(update={"home": base.home / "bench-quality", "shop": "online_retail"})
    settings.export()
    dagster_home(settings)
    source = load_source(settings.shop_file)
    ingested = ingest_changed(settings, source, demo_days(source), console)
    if ingested is not None and not ingested.succeeded:
        console.print("\n".join(ingested.errors))
        return 1
    spec = protocol_spec()
    result = run_protocol(spec, settings, console)
    publish(spec, settings, result, console)
    return 0


def protocol_spec() -> ModelSpec:
    """The shipped model under the protocol's split: 24 + 2 weeks before the first test week, and the season before."""
    spec = model_spec(MODEL)
    split = SplitSpec(train=24, validation=2, test=8, holdout=0, same_season=True)
    return spec.model_copy(update={"split": split})


def run_protocol(spec: ModelSpec, settings: Settings, console: Console) -> EvaluationResult:
    """Training set, tuning, training and evaluation with the library the assets call.

    Raises:
        ValueError: when the data do not give exactly the protocol's eight test weeks.
    """
    from feature_repo.store import apply, open_store
    from ml_assets.datasets.build import build_training_set
    from ml_assets.training.train import train
    from ml_assets.training.tune import tune

    def tell(what: str, done: int, of: int) -> None:
        console.print(f"   {what} ({done} of {of})")

    store = open_store(settings)
    apply(store)
    dataset = build_training_set(spec, settings, store, tell)
    weeks = dataset.manifest.split[Part.TEST]
    if weeks != tuple(FIRST + timedelta(weeks=n) for n in range(8)):
        raise ValueError(f"the test weeks are {weeks}, the protocol's are eight from {FIRST} on")
    tuned = tune(spec, settings, dataset, tell)
    trained = train(spec, settings, dataset, tuned.params)
    return evaluate(spec, settings, dataset, trained.version, evidently=False)


def publish(spec: ModelSpec, settings: Settings, result: EvaluationResult, console: Console) -> None:
    """Print the table; write the ranked lists and the figures."""
    lists = pq.read_table(evaluation_folder(settings, spec.name, result.version) / LISTS)
    lists = lists.filter(pc.and_(pc.equal(lists["contender"], CANDIDATE), pc.less_equal(lists["rank"], SHOWN)))
    columns = {
        "week_start": lists[spec.time].cast(pa.date32()),
        "customer_id": lists[spec.entity],
        "product": lists[spec.item],
        "rank": lists["rank"],
    }
    with replace_file(RESULTS / "quality_lists.parquet") as aside:
        table = pa.table(columns).sort_by([(name, "ascending") for name in ("week_start", "customer_id", "rank")])
        pq.write_table(table, aside)
    test = result.parts[Part.TEST.value]
    write_text_atomically(RESULTS / "quality.json", test.model_dump_json(indent=1) + "\n")
    shown = Table("model", "NDCG@10", "recall@20", "gain in NDCG@10 [95 % interval, paired by customer]")
    for name in contenders(result, Part.TEST.value):
        values = test.values[name]
        gain = test.gains[name]["ndcg_10"] if name in test.gains else None
        interval = "" if gain is None else f"{gain.gain:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}]"
        shown.add_row(name, f"{values['ndcg_10']:.4f}", f"{values['recall_20']:.4f}", interval)
    console.print(shown)
    weeks = f"{test.decisions[0]} to {test.decisions[-1]}"
    console.print(f"{test.groups:,} customer-weeks, {weeks}; {test.ceiling:.3f} of the truth among the candidates")
    console.print(f"lists: {RESULTS / 'quality_lists.parquet'}")


if __name__ == "__main__":
    sys.exit(main())
