"""What served at a time: by the pointer's history and the release journal, both append-only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from ml_assets.config.settings import Settings
from ml_assets.registry.history import Deployment, deployments, history_problems
from ml_assets.registry.pointer import pointer_path
from ml_assets.release import ledger
from ml_assets.release.ledger import UNDER_WAY, Entry


@dataclass(frozen=True)
class Part:
    """A version and the share of customers that it answered."""

    version: str
    share: float


@dataclass(frozen=True)
class Served:
    """Who answered at a time.

    Attributes:
        time: the moment asked about (UTC).
        parts: versions and shares, the champion first; empty before the first deployment.
        release_id: of the release under way.
        shadow: the version that scored unseen.
        index: first 12 characters of the index's hash.
        as_of: the "now" of features and index.
        since: when the pointer was written.
        why: the reason of that deployment.
        text: all of it in words.
    """

    time: datetime
    parts: tuple[Part, ...]
    text: str
    release_id: str | None = None
    shadow: str | None = None
    index: str | None = None
    as_of: datetime | None = None
    since: datetime | None = None
    why: str | None = None


def served_at(settings: Settings, name: str, time: datetime) -> Served:
    """Which versions answered at a time, with which shares, from which index, and why.

    The service takes a change up within a second, so around a change either side may have answered.

    Of damaged journals it answers from what reads, and says in its text which lines are damaged.

    Args:
        settings: the deployment.
        name: the model.
        time: the moment; without a zone it is UTC.
    """
    found = _served_at(settings, name, time)
    damaged = [*history_problems(pointer_path(settings, name)), *ledger.problems(settings, name)]
    if not damaged:
        return found
    said = "; ".join(str(problem) for problem in damaged)
    return replace(found, text=f"{found.text}. A journal was altered, this is from the rest: {said}")


def _served_at(settings: Settings, name: str, time: datetime) -> Served:
    moment = time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    served = deployments(pointer_path(settings, name))
    before = [each for each in served if each.at <= moment]
    if not before:
        first = f"the first deployment was at {_said(served[0].at)}" if served else "nothing has been deployed yet"
        return Served(moment, (), f"{name}: nothing served at {_said(moment)}: {first}")
    pointer = before[-1].pointer
    line = _under_way(ledger.entries(settings, name), moment)
    if line and line["champion_version"] != pointer.model_version:
        line = None  # stale: the service ignores it
    share = line["share"] if line else 0.0
    parts = [Part(pointer.model_version, 1 - share)] + ([Part(line["version"], share)] if line and share else [])
    return Served(
        time=moment,
        parts=tuple(part for part in parts if part.share),
        text=f"{name}: {_text(moment, before[-1], parts, line)}",
        release_id=line["release_id"] if line else None,
        shadow=line["version"] if line and not share else None,
        index=pointer.index,
        as_of=pointer.as_of,
        since=before[-1].at,
        why=before[-1].reason,
    )


def _under_way(lines: Sequence[Entry], moment: datetime) -> Entry | None:
    """The last line before the moment of a release that had no end by then."""
    told = [line for line in lines if line["release_id"] is not None and _when(line) <= moment]
    return told[-1] if told and told[-1]["event"] in UNDER_WAY else None


def _when(line: Entry) -> datetime:
    """When it took effect; the line itself may have been added later."""
    moment = datetime.fromisoformat(line["changed_at"] if line["event"] in UNDER_WAY else line["at"])
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)  # an altered line may have lost its zone


def _text(moment: datetime, deployment: Deployment, parts: Sequence[Part], line: Entry | None) -> str:
    pointer = deployment.pointer
    shares = ", ".join(f"{part.version} for {part.share:.0%} of the customers" for part in parts)
    who = f"{pointer.model_version} for everybody" if len(parts) == 1 else shares
    text = f"at {_said(moment)}: {who}, index {pointer.index or 'none'} as of {pointer.as_of:%Y-%m-%d %H:%M}; "
    text += f"{pointer.model_version} since {_said(deployment.at)} ({deployment.reason})"
    if line is None:
        return text
    how = f"{line['event']} at {_said(_when(line))} ({line['reason']})"
    return f"{text}; {line['version']} as {line['stage']} of release {line['release_id']}, {how}"


def _said(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
