"""An index on disk: `index.json` (names, moment, spec) and `arrays.npz`; no pickle, equal bytes each time."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from ml_assets.config.retrieval_config import RetrievalSpec
from ml_assets.retrieval.contents import IndexContents
from ml_assets.storage.files import sha256_file

FORMAT = 1
DESCRIPTION, ARRAYS = "index.json", "arrays.npz"
NAMES = ("products", "categories", "customers")
MATRICES = ("bought", "seen", "co_purchase", "co_visitation", "neighbour_tastes", "neighbour_bought")


class IndexFilesError(RuntimeError):
    """The files are not an index this code can read; the message says which and why."""


def save_index(index: IndexContents, folder: Path) -> None:
    """Write `index.json` and `arrays.npz` into an existing folder."""
    arrays: dict[str, NDArray[Any]] = {}
    for field in fields(index):
        value = getattr(index, field.name)
        if field.name in MATRICES:
            for part in ("data", "indices", "indptr", "shape"):
                arrays[f"{field.name}.{part}"] = np.asarray(getattr(value, part))
        elif isinstance(value, np.ndarray):
            arrays[field.name] = value
    with (folder / ARRAYS).open("wb") as opened:
        np.savez(opened, **arrays)  # type: ignore[arg-type]  # numpy's stub takes the names for its options
    description = {
        "format": FORMAT,
        "as_of": index.as_of.isoformat(),
        "spec": index.spec.model_dump(),
        "arrays_sha256": sha256_file(folder / ARRAYS),
        **{name: getattr(index, name) for name in NAMES},
    }
    (folder / DESCRIPTION).write_text(json.dumps(description, sort_keys=True))


def load_index(folder: Path) -> dict[str, Any]:
    """The fields that `save_index` wrote, verified: the arrays belong to the description.

    Raises:
        IndexFilesError: when a file is missing, damaged, or of another format version.
    """
    from scipy import sparse

    description = verified_description(folder)
    try:
        with np.load(folder / ARRAYS, allow_pickle=False) as stored:
            arrays = dict(stored)
    except (OSError, ValueError, BadZipFile) as error:
        raise IndexFilesError(f"cannot read {folder / ARRAYS}: {error}") from error
    for name in MATRICES:
        data, indices, indptr, shape = (arrays.pop(f"{name}.{part}") for part in ("data", "indices", "indptr", "shape"))
        arrays[name] = sparse.csr_matrix((data, indices, indptr), shape=tuple(int(size) for size in shape))
    return {
        **{name: description[name] for name in NAMES},
        "as_of": datetime.fromisoformat(description["as_of"]),
        "spec": RetrievalSpec.model_validate(description["spec"]),
        **arrays,
    }


def verified_description(folder: Path) -> dict[str, Any]:
    """What `index.json` says, when the arrays beside it are those it was written with.

    Raises:
        IndexFilesError: as `load_index`.
    """
    description = _description(folder / DESCRIPTION)
    if sha256_file(folder / ARRAYS) != description["arrays_sha256"]:
        raise IndexFilesError(f"{folder / ARRAYS} is not the file {DESCRIPTION} was written with: build it again")
    return description


def _description(path: Path) -> dict[str, Any]:
    if not path.is_file() or not path.with_name(ARRAYS).is_file():
        raise IndexFilesError(f"no retrieval index in {path.parent}: {DESCRIPTION} or {ARRAYS} is missing; build it")
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except ValueError as error:
        raise IndexFilesError(f"{path} is no JSON: {error}") from error
    if found.get("format") != FORMAT:
        raise IndexFilesError(f"{path} has format {found.get('format')}, this code reads {FORMAT}: build it again")
    return found
