"""A release from its beginning to its end: shadow, canary in steps, then promoted, rolled back, held or stopped.

The effect of every change is one replaced or removed file; see `settle` for what happens to whoever is killed.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from ml_assets.config.model_spec import ModelSpec, ReleaseSpec
from ml_assets.config.settings import Settings
from ml_assets.registry import reserve
from ml_assets.registry.history import change_pointer
from ml_assets.registry.pointer import Pointer, current_pointer, pointer_path, require_pointer
from ml_assets.registry.release import Release, Stage, release_path, write_release
from ml_assets.registry.release_journal import Event, blocking_line
from ml_assets.registry.versions import CorruptedVersionError, VersionRef, load_version
from ml_assets.release import ledger
from ml_assets.release.back import move_back, named
from ml_assets.release.demotion import debt_path, owe, pay
from ml_assets.release.judge import Action, Verdict, judge
from ml_assets.release.read import read
from ml_assets.release.recovery import alone, settle, superseded
from ml_assets.storage.log_layout import log_folder

logger = logging.getLogger("ml_assets.release")

ENDS = {
    Action.PROMOTED: Event.PROMOTED,
    Action.ROLLED_BACK: Event.ROLLED_BACK,
    Action.HELD: Event.HELD,
    Action.STOPPED: Event.STOPPED,
}


STALE = "stale: it was compared with a version that does not serve any more"


class Blocked(RuntimeError):  # noqa: N818 - the answer, rather than a fault
    """The version was taken back before and is not released again without force."""


class _PassedBy(RuntimeError):  # noqa: N818
    """The pointer moved on while a release was being judged."""


def begin(settings: Settings, spec: ModelSpec, version_folder: Path, reason: str, *, force: bool = False) -> Release:
    """Send a version out beside the one that serves; a release of another version under way gives way to it.

    Beginning what is under way already changes nothing.

    Args:
        settings: the deployment.
        spec: the model; `release` says how.
        version_folder: the challenger.
        reason: for the journal.
        force: also a version that was taken back before.

    Raises:
        Blocked: when the version was rolled back, held or found broken before.
        PointerError: when nothing serves yet: deploy a first version.
        CorruptedVersionError, FileNotFoundError: when the version's files are not those that were published.
        ValueError: when the version serves already, or is another model's, or the model is no ranking.
    """
    if not spec.ranks:
        raise ValueError(
            f"{spec.name} is a {spec.task.value} model: it has no releases, since there are no clicks to judge one by. "
            f"A new champion serves everybody when it is deployed; `rollback --model {spec.name} --to VERSION` puts "
            "another version back."
        )
    version = load_version(version_folder)
    with alone(settings, spec.name) as current:
        serving = require_pointer(pointer_path(settings, spec.name)).model_version
        if version.name != spec.name or version.version == serving:
            wrong = "serves everybody already" if version.name == spec.name else f"is a version of {version.name}"
            raise ValueError(f"{version_folder}: {version.version} {wrong}; nothing to release for {spec.name}")
        if current and (current.model_version, current.champion_version) == (version.version, serving):
            return current
        lines = ledger.entries(settings, spec.name)
        before = None if force else blocking_line(lines, version.version)
        if before:
            raise Blocked(
                f"{version.version} is not released again: {before['event']} at {before['at']}, {before['reason']}. "
                "Force it if that does not hold any more."
            )
        release = _first(spec, version, serving)
        write_release(release_path(settings, spec.name), release)
        line = ledger.under_way(lines)
        if line:
            superseded(settings, spec.name, line, release)
        figures = {"customers_needed": customers_needed(spec.release)}
        ledger.note(settings, spec.name, Event.BEGUN, release, reason, figures=figures, forced=force)
        return release


def step(settings: Settings, spec: ModelSpec) -> Verdict:
    """Judge the release under way by its traffic so far and do what follows; idle when there is none.

    Killed at any moment, the next step goes on from what the files say.
    """
    with alone(settings, spec.name) as release:
        verdict = _without_traffic(settings, spec, release)
        steps = ledger.steps(ledger.entries(settings, spec.name), release.release_id) if release else ()
    if release and verdict is None:
        verdict = judge(spec, release, read(settings, spec, release, steps))
        with alone(settings, spec.name) as now:
            if now != release:
                verdict = replace(verdict, action=Action.IDLE, reason="the release changed while it was being judged")
            verdict = _apply(settings, spec, release, verdict)
    owed = pay(settings, spec)
    verdict = verdict or Verdict(Action.IDLE, "no release under way")
    return replace(verdict, reason=f"{verdict.reason}; {owed}") if owed else verdict


def roll_back(
    settings: Settings,
    spec: ModelSpec,
    reason: str,
    *,
    to: str | None = None,
    tell: Callable[[str], None] = logger.warning,
) -> Pointer:
    """Take back what was released last and return the pointer that serves: by files only, at once.

    A release under way ends; without one, the version before serves again, with the current index. Neither the
    registry nor a network is needed; the registry follows when it can. Neither a full disk nor a damaged journal
    stands in the way: the account is completed later.

    Args:
        settings: the deployment.
        spec: the model.
        reason: for the journals.
        to: the published version that is to serve, whether or not it ever did; nothing keeps it from being released
            any more, and a release under way ends as well.
        tell: takes what a person should know beside that.

    Raises:
        LookupError: when no earlier version is intact, or there is no version `to`; it names those that there are.
        CorruptedVersionError, ValueError: when the version `to` is damaged, or another model's.
        OSError: when not even the pointer's own file can be written.
    """
    wanted = named(settings, spec.name, to) if to else None
    path = pointer_path(settings, spec.name)
    with reserve.freed(reserve.reserve_path(settings, spec.name)), alone(settings, spec.name, settled=False) as release:
        before = current_pointer(path)
        live = release is not None and before is not None and release.champion_version == before.model_version
        if not live:
            release_path(settings, spec.name).unlink(missing_ok=True)  # a stale one must not come to life again
        serving = before if before and live and not wanted else move_back(settings, spec, wanted, reason)
        release_path(settings, spec.name).unlink(missing_ok=True)
        try:
            if release and not live:
                ledger.note(settings, spec.name, Event.STOPPED, release, STALE)
            elif release:
                taken = release.model_version != serving.model_version
                end = Action.ROLLED_BACK if taken else Action.PROMOTED
                _end(settings, spec, release, Verdict(end, reason, blocks=taken))
            settle(settings, spec.name)  # the pointer's history tells the journal
            if wanted and blocking_line(ledger.entries(settings, spec.name), wanted.version):
                ledger.note_named(settings, spec.name, version=wanted.version, reason=reason)
        except Exception as error:  # what serves is right already
            tell(f"{spec.name}: the account of it could not be written, and is completed at the next look: {error}")
    pay(settings, spec)
    return serving


def progress(settings: Settings, name: str) -> str | None:
    """What a step would look at, as a key that changes when there is more; None when there is nothing to do."""
    with alone(settings, name) as release:
        pass
    if release:
        from ml_assets.prediction_log.daily_tables import predictions_home

        logged = sum(path.stat().st_size for path in log_folder(settings, name).glob("*.jsonl"))
        days = sum(path.stat().st_mtime_ns for path in predictions_home(settings, name).glob("event_day=*"))
        return f"{release.release_id} {release.stage.value} {release.share} {logged} {days}"
    if debt_path(settings, name).exists():
        return f"{name} owes the registry, {_now():%Y-%m-%dT%H}"
    return None


def customers_needed(wanted: ReleaseSpec) -> int:
    """About how many customers have to come until a release that does well is at its end."""
    sizes = [wanted.step_customers] * len(wanted.steps)
    sizes[-1] = max(sizes[-1], wanted.customers - sum(sizes[:-1]))
    return round(sum(size / share for size, share in zip(sizes, wanted.steps, strict=True)))


def _now() -> datetime:
    return datetime.now(UTC)


def _first(spec: ModelSpec, version: VersionRef, serving: str) -> Release:
    now, unseen = _now(), spec.release.shadow_answers > 0
    return Release(
        release_id=f"{version.version}-{now:%Y%m%dT%H%M%S%f}",
        salt=secrets.token_hex(16),
        model_name=spec.name,
        champion_version=serving,
        model_version=version.version,
        model_path=version.path.resolve(),
        model_sha256=version.sha256,
        stage=Stage.SHADOW if unseen else Stage.CANARY,
        share=0.0 if unseen else spec.release.steps[0],
        started_at=now,
        changed_at=now,
    )


def _without_traffic(settings: Settings, spec: ModelSpec, release: Release | None) -> Verdict | None:
    """What is known without a look at the traffic: a release the pointer has passed by is over."""
    if release is None:
        return None
    serving = require_pointer(pointer_path(settings, spec.name)).model_version
    if serving == release.champion_version:
        return None
    if serving == release.model_version:
        return _end(settings, spec, release, Verdict(Action.PROMOTED, "it serves everybody already"))
    return _end(settings, spec, release, Verdict(Action.STOPPED, STALE))


def _apply(settings: Settings, spec: ModelSpec, release: Release, verdict: Verdict) -> Verdict:
    """Do what was decided; the caller holds the lock and has seen that the release is still the same."""
    if verdict.action is Action.ADVANCED and verdict.share is not None:
        changed = {"stage": Stage.CANARY, "share": verdict.share, "changed_at": _now()}
        advanced = release.model_copy(update=changed)
        write_release(release_path(settings, spec.name), advanced)
        ledger.note(settings, spec.name, Event.ADVANCED, advanced, verdict.reason, figures=verdict.figures)
        return verdict
    if verdict.action is Action.PROMOTED:
        verdict = _promote(settings, spec, release, verdict)
    return _end(settings, spec, release, verdict) if verdict.action in ENDS else verdict


def _promote(settings: Settings, spec: ModelSpec, release: Release, verdict: Verdict) -> Verdict:
    """Point to the challenger with the index, online store and "now" of this moment; else say why not."""

    def to_challenger(now: Pointer) -> Pointer:
        if now.model_version != release.champion_version:
            raise _PassedBy
        model = release.model_dump(include={"model_version", "model_path", "model_sha256"})
        return now.model_copy(update={**model, "deployed_at": _now()})

    try:
        if load_version(release.model_path).sha256 != release.model_sha256:
            raise CorruptedVersionError(f"{release.model_path} holds other bytes than were released")
        change_pointer(pointer_path(settings, spec.name), to_challenger, f"release {release.release_id}")
    except _PassedBy:
        return replace(verdict, action=Action.STOPPED, reason=STALE)
    except (CorruptedVersionError, FileNotFoundError) as error:
        return replace(verdict, action=Action.STOPPED, reason=f"not promoted: {error}", blocks=True)
    return verdict


def _end(settings: Settings, spec: ModelSpec, release: Release, verdict: Verdict) -> Verdict:
    """Take the challenger off first (a promoted one serves by the pointer), then the books."""
    release_path(settings, spec.name).unlink(missing_ok=True)
    if verdict.blocks:
        owe(settings, spec.name, release.model_version, verdict.reason)
    event, figures = ENDS[verdict.action], verdict.figures
    ledger.note(settings, spec.name, event, release, verdict.reason, figures=figures, blocks=verdict.blocks)
    return verdict
