"""Objects of a store, each version once: listed, fetched aside, compared with the listing, landed under a stable name.

An object whose version changed is a new arrival: the new bytes take the landed file's place (what was there is kept
under `.superseded/`), so that its day is ingested again.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice
from pathlib import PurePosixPath
from typing import Any

import fsspec
from fsspec import AbstractFileSystem

from ml_assets.config.connector_spec import FilesSource
from ml_assets.config.day_address import PLACE, any_day, day_named, has_day
from ml_assets.config.ingestion_error import IngestionError
from ml_assets.ingestion.connectors.addresses import SUFFIXES
from ml_assets.ingestion.connectors.base import LandingContext, UnreachableError
from ml_assets.ingestion.connectors.journal import Batch, StagedFile

VERSIONS = ("ETag", "etag", "md5Hash", "md5", "version_id", "generation", "checksum")
TIMES = ("LastModified", "last_modified", "updated", "mtime", "created")


@dataclass(frozen=True)
class Seen:
    """An object as the store lists it: its version changes with its content."""

    path: str
    size: int
    version: str
    time: Any


class ObjectsConnector:
    """One store, open for one landing."""

    def __init__(self, source: FilesSource, context: LandingContext) -> None:
        self.source, self.context = source, context
        self._opened: tuple[AbstractFileSystem, str] | None = None
        self._listed: list[Seen] | None = None

    def head(self) -> str:
        """A digest of every object and its version."""
        lines = "".join(f"{seen.path}\t{seen.version}\n" for seen in self._list())
        return hashlib.sha256(lines.encode()).hexdigest()[:24]

    def reset(self) -> None:
        """Forget connection and listing: the next try takes objects as they are then."""
        self._opened = self._listed = None

    def next_batch(self, position: Mapping[str, str]) -> Batch | None:
        """The next `piece_objects` objects that have not landed in their present version."""
        if self._listed is None:
            self._listed = self._list()
        landed = {path: json.loads(value) for path, value in position.items()}
        waiting = (seen for seen in self._listed if landed.get(seen.path, {}).get("version") != seen.version)
        fetched = [self._fetch(seen, landed.get(seen.path)) for seen in islice(waiting, self.source.piece_objects)]
        if not fetched:
            return None
        changed = [file.span["path"] for file in fetched if file.span["path"] in landed]
        after = {
            file.span["path"]: json.dumps({"version": file.span["version"], "day": file.day.isoformat()})
            for file in fetched
        }
        note = f"{len(fetched)} objects"
        if changed:
            note += f"; changed at the source since they landed: {', '.join(changed)}"
        return Batch(tuple(fetched), after, note)

    def _list(self) -> list[Seen]:
        with self._explained():
            store, pattern = self._open()
            found = store.glob(any_day(pattern), detail=True)
        entries = {path: entry for path, entry in found.items() if entry.get("type", "file") == "file"}
        unnamed = [path for path in entries if self._day_in(path) is None] if self.source.by_day else []
        if unnamed:
            raise self._error(f"{unnamed[0]} has no day where the address says {{day}}", "rename it")
        return [_seen(path, entry) for path, entry in sorted(entries.items())]

    def _fetch(self, seen: Seen, landed: Mapping[str, str] | None) -> StagedFile:
        suffix = PurePosixPath(seen.path).suffix
        if suffix not in SUFFIXES:
            raise self._error(f"{seen.path} has no known format", f"deliver one of {', '.join(sorted(SUFFIXES))}")
        name = _name(seen.path, suffix)
        aside = self.context.staging / name
        with self._explained():
            store, _ = self._open()
            store.get_file(seen.path, str(aside))
            store.invalidate_cache()
            now = _seen(seen.path, store.info(seen.path))
        if aside.stat().st_size != seen.size or now.version != seen.version:
            raise UnreachableError(f"{seen.path} changed while it was fetched")
        day = self._day(seen, landed)
        return StagedFile(aside, day, name, -1, {"path": seen.path, "version": seen.version, "size": seen.size})

    def _day(self, seen: Seen, landed: Mapping[str, str] | None) -> date:
        """An object stays in the day it landed in first: a new version corrects that day."""
        if landed is not None:
            return date.fromisoformat(landed["day"])
        return self.context.days.of(self._day_in(seen.path), seen.time)

    def _day_in(self, path: str) -> date | None:
        _, pattern = self._open()
        if not has_day(pattern):
            return None
        before, _, after = PLACE.split(pattern)
        return day_named(path, _as_regex(before), pattern, _as_regex(after))

    def _open(self) -> tuple[AbstractFileSystem, str]:
        if self._opened is None:
            resolve = self.context.references
            address, options = resolve.resolve(self.source.address), resolve.resolve_all(self.source.options)
            try:
                self._opened = fsspec.core.url_to_fs(address, use_listings_cache=False, **options)
            except (ImportError, ValueError) as error:
                said = resolve.mask(error)
                remedy = "install the extra `s3`, or fsspec's package for that store, and correct address and options"
                raise self._error(f"the store cannot be opened: {said}", remedy) from None
        return self._opened

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """What a store says of rights and names, or that it cannot do at all, is final; anything else may pass."""
        try:
            yield
        except (IngestionError, UnreachableError):
            raise
        except (PermissionError, FileNotFoundError, NotImplementedError) as error:
            said = self.context.references.mask(error)
            raise self._error(f"the store refuses: {said}", "correct address, options or the rights") from None
        except Exception as error:  # each store has errors of its own
            raise UnreachableError(self.context.references.mask(error)) from None

    def _error(self, problem: str, remedy: str) -> IngestionError:
        return IngestionError(problem, file=self.context.where, remedy=remedy)


def _seen(path: str, entry: Mapping[str, Any]) -> Seen:
    time = next((entry[name] for name in TIMES if entry.get(name) is not None), None)
    marks = [str(entry[name]).strip('"') for name in VERSIONS if entry.get(name)]
    stamp = [] if marks else [time.isoformat() if isinstance(time, datetime) else repr(time)]
    return Seen(path, int(entry["size"]), "/".join([*marks, *stamp, str(entry["size"])]), time)


def _name(path: str, suffix: str) -> str:
    """A file name that sorts like the object's path and belongs to it alone."""
    readable = re.sub(r"[^A-Za-z0-9._=-]+", "_", path.removesuffix(suffix)).strip("_.")[-120:]
    return f"{readable}-{hashlib.sha256(path.encode()).hexdigest()[:12]}{suffix}"


def _as_regex(glob: str) -> str:
    signs = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*|\*|\?)", glob)
    return "".join(signs.get(part) or re.escape(part) for part in parts)
