"""The swap of a range of days: noted in full before it begins, so that it is finished, or undone, whoever is killed.

`swap.json` in the table's staging folder says which files take whose place, where the replaced ones are kept, and what
is added to the ledger. Once it is there the swap is decided, and the next run finishes it. A swap that fails is renamed
`undo.json`, and undone; every step of both may be repeated.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ml_assets.storage.files import sync, sync_all, write_text_atomically

SWAP, UNDO = "swap.json", "undo.json"


@dataclass(frozen=True)
class Part:
    """One file of a swap; paths relative to the lake. `old`: where the one it replaces is kept, if there was one."""

    aside: str
    target: str
    old: str | None


@dataclass(frozen=True)
class Swap:
    """What takes whose place.

    Attributes:
        parts: the files.
        ledger: the ledger, relative to the lake.
        length: its bytes before.
        lines: what is added to it.
    """

    parts: tuple[Part, ...]
    ledger: str
    length: int
    lines: str

    @classmethod
    def prepare(cls, lake: Path, written: Sequence[tuple[Path, Path]], ledger: Path, lines: str) -> Swap:
        """Give every file that will be replaced a second name, and have on the disk what will replace it."""
        parts = []
        sync_all(aside for aside, _ in written)
        for aside, target in written:
            old = None if not target.exists() else aside.with_suffix(".old")
            if old is not None:
                os.link(target, old)
            target.parent.mkdir(parents=True, exist_ok=True)
            kept = None if old is None else _relative(old, lake)
            parts.append(Part(_relative(aside, lake), _relative(target, lake), kept))
        _sync_folders(aside for aside, _ in written)
        ledger.parent.mkdir(parents=True, exist_ok=True)
        length = ledger.stat().st_size if ledger.exists() else 0
        return cls(tuple(parts), _relative(ledger, lake), length, lines)

    @classmethod
    def read(cls, path: Path) -> Swap:
        """Read a noted swap."""
        said = json.loads(path.read_text())
        return cls(**said | {"parts": tuple(Part(**part) for part in said["parts"])})

    def note(self, folder: Path) -> None:
        """Decide the swap: from now on it is finished, by whoever comes next."""
        sync(folder.parent)
        write_text_atomically(folder / SWAP, json.dumps(asdict(self)))

    def finish(self, lake: Path) -> None:
        """Put every file in its place that is not there yet, then the lines into the ledger."""
        for part in self.parts:
            if (lake / part.aside).exists():
                (lake / part.aside).replace(lake / part.target)
        _sync_folders(lake / part.target for part in self.parts)
        ledger = lake / self.ledger
        self._cut(ledger)
        append(ledger, self.lines)

    def undo(self, lake: Path) -> None:
        """Put every replaced file back, and take the lines out of the ledger."""
        for part in reversed(self.parts):
            if part.old is not None and (lake / part.old).exists():
                (lake / part.old).replace(lake / part.target)
            elif part.old is None and not (lake / part.aside).exists():
                (lake / part.target).unlink(missing_ok=True)
        _sync_folders(lake / part.target for part in self.parts)
        self._cut(lake / self.ledger)

    def _cut(self, ledger: Path) -> None:
        """Take out what this swap has added to the ledger, whole or torn: nobody else writes to it meanwhile."""
        if ledger.exists() and ledger.stat().st_size > self.length:
            os.truncate(ledger, self.length)
            sync(ledger)


def append(path: Path, lines: str) -> None:
    """Add lines in one write, on a line of their own even after a torn one."""
    torn = path.exists() and path.stat().st_size > 0 and not path.read_bytes().endswith(b"\n")
    with path.open("a") as opened:
        opened.write(("\n" if torn else "") + lines)
        opened.flush()
        os.fsync(opened.fileno())
    sync(path.parent)


def settle(lake: Path, folder: Path) -> None:
    """Finish or undo what a killed run has noted in a staging folder."""
    for name, act in ((UNDO, Swap.undo), (SWAP, Swap.finish)):
        if (folder / name).exists():
            act(Swap.read(folder / name), lake)
            forget(folder, name)


def turn_back(lake: Path, folder: Path) -> None:
    """Undo a noted swap that failed."""
    (folder / SWAP).replace(folder / UNDO)
    sync(folder)
    settle(lake, folder)


def forget(folder: Path, name: str = SWAP) -> None:
    """The noted swap is over."""
    (folder / name).unlink()
    sync(folder)


def unsettled(folder: Path) -> bool:
    """Whether a swap is noted there."""
    return (folder / SWAP).exists() or (folder / UNDO).exists()


def _relative(path: Path, lake: Path) -> str:
    return path.relative_to(lake).as_posix()


def _sync_folders(paths: Iterable[Path]) -> None:
    """Have on the disk the names in the folders of these parts' days, of their tables, and of what these are in."""
    folders = list(dict.fromkeys(path.parent for path in paths))
    for _ in range(3):
        sync_all(folders)
        folders = list(dict.fromkeys(folder.parent for folder in folders))
