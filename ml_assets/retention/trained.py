"""Taking an entity out of what models rest on: training sets, retrieval indexes, and those built into bentos."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from ml_assets.config.settings import Settings
from ml_assets.datasets.training_set import MANIFEST, Manifest
from ml_assets.registry.history import change_pointer
from ml_assets.registry.pointer import current_pointer, pointer_path, sha256_folder
from ml_assets.retention.aside import fewer_beside, sweep, take_away
from ml_assets.retention.rows import without
from ml_assets.retention.subject import Subject
from ml_assets.retrieval.index import RetrievalIndex
from ml_assets.retrieval.publish import publish_built
from ml_assets.retrieval.store import DESCRIPTION
from ml_assets.storage.files import sha256_file, sync, write_text_atomically

NOTE = ".erasing.json"
REASON = "rows of an erased entity taken out of the index"


def clean_training_sets(settings: Settings, model: str, who: Subject) -> dict[str, int]:
    """Take the entity's rows out of training sets; their manifests say so. Returns rows by training set."""
    found = {}
    for manifest in sorted((settings.model_home(model) / "training_sets").glob(f"*/{MANIFEST}")):
        _finish(manifest.parent)
        if rows := _clean_training_set(manifest, who):
            found[manifest.parent.name] = rows
    return found


def _clean_training_set(manifest: Path, who: Subject) -> int:
    """Write every changed file aside, note that they belong together, then put them in their places."""
    folder, known = manifest.parent, Manifest.model_validate_json(manifest.read_text())
    removed, files = 0, dict(known.files)
    for path in sorted(folder.glob("*.parquet")):
        aside = fewer_beside(path)
        if gone := without(path, aside, who.rows):
            removed, files[path.name] = removed + gone, sha256_file(aside)
            sync(aside)
    if removed:
        less = known.model_copy(update={"files": files, "erased": known.erased + removed})
        fewer_beside(manifest).write_text(less.model_dump_json(indent=2) + "\n")
        sync(fewer_beside(manifest))
        write_text_atomically(folder / NOTE, json.dumps([path.name for path in (*folder.glob("*.parquet"), manifest)]))
        _finish(folder)
    return removed


def _finish(folder: Path) -> None:
    """Put noted files in their places, as often as it takes."""
    note = folder / NOTE
    for name in json.loads(note.read_text()) if note.exists() else ():
        if (aside := fewer_beside(folder / name)).exists():
            aside.replace(folder / name)
    sync(folder)
    note.unlink(missing_ok=True)
    for left in folder.glob(".*.fewer.tmp"):
        left.unlink()


def without_customer(index: RetrievalIndex, customer: str) -> RetrievalIndex:
    """The index without a customer's name and history; what was learned of all together stays."""
    place = index.customer_positions.get(customer)
    if place is None:
        return index
    stay, neighbours = np.arange(len(index.customers)) != place, index.neighbour != place
    return replace(
        index,
        customers=[name for name in index.customers if name != customer],
        bought=index.bought[stay],
        seen=index.seen[stay],
        neighbour=index.neighbour[neighbours] - (index.neighbour[neighbours] > place),
        neighbour_tastes=index.neighbour_tastes[:, neighbours].tocsr(),
        neighbour_bought=index.neighbour_bought[neighbours],
    )


def clean_indexes(settings: Settings, model: str, who: Subject) -> int:
    """Publish the served index without the customer, point to it, and remove every index that names the customer."""
    home = settings.model_home(model) / "indexes"
    holding = [folder for folder in sorted(home.glob("*/")) if _names(folder, who)]
    path = pointer_path(settings, model)
    pointer = current_pointer(path)
    for folder in holding:
        if (pointer is not None and pointer.index_path == folder.resolve()) or folder.name in _handed(settings, model):
            clean = publish_built(without_customer(RetrievalIndex.load(folder), who.id), home)
            if pointer is not None and pointer.index_path == folder.resolve():
                update = {"index_path": clean.resolve(), "index_sha256": sha256_folder(clean)}
                change_pointer(path, lambda now, update=update: now.model_copy(update=update), REASON)  # type: ignore[misc]
            reference = settings.shop_home / "references" / model / "retrieval_index.json"
            if reference.exists():
                write_text_atomically(reference, reference.read_text().replace(folder.name, clean.name))
    take_away(settings, holding)
    sweep(settings)
    return len(holding)


def _handed(settings: Settings, model: str) -> str:
    reference = settings.shop_home / "references" / model / "retrieval_index.json"
    return reference.read_text() if reference.exists() else ""


def clean_bentos(settings: Settings, model: str, who: Subject) -> int:
    """Take the customer out of the index built into each bento, which answers when no pointer can be followed."""
    count = 0
    for baked in _baked(settings, model):
        index, fresh, old = baked / "index", baked / ".index.fewer.tmp", baked / ".index.old.tmp"
        if not index.exists() and fresh.exists():
            fresh.rename(index)
        elif _names(index, who):
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir()
            without_customer(RetrievalIndex.load(index), who.id).save(fresh)
            index.rename(old)
            fresh.rename(index)
            count += 1
        shutil.rmtree(old, ignore_errors=True)
        shutil.rmtree(fresh, ignore_errors=True)
        _name_hash(baked)
    return count


def _baked(settings: Settings, model: str) -> Iterator[Path]:
    home = settings.bentoml_home / "bentos" / model
    yield from (
        path for path in sorted(home.glob("*/src/baked")) if any(path.glob("*index*")) or (path / "index").exists()
    )


def _name_hash(baked: Path) -> None:
    """Let the bento's configuration name the index as it is."""
    config = baked / "service.json"
    said = json.loads(config.read_text())
    found = sha256_folder(baked / "index")
    if said["baked"]["index_sha256"] != found:
        said["baked"]["index_sha256"] = found
        write_text_atomically(config, json.dumps(said, indent=2))


def _names(index: Path, who: Subject) -> bool:
    described = index / DESCRIPTION
    return described.exists() and who.id in json.loads(described.read_text()).get("customers", ())
