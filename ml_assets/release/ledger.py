"""The release journal, `<model_home>/releases.jsonl`: what was released, how far it came, how it ended and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from ml_assets.config.settings import Settings
from ml_assets.registry.release import Release, Stage
from ml_assets.registry.release_journal import Event, release_journal
from ml_assets.release.observed import Step
from ml_assets.storage import journal

Entry = Mapping[str, Any]


UNDER_WAY = (Event.BEGUN, Event.ADVANCED)
SAID = ("release_id", "version", "champion_version", "stage", "share", "changed_at")
"""What every line says about its release; None where a version was taken back that served everybody."""
UNKNOWN = "the process that did this was killed before it could say why, or it was done by hand"


def entries(settings: Settings, name: str) -> list[dict[str, Any]]:
    """Every line that reads, oldest first; `problems` says what is wrong with the others."""
    return journal.readable(release_journal(settings, name), _told)[0]


def problems(settings: Settings, name: str) -> list[journal.Problem]:
    """What is wrong with the model's release journal."""
    return journal.readable(release_journal(settings, name), _told)[1]


def _told(line: Entry) -> None:
    """Take what readers need out of a line; raises when it is not there."""
    Event(line["event"])
    texts = [line[name] for name in ("version", "at", "reason", *(("release_id",) if line["release_id"] else ()))]
    datetime.fromisoformat(line["at"])
    if line["event"] in UNDER_WAY:
        datetime.fromisoformat(line["changed_at"])
        Stage(line["stage"])
        float(line["share"])
    if not all(isinstance(text, str) for text in texts) or not line.keys() >= {*SAID}:
        raise TypeError(f"not a line of a release journal: {line}")


def about(release: Release) -> Entry:
    """What every line says about its release."""
    return {
        "release_id": release.release_id,
        "version": release.model_version,
        "champion_version": release.champion_version,
        "stage": release.stage.value,
        "share": release.share,
        "changed_at": release.changed_at.isoformat(),
    }


def note(
    settings: Settings,
    name: str,
    event: Event,
    told: Release | Entry,
    reason: str,
    *,
    figures: Mapping[str, float | int] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Append what happened to a release, and return the line.

    Args:
        settings: the deployment.
        name: the model.
        event: what happened.
        told: the release, or its line before.
        reason: one sentence.
        figures: the numbers behind it.
        more: further fields.
    """
    said = about(told) if isinstance(told, Release) else {key: told[key] for key in SAID}
    line = {"event": event.value, **said, "reason": reason, "figures": dict(figures or {}), **more}
    return journal.append(release_journal(settings, name), line)


def note_pointer_rollback(
    settings: Settings, name: str, *, version: str, champion: str, reason: str, pointer_n: int
) -> dict[str, Any]:
    """Append that a version that served everybody was taken back; `pointer_n` is the line of the pointer's history."""
    nothing = dict.fromkeys(SAID)
    told = {**nothing, "version": version, "champion_version": champion}
    return note(settings, name, Event.ROLLED_BACK, told, reason, blocks=True, pointer_n=pointer_n)


def note_named(settings: Settings, name: str, *, version: str, reason: str) -> dict[str, Any]:
    """Append that a person put a version back by its name: nothing keeps it from being released any more."""
    told = {**dict.fromkeys(SAID), "version": version}
    return note(settings, name, Event.PROMOTED, told, reason, named=True)


def under_way(lines: Sequence[Entry]) -> Entry | None:
    """The last line of the release that has no end yet."""
    told = [line for line in lines if line["release_id"] is not None]
    return told[-1] if told and told[-1]["event"] in UNDER_WAY else None


def steps(lines: Sequence[Entry], release_id: str) -> tuple[Step, ...]:
    """The shares that a release has had, oldest first; none while it is a shadow."""
    told = [line for line in lines if line["release_id"] == release_id and line["event"] in UNDER_WAY]
    shares = [line for line in told if line["stage"] == Stage.CANARY]
    return tuple(
        Step(number, line["share"], datetime.fromisoformat(line["changed_at"]))
        for number, line in enumerate(shares, start=1)
    )
