"""The pointer's history, `history.jsonl` beside it, and the one way to change the pointer: noted, then swapped.

Whoever goes back looks here for what served before.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ml_assets.registry import reserve
from ml_assets.registry.pointer import Pointer, current_pointer, require_pointer
from ml_assets.storage import journal
from ml_assets.storage.file_lock import file_lock
from ml_assets.storage.files import overwrite_text, write_text_atomically

logger = logging.getLogger("ml_assets.registry.history")


def write_pointer(path: Path, pointer: Pointer, reason: str = "deployed") -> Pointer | None:
    """Replace the pointer in one step, note it in `history.jsonl` beside it, return the pointer before."""
    with file_lock(path.with_name(".pointer.lock")):
        before = current_pointer(path)
        swap(path, pointer, reason)
        return before


def change_pointer(path: Path, change: Callable[[Pointer], Pointer], reason: str) -> Pointer:
    """Replace the pointer by what `change` makes of the current one, with nobody in between, and return it.

    Raises:
        PointerError: when there is none to change.
    """
    with file_lock(path.with_name(".pointer.lock")):
        return swap(path, change(require_pointer(path)), reason)


def undo_deployment(path: Path, failed: Pointer, before: Pointer, reason: str) -> Pointer:
    """Put back what served before a deployment that failed, and return what serves.

    The failed version is not blocked: what it failed by may be of this moment. When another one has moved the pointer
    since, it stays as it is.
    """
    with file_lock(path.with_name(".pointer.lock")):
        current = current_pointer(path)
        if before == failed or (current is not None and current != failed):
            return current or before
        back = before.model_copy(update={"deployed_at": datetime.now(UTC)})
        return swap(path, back, reason, rollback=True, blocks=False)


def served_before(path: Path) -> list[Pointer]:
    """The deployments a rollback can still go back to, oldest first (the current one is not among them)."""
    stack: list[Pointer] = []
    for each in deployments(path):
        version = each.pointer.model_version
        if each.rollback and stack:
            # to one that never served, or whose line does not read: only what was taken back is off
            known, taken = version in {earlier.model_version for earlier in stack}, stack[-1].model_version
            while stack and (stack[-1].model_version != version if known else stack[-1].model_version == taken):
                stack.pop()
        stack.append(each.pointer)
    current = current_pointer(path)
    current = current and current.model_copy(update={"unnoted": ()})
    return stack[: stack.index(current)] if current in stack else stack


@dataclass(frozen=True, slots=True)
class Deployment:
    """A pointer that served: since when (UTC), why, and whether by going back; `n` is its line in the history.

    Of one that was gone back to: which version was taken back for it, and whether a person named it.
    `blocks`: what served before it is not to serve again.
    """

    n: int
    at: datetime
    pointer: Pointer
    reason: str
    rollback: bool
    taken_back: str | None = None
    named: bool = False
    blocks: bool = False

    @classmethod
    def of(cls, line: dict[str, Any]) -> Deployment:
        """Read a line of the history.

        Raises:
            LookupError, TypeError, ValueError: when it does not say what such a line says.
        """
        at, pointer = datetime.fromisoformat(line["at"]).astimezone(UTC), Pointer.model_validate(line["pointer"])
        reason, taken, flags = line["reason"], line.get("taken_back"), (line["rollback"], line.get("named", False))
        blocks = line.get("blocks", flags[0])
        if not isinstance(reason, str) or not isinstance(taken, str | None) or {*map(type, (*flags, blocks))} != {bool}:
            raise TypeError(f"not a line of a history: {line}")
        return cls(line["n"], at, pointer, reason, flags[0], taken, flags[1], blocks)


def deployments(path: Path) -> list[Deployment]:
    """Every pointer that served, oldest first; one that was noted and never swapped in is left out.

    Lines of the history that do not read are left out too; see `history_problems`.
    """
    current, lines = current_pointer(path), journal.readable(history_path(path), Deployment.of)[0]
    for line in history_lacks(path):
        lines.append({**line, "n": lines[-1]["n"] + 1 if lines else 0})
    noted = [(line, Deployment.of(line)) for line in lines]
    marks = {_mark(each.pointer) for _, each in noted}
    wanted, served = current and _mark(current), list[Deployment]()
    for line, each in reversed(noted):
        if wanted in marks and wanted != _mark(each.pointer):
            continue
        served.append(each)
        wanted = line.get("replaced")
    if current and _mark(current) not in marks:  # a line was lost: what serves is what the pointer says
        at = current.deployed_at if current.deployed_at.tzinfo else current.deployed_at.replace(tzinfo=UTC)
        number = noted[-1][1].n + 1 if noted else 0
        served.insert(0, Deployment(number, at, current, "the history does not say why", rollback=False))
    return served[::-1]


def history_problems(path: Path) -> list[journal.Problem]:
    """What is wrong with the history of the pointer at `path`."""
    return journal.readable(history_path(path), Deployment.of)[1]


def history_path(path: Path) -> Path:
    """Where the history of the pointer at `path` lies."""
    return path.with_name("history.jsonl")


def complete_history(path: Path) -> None:
    """Note what the history lacks, because the disk was full when the pointer changed; the caller holds a lock.

    Raises:
        OSError: when it still cannot be written.
    """
    for line in history_lacks(path):
        journal.append(history_path(path), line)


def history_lacks(path: Path) -> list[dict[str, Any]]:
    """The lines of the history that only the pointer has, oldest first."""
    current, found = current_pointer(path), list[dict[str, Any]]()
    if current is None or not current.unnoted:
        return found
    noted = journal.readable(history_path(path), Deployment.of)[0]
    marks = {_mark(Pointer.model_validate(line["pointer"])) for line in noted}
    for text in current.unnoted:
        with contextlib.suppress(LookupError, TypeError, ValueError):  # altered by hand
            line = json.loads(text)
            if _mark(Deployment.of({**line, "n": 0}).pointer) not in marks:
                found.append(line)
    return found


def _mark(pointer: Pointer) -> str:
    return hashlib.sha256(pointer.model_dump_json(exclude={"unnoted"}).encode()).hexdigest()[:16]


def swap(
    path: Path,
    pointer: Pointer,
    reason: str,
    *,
    rollback: bool = False,
    named: bool = False,
    blocks: bool | None = None,
) -> Pointer:
    """Replace the pointer and return it as written; the caller holds the pointer's lock.

    Noted first, swapped second: killed in between, the next line says that another one was replaced. Going back
    happens even if the history cannot be written: the pointer itself keeps the line until it can. `blocks`: what serves
    now is not to serve again; by default that is so of every rollback.

    Raises:
        OSError: when the disk is full; a rollback only when there is no room in the pointer's own file either.
    """
    blocks = rollback if blocks is None else blocks
    before, pointer = current_pointer(path), pointer.model_copy(update={"unnoted": ()})
    line = {
        "reason": reason,
        "rollback": rollback,
        "blocks": blocks,
        **({"named": True} if named else {}),
        **({"taken_back": before.model_version} if blocks and before else {}),
        "replaced": _mark(before) if before else None,
        "pointer": pointer.model_dump(mode="json", exclude={"unnoted"}),
    }
    try:
        complete_history(path)
        journal.append(history_path(path), line)
    except OSError as error:
        if not rollback:
            raise
        logger.error("%s: the pointer keeps what the history could not take: %s", history_path(path), error)
        lacking = json.dumps({"at": datetime.now(UTC).isoformat(timespec="milliseconds"), **line})
        pointer = pointer.model_copy(update={"unnoted": (*(before.unnoted if before else ()), lacking)})
    text = pointer.model_dump_json(indent=2, exclude=None if pointer.unnoted else {"unnoted"}) + "\n"
    try:
        write_text_atomically(path, text)
    except OSError:
        if not rollback:
            raise
        overwrite_text(path, text)
    if not rollback:
        reserve.keep(path.with_name(reserve.NAME))
    return pointer
