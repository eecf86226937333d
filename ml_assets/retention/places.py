"""Where data lies under a shop's home: every place, what it holds, and how an entity leaves it.

A file that no pattern names is a place that nobody thought of: `unknown` finds it, and a test fails by it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from ml_assets.config.settings import Settings


class How(StrEnum):
    """How an entity leaves a place."""

    RAW = "raw"
    """Rows of raw files go, the journal of landings is told."""
    LAKE = "lake"
    """Rows go, the ledger counts them."""
    WAREHOUSE = "warehouse"
    """Rows go, the file is written anew."""
    ONLINE = "online"
    ANSWERS = "answers"
    """Lines are overwritten, rows go."""
    TRAINING = "training"
    """Rows go, the manifest says so."""
    INDEX = "index"
    """Made without the entity; the pointer follows."""
    BENTO = "bento"
    """The index that is built in is made without the entity."""
    ROWS = "rows"
    DATABASE = "database"
    """Texts in its tables get stars over the id."""
    TEXT = "text"
    """It gets stars over the id."""
    NOTHING = "nothing"
    """It has no ids; it is looked through all the same."""


@dataclass(frozen=True)
class Place:
    """Files of one kind: a pattern relative to the shop's home (`*`: in a name, `**`: any depth); what they hold."""

    pattern: str
    what: str
    how: How

    def has(self, path: str) -> bool:
        """Whether the file at a path relative to the shop's home is one of it."""
        return _compiled(self.pattern).fullmatch(path) is not None


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    signs = {"**": ".*", "*": "[^/]*"}
    return re.compile("".join(signs.get(part, re.escape(part)) for part in re.split(r"(\*\*|\*)", pattern)))


PLACES = (
    Place("**.lock", "locks", How.NOTHING),
    Place("**.tmp", "what is being written, or a kill left", How.NOTHING),
    Place("**.tmp/**", "what is being written, or a kill left", How.NOTHING),
    Place("landing/*/journal.db*", "journal of landings", How.NOTHING),
    Place("landing/**", "raw files", How.RAW),
    Place("lake/_ledger/*.refused.json", "why days were refused", How.TEXT),
    Place("lake/_ledger/*", "ledgers: hashes and counts", How.NOTHING),
    Place("lake/.staging/**", "days being written", How.NOTHING),
    Place("lake/*/event_day=*/part.parquet", "raw tables and quarantine", How.LAKE),
    Place("warehouse.duckdb", "dbt's tables, the offline store", How.WAREHOUSE),
    Place("warehouse.duckdb.*", "what the warehouse writes meanwhile", How.NOTHING),
    Place("feast/online.db*", "online store", How.ONLINE),
    Place("feast/*", "definitions of features", How.NOTHING),
    Place("dagster/storage/**", "what steps printed", How.TEXT),
    Place("dagster/**.db*", "Dagster's runs and events", How.DATABASE),
    Place("dagster/**", "Dagster's settings and marks", How.NOTHING),
    Place("dbt/*.log*", "dbt's log", How.TEXT),
    Place("dbt/run_results.json", "dbt's last run", How.TEXT),
    Place("dbt/**", "dbt's compiled models", How.NOTHING),
    Place("logs/*", "logs of commands", How.TEXT),
    Place("mlflow/mlflow.db*", "MLflow's runs", How.DATABASE),
    Place("mlflow/artifacts/**.parquet", "MLflow's artifacts", How.ROWS),
    Place("mlflow/artifacts/**.png", "pictures", How.NOTHING),
    Place("mlflow/artifacts/*/*/artifacts/model/**", "model versions", How.NOTHING),
    Place("mlflow/artifacts/**", "MLflow's artifacts", How.TEXT),
    Place("models/*/training_sets/**", "training sets", How.TRAINING),
    Place("models/*/versions/**", "model versions", How.NOTHING),
    Place("models/*/indexes/**", "retrieval indexes", How.INDEX),
    Place("models/*/plots/**", "pictures", How.NOTHING),
    Place("models/*/tuning/**", "trials", How.NOTHING),
    Place("models/*/evaluations/*/*.parquet", "judged lists and predictions", How.ROWS),
    Place("models/*/evaluations/*/result.json", "sealed figures", How.NOTHING),
    Place("models/*/evaluations/**", "pages of evaluations", How.TEXT),
    Place("models/*/conformance/**", "pages of the conformance suite", How.TEXT),
    Place("models/*/monitoring/**.parquet", "rows of the monitoring", How.ROWS),
    Place("models/*/monitoring/**", "reports and pages of the monitoring", How.TEXT),
    Place("models/*/batch_predictions/**.parquet", "batch predictions", How.ROWS),
    Place("models/*/serving/predictions/*.jsonl", "prediction log", How.ANSWERS),
    Place("models/*/log/**", "collected log", How.ANSWERS),
    Place("models/*/predictions/**", "daily predictions", How.ANSWERS),
    Place("models/*/serving/server.log*", "server's log", How.TEXT),
    Place("models/*/serving/stream*.log*", "stream's log", How.TEXT),
    Place("models/*/serving/**", "pointer, release, names of features, what is popular", How.NOTHING),
    Place("models/*/*.jsonl*", "journals", How.NOTHING),
    Place("bentoml/bentos/*/*/src/baked/index/*", "index in a bento", How.BENTO),
    Place("bentoml/**", "built services", How.NOTHING),
    Place("references/**", "what assets hand to each other", How.NOTHING),
    Place("made/*.jsonl", "of what dbt's days were made: hashes", How.NOTHING),
    Place("processes/*.json", "which processes serve pages", How.NOTHING),
    Place("erased/**", "tombstones and receipts", How.NOTHING),
    Place("pruned.jsonl*", "journal of what was pruned", How.NOTHING),
    Place(".removed/**", "what is being removed", How.NOTHING),
    Place("ingested.code", "what the demo has ingested", How.NOTHING),
)
"""The first pattern that fits counts."""


def place_of(path: str) -> Place | None:
    """The place of a file, by its path relative to the shop's home."""
    return next((place for place in PLACES if place.has(path)), None)


def files(settings: Settings) -> Iterator[tuple[Path, Place | None]]:
    """Every file under the shop's home with its place; links are followed to nowhere."""
    home = settings.shop_home
    for path in sorted(home.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield path, place_of(path.relative_to(home).as_posix())


def unknown(settings: Settings) -> list[str]:
    """Files of no known place, relative to the shop's home."""
    return [path.relative_to(settings.shop_home).as_posix() for path, place in files(settings) if place is None]
