"""Drift of what the model looks at: every feature and the scores of a day against the days before, over all rows.

A column has drifted when its PSI is too large for chance (Benjamini-Hochberg over all columns) and more than
`excess_psi` beyond what chance and a usual day show (`psi`). A day alarms when features that carry at least `weight`
of the model's attribution have drifted; when the scores have: they are what all of the attribution adds up to; when
demand has (`demand`): it is what the model is to predict; or when a feature has gone grossly far, whatever it weighs.
It is persistent when `needed` of the newest `windows` days alarm, gross drift at once. Categories and session events
are judged as well and weigh nothing: no model reads them as they are. How much traffic there is, is told; it is no
drift.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from ml_assets.config.model_spec import DriftSpec, ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.datasets.provenance import Provenance
from ml_assets.monitoring.drift.attribution import SAMPLE, attribution
from ml_assets.monitoring.drift.counts import choose_bins, count, sample
from ml_assets.monitoring.drift.demand import demand
from ml_assets.monitoring.drift.psi import measure
from ml_assets.monitoring.drift.summary import (
    GROSS,
    SCORE,
    Bin,
    Column,
    DriftReport,
    FeatureDrift,
    Window,
    judged_report,
    unjudged_report,
)
from ml_assets.monitoring.drift.windows import (
    LEAST_CUSTOMERS,
    Days,
    Volume,
    choose_days,
    compared_with,
    mixed_days,
    open_traffic,
    traffic_days,
    volumes_of,
)
from ml_assets.monitoring.population import population_of
from ml_assets.monitoring.reports import read_report, report_path, write_report
from ml_assets.registry.versions import VersionRef, load_version, versions_home

__all__ = ["DRIFT", "Bin", "DriftReport", "FeatureDrift", "Volume", "Window", "drift", "read_drift"]

DRIFT = "drift"


def drift(spec: ModelSpec, settings: Settings, day: date) -> DriftReport:
    """Judge a day and write its report; the reports of earlier days say which of them had drifted themselves.

    Args:
        spec: the model; `monitoring.drift` has the bars.
        settings: the deployment.
        day: the newest day looked at.

    Raises:
        CorruptedVersionError, FileNotFoundError: when the version that answered is altered or gone.
    """
    report = _judge(spec, settings, day)
    write_report(settings, spec.name, DRIFT, day, report)
    return report


def read_drift(settings: Settings, model: str, day: date) -> DriftReport:
    """The day's report.

    Raises:
        FileNotFoundError: when the day was not judged yet.
    """
    return read_report(settings, model, DRIFT, day, DriftReport)


def _judge(spec: ModelSpec, settings: Settings, day: date) -> DriftReport:
    rules, of = spec.monitoring.drift, population_of(spec)
    traffic = volumes_of(settings, spec, traffic_days(settings, spec.name, day, rules), day)
    version, volumes, enough = traffic.version, traffic.own, _enough(traffic.own, rules)
    if version is None or not enough or enough[-1].day != day:
        return unjudged_report(spec.name, day, version, volumes, of, state="too few rows")
    ref = load_version(versions_home(settings, spec.name) / version)
    days = choose_days(enough, rules, _alarmed(settings, spec.name, enough[:-1]), rests=of.rests)
    known = [*_world_of(settings, ref, _enough(traffic.before, rules)), *enough]
    alarmed = _alarmed(settings, spec.name, known[:-1], since=_known_until(ref))
    all_days = choose_days(known, rules, alarmed, rests=of.rests, windows=len(enough))
    chosen = days or all_days
    if chosen is None:
        return unjudged_report(spec.name, day, version, volumes, of, state="no reference yet")
    columns = _columns(spec, settings, ref, chosen)
    wanted = _wanted(settings, replace(all_days or chosen, as_of=())) if of.demand else []
    return judged_report(
        [*columns, *wanted], chosen, rules, model=spec.name, version=version, volumes=volumes, young=days is None
    )


def _enough(volumes: Sequence[Volume], rules: DriftSpec) -> list[Volume]:
    return [each for each in volumes if each.rows >= rules.min_rows and each.customers >= LEAST_CUSTOMERS]


def _known_until(version: VersionRef) -> date:
    """The newest decision the version has learned from; of one that does not say, none."""
    return Provenance.of(version).trained_until or date.min


def _world_of(settings: Settings, version: VersionRef, before: Sequence[Volume]) -> list[Volume]:
    """Days of the versions before that are of the world this one knows: since the newest alarm it has learned from."""
    until = _known_until(version)
    alarmed = _alarmed(settings, version.name, [each for each in before if each.day <= until])
    return [each for each in before if each.day >= max(alarmed, default=date.min)]


def _alarmed(settings: Settings, model: str, volumes: Sequence[Volume], since: date = date.min) -> set[date]:
    """Days after `since` that drifted by their own reports, of which an older form will do."""
    version = {each.day: each.version for each in volumes if each.day > since}
    paths = {day: report_path(settings, model, DRIFT, day) for day in version}
    reports = {day: json.loads(path.read_text()) for day, path in paths.items() if path.exists()}
    return {day for day, report in reports.items() if report.get("alarm") and report.get("version") == version[day]}


def _columns(spec: ModelSpec, settings: Settings, ref: VersionRef, days: Days) -> list[Column]:
    """Every column of the days' traffic, counted, measured and weighed."""
    compared = compared_with(days)
    mixed = mixed_days(days, compared)
    numbers, of = (SCORE, *ref.features), population_of(spec)
    columns = (*numbers, *(column for relation, column in of.categories if relation == "traffic"))
    with open_traffic(settings, spec, days, columns) as connection:
        relations, before = choose_bins(connection, days, numbers, of)
        now = sample(connection, days.nth[-1:], numbers, SAMPLE)
        bins = [each for binned in relations.values() for each in binned]
        counts = [each for relation, binned in relations.items() for each in count(connection, days, relation, binned)]
        found = [measure(each, compared, mixed) for each in counts]
        far = [at for at in range(len(numbers)) if found[at].excess[len(days.reference) :].max() >= GROSS]
        kin = count(connection, days, "traffic", [bins[at] for at in far], by="kin") if far else []
    certain = {at: measure(each, compared, mixed) for at, each in zip(far, kin, strict=True)}
    shares = attribution(ref.booster(), before[:SAMPLE, 1:], now[:, 1:])
    weights = dict(zip(ref.features, map(float, shares), strict=True))
    return [
        Column(bins[at], counts[at], found[at], weights.get(bins[at].column, 0.0), len(days.windows), certain.get(at))
        for at in range(len(bins))
    ]


def _wanted(settings: Settings, days: Days) -> list[Column]:
    """Demand, which no version has a hand in: judged against all days before, whoever answered."""
    found = demand(settings, days)
    if found is None:
        return []
    bins, counts = found
    compared = compared_with(days)
    distances = measure(counts, compared, mixed_days(days, compared))
    return [Column(bins, counts, distances, 0.0, len(days.windows), compared=compared[-1])]
