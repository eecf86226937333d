"""Erase an entity: out of every place, kept out by a tombstone, looked for again; the receipt does not name it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ml_assets.config.model_spec import model_specs
from ml_assets.config.settings import Settings
from ml_assets.ingestion.contract.erased import add_tombstone, erased_home
from ml_assets.ingestion.days.ledger import read_ledger
from ml_assets.registry.versions import DESCRIPTION, list_versions
from ml_assets.retention.answers import clean_answers
from ml_assets.retention.landed import clean_landed, named_in
from ml_assets.retention.places import How, files
from ml_assets.retention.raw import tables
from ml_assets.retention.removal import clean_database, drop_rows, mask_text
from ml_assets.retention.search import find
from ml_assets.retention.stores import clean_redis, clean_warehouse
from ml_assets.retention.subject import Subject, subject
from ml_assets.retention.tables import GOOD, QUARANTINE, remove_rows
from ml_assets.retention.trained import clean_bentos, clean_indexes, clean_training_sets
from ml_assets.storage import journal
from ml_assets.storage.file_lock import file_lock
from ml_assets.storage.files import write_text_atomically

BACKUPS = "backups of this home and of the sources are not reached: erase there too, or let them run out"
MODELS = "models keep what they learned in numbers that name nobody; they go on serving"
REDIS = "what Redis keeps on its own disk goes when it next writes its snapshot or rewrites its append-only file"
SHORT = "the id is too short to be told from other text: it was looked for in columns and behind their names only"
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Receipt:
    """What was done, without the id.

    Attributes:
        digest: salted, as in the tombstones.
        entity: the column.
        at: UTC.
        removed: rows, lines and hits by place.
        left: what was found afterwards, by place; nothing when the entity is erased.
        days: raw days that lost rows, by table: sums over many of those days still count them.
        versions: model versions that can no longer be reproduced to the bit.
        outside: what this could not reach.
    """

    digest: str
    entity: str
    at: str
    removed: dict[str, int]
    left: dict[str, int]
    days: dict[str, list[str]]
    versions: list[str]
    outside: list[str]


def look(settings: Settings, who: Subject) -> dict[str, int]:
    """Where the entity is, by place; removes nothing."""
    return find(settings, who, {table.name: named_in(table, who) for _, table in tables(settings)})


def erase(
    settings: Settings, entity: str, given: str, names: Iterable[str] = (), tell: Tell = lambda _: None
) -> Receipt:
    """Erase an entity of the shop's home; again, or after a kill, it does what is left.

    Args:
        settings: the deployment.
        entity: the column that holds its id in the tables, e.g. `customer_id`.
        given: the id.
        names: other columns and keys that hold it.
        tell: told each step.

    Raises:
        ValueError: when there is no such column in any raw table, or no id.
        WarehouseError: when the warehouse is being used for too long.
    """
    who = checked(settings, entity, given, names)
    with file_lock(settings.shop_home / ".retention.lock"):
        digest = add_tombstone(settings, entity, who.id)
        noted = erased_home(settings) / "erased.jsonl"
        journal.append(noted, {"event": "begun", "entity": entity, "digest": digest})
        removed: Counter[str] = Counter()
        days = _raw(settings, who, removed, tell)
        _stores(settings, who, removed, tell)
        _models(settings, who, removed, tell)
        _files(settings, who, removed, tell)
        tell("looking again")
        left = look(settings, who)
        receipt = Receipt(
            digest=digest,
            entity=entity,
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            removed={what: count for what, count in sorted(removed.items()) if count},
            left=left,
            days=days,
            versions=_not_reproducible(settings),
            outside=_outside(settings, who),
        )
        path = erased_home(settings) / "receipts" / f"{receipt.at.replace(':', '')}-{digest[:12]}.json"
        write_text_atomically(path, json.dumps(receipt.__dict__, indent=1) + "\n")
        journal.append(noted, {"event": "left" if left else "done", "entity": entity, "digest": digest})
    return receipt


def checked(settings: Settings, entity: str, given: str, names: Iterable[str]) -> Subject:
    """The entity, when some raw table has such a column.

    Raises:
        ValueError: when none has, or the id is empty.
    """
    columns = sorted({name for _, table in tables(settings) for name in table.columns})
    if entity not in columns:
        raise ValueError(f"no raw table has a column {entity}: --entity is one of {', '.join(columns)}")
    if not given.strip():
        raise ValueError("say the id that is to be erased")
    return subject(entity, given.strip(), names)


def unfinished(settings: Settings) -> list[str]:
    """Digests of erasures that were begun and did not come to their end."""
    state: dict[str, str] = {}
    path = erased_home(settings) / "erased.jsonl"
    for line in journal.readable(path, lambda line: (line["digest"], line["event"]))[0] if path.exists() else ():
        state[line["digest"]] = line["event"]
    return [digest for digest, event in state.items() if event == "begun"]


def _raw(settings: Settings, who: Subject, removed: Counter[str], tell: Tell) -> dict[str, list[str]]:
    days = {}
    for _, table in tables(settings):
        tell(f"raw files and days of {table.name}")
        rows, rewritten = clean_landed(settings, table, who)
        removed["raw files"] += rows
        ours = named_in(table, who)
        known = read_ledger(settings.lake, table.name)
        drop = {GOOD: who.rows, QUARANTINE: ours.rows}
        gone = remove_rows(settings.lake, table.name, known, drop, why="erased", rewritten=rewritten)
        removed["raw tables and quarantine"] += sum(gone.values())
        if gone:
            days[table.name] = [str(day) for day in gone]
    return days


def _stores(settings: Settings, who: Subject, removed: Counter[str], tell: Tell) -> None:
    if settings.warehouse.exists():
        tell("warehouse")
        removed["dbt's tables, the offline store"] += clean_warehouse(settings, who)
    tell("online store")
    if not isinstance(settings.online_store, Path):
        removed["online store"] += clean_redis(settings, who)
    elif settings.online_store.exists():
        removed["online store"] += clean_database(settings.online_store, who)


def _models(settings: Settings, who: Subject, removed: Counter[str], tell: Tell) -> None:
    for spec in model_specs():
        if not settings.model_home(spec.name).is_dir():
            continue
        tell(spec.name)
        for what, count in clean_answers(settings, spec.name, who).items():
            removed[what] += count
        removed["training sets"] += sum(clean_training_sets(settings, spec.name, who).values())
        if spec.ranks and spec.entity == who.entity:
            removed["retrieval indexes"] += clean_indexes(settings, spec.name, who)
            removed["index in a bento"] += clean_bentos(settings, spec.name, who)


def _files(settings: Settings, who: Subject, removed: Counter[str], tell: Tell) -> None:
    """Everything that is a table, a database or a text by itself."""
    tell("other files")
    for path, place in files(settings):
        if place is None:
            continue
        if place.how is How.ROWS:
            removed[place.what] += drop_rows(path, who.rows)
        elif place.how is How.TEXT:
            removed[place.what] += mask_text(path, who)
        elif place.how is How.DATABASE and path.suffix == ".db":
            removed[place.what] += clean_database(path, who)


def _not_reproducible(settings: Settings) -> list[str]:
    """Versions whose training set lost rows, now or before."""
    found = []
    for spec in model_specs():
        for path in list_versions(settings, spec.name):
            trained_on = json.loads((path / DESCRIPTION).read_text())["training_set"]
            manifest = settings.model_home(spec.name) / "training_sets" / trained_on / "manifest.json"
            if manifest.exists() and json.loads(manifest.read_text()).get("erased"):
                found.append(f"{spec.name} {path.name}")
    return found


def _outside(settings: Settings, who: Subject) -> list[str]:
    redis = [] if isinstance(settings.online_store, Path) else [REDIS]
    said = [BACKUPS, MODELS, *redis, *([] if who.telling else [SHORT])]
    for source, table in tables(settings):
        if who.entity not in table.columns:
            continue
        address = f"what {table.source.named} has" if table.source else table.address
        if not address.startswith("{landing}/"):
            said.append(f"{source.name}/{table.name}: {address}: rows that come from there again stay away")
    said += [
        f"{spec.name}: its topics keep their messages as long as the broker does"
        for spec in model_specs()
        if spec.serving.streaming is not None
    ]
    return said
