"""Gather the facts: from the registry, the warehouse, the monitoring's reports and the journals; decides nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import date, timedelta

import duckdb

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.config.sources import source_of
from ml_assets.datasets.calendar import as_of, decisions_of, split_now
from ml_assets.datasets.code import Parts, version_of
from ml_assets.datasets.provenance import Provenance, code_changes, code_of, data_changes, spec_changes
from ml_assets.datasets.split import Split
from ml_assets.registry.release import read_release, release_path
from ml_assets.registry.versions import VersionRef
from ml_assets.release import standing_champion
from ml_assets.retraining.alarms import drift_alarm, quality_alarm, watched_until
from ml_assets.retraining.facts import Calendar, Facts, Trained
from ml_assets.retraining.journal import attempts
from ml_assets.storage.warehouse import connect

PATIENCE = 5.0
"""Seconds to wait for a warehouse that is being written: whoever asks will ask again."""


def gather(
    spec: ModelSpec,
    settings: Settings,
    failed_data_checks: Sequence[str] = (),
    in_flight: bool = False,
    launched: Callable[[str], bool] = lambda attempt_id: True,
) -> Facts:
    """Everything `decide` looks at, as of now.

    Args:
        spec: the model.
        settings: the deployment.
        failed_data_checks: "asset: check: text" of each check on data that fails now.
        in_flight: a training of this model waits or runs.
        launched: whether a run of an attempt exists.

    Raises:
        WarehouseError: when the warehouse cannot be read, or holds no day.
        CorruptedVersionError: when the champion's files were altered.
        TakenBack: when the registry still names a version champion that was taken back.
    """
    trained, then = _trained(spec, standing_champion(settings, spec))
    today = as_of(spec, settings, PATIENCE).date()
    watched = watched_until(spec, settings, today)
    parts = code_of(spec)
    code = (*code_changes(then, parts), *spec_changes(then, spec)) if then else ()
    with connect(settings, PATIENCE) as warehouse:
        calendar = _calendar(spec, warehouse, _ended(spec, settings, watched))
        data = tuple(data_changes(then, spec, warehouse)) if then else ()
    return Facts(
        today=today,
        champion=trained,
        calendar=calendar,
        drift=drift_alarm(spec, settings, watched),
        loss=quality_alarm(spec, settings, watched),
        failed_data_checks=tuple(failed_data_checks),
        in_flight=in_flight,
        releasing=_releasing(settings, spec),
        attempts=attempts(settings, spec, launched),
        code=code,
        data=data,
        code_id=_code_id(code, parts),
    )


def _trained(spec: ModelSpec, version: VersionRef | None) -> tuple[Trained, Provenance] | tuple[None, None]:
    if version is None:
        return None, None
    then = Provenance.of(version)
    if then.trained_until is None:
        raise ValueError(f"{version.path}: model.json does not say which decisions it was trained on; train again")
    known = then.trained_until + timedelta(days=spec.horizon_days - 1)
    return Trained(version.version, then.trained_until, known, then.newest), then


def _ended(spec: ModelSpec, settings: Settings, watched: date) -> date | None:
    """The last day of the source's calendar, once the data has come so far or the model is watched after it."""
    end = source_of(spec.source, settings).calendar.end
    return end if end is not None and end < watched else None


def _calendar(spec: ModelSpec, warehouse: duckdb.DuckDBPyConnection, ended: date | None) -> Calendar | None:
    decisions = decisions_of(warehouse, spec)
    if not decisions:
        return None
    fresh = _cut(spec.model_copy(update={"split": spec.retraining.split}), warehouse)
    regular = _cut(spec, warehouse)
    return Calendar(
        newest=decisions[-1],
        every_days=(decisions[-1] - decisions[-2]).days if len(decisions) > 1 else spec.horizon_days,
        fresh=max((*fresh.train, *fresh.validation)) if fresh else None,
        judged=min(regular.test) if regular else None,
        ended=ended,
    )


def _cut(spec: ModelSpec, warehouse: duckdb.DuckDBPyConnection) -> Split | None:
    try:
        return split_now(warehouse, spec)
    except ValueError:  # too few decisions so far
        return None


def _releasing(settings: Settings, spec: ModelSpec) -> bool:
    """A release under way; a broken file is none, for the service neither."""
    try:
        return read_release(release_path(settings, spec.name)) is not None
    except ValueError:
        return False


def _code_id(changed: Sequence[str], parts: Parts) -> str:
    """Names the present code and spec; empty when nothing changed."""
    said = "\n".join([version_of(parts), *changed])
    return hashlib.sha256(said.encode()).hexdigest()[:12] if changed else ""
