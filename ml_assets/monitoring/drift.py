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
from datetime import date

from ml_assets.learning.spec import ModelSpec
from ml_assets.monitoring.attribution import SAMPLE, attribution
from ml_assets.monitoring.counts import choose_bins, count, sample
from ml_assets.monitoring.demand import demand
from ml_assets.monitoring.drift_report import (
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
from ml_assets.monitoring.population import population_of
from ml_assets.monitoring.psi import measure
from ml_assets.monitoring.reports import read_report, report_path, write_report
from ml_assets.monitoring.windows import (
    LEAST_CUSTOMERS,
    Days,
    Volume,
    choose_days,
    compared_with,
    open_traffic,
    traffic_days,
    volumes_of,
)
from ml_assets.registry.versions import load_version, versions_home
from ml_assets.settings import Settings

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
    version, volumes = volumes_of(settings, spec, traffic_days(settings, spec.name, day, rules), day)
    enough = [each for each in volumes if each.rows >= rules.min_rows and each.customers >= LEAST_CUSTOMERS]
    if version is None or not enough or enough[-1].day != day:
        return unjudged_report(spec.name, day, version, volumes, of, state="too few rows")
    days = choose_days(enough, rules, _alarmed(settings, spec.name, enough[:-1], version), rests=of.rests)
    if days is None:
        return unjudged_report(spec.name, day, version, volumes, of, state="no reference yet")
    columns = _columns(spec, settings, version, days)
    return judged_report(columns, days, rules, model=spec.name, version=version, volumes=volumes)


def _alarmed(settings: Settings, model: str, volumes: Sequence[Volume], version: str) -> set[date]:
    """Days that drifted by their own reports, of which an older form will do."""
    paths = {each.day: report_path(settings, model, DRIFT, each.day) for each in volumes}
    reports = {day: json.loads(path.read_text()) for day, path in paths.items() if path.exists()}
    return {day for day, report in reports.items() if report.get("alarm") and report.get("version") == version}


def _columns(spec: ModelSpec, settings: Settings, version: str, days: Days) -> list[Column]:
    """Every column of the days' traffic, counted, measured and weighed."""
    ref, compared = load_version(versions_home(settings, spec.name) / version), compared_with(days)
    numbers, of = (SCORE, *ref.features), population_of(spec)
    columns = (*numbers, *(column for relation, column in of.categories if relation == "traffic"))
    with open_traffic(settings, spec, version, days, columns) as connection:
        relations, before = choose_bins(connection, days, numbers, of)
        now = sample(connection, days.nth[-1:], numbers, SAMPLE)
        bins = [each for binned in relations.values() for each in binned]
        counts = [each for relation, binned in relations.items() for each in count(connection, days, relation, binned)]
        found = [measure(each, compared) for each in counts]
        far = [at for at in range(len(numbers)) if found[at].excess[len(days.reference) :].max() >= GROSS]
        kin = count(connection, days, "traffic", [bins[at] for at in far], by="kin") if far else []
    certain = {at: measure(each, compared) for at, each in zip(far, kin, strict=True)}
    shares = attribution(ref.booster(), before[:SAMPLE, 1:], now[:, 1:])
    weights = dict(zip(ref.features, map(float, shares), strict=True))
    judged = [
        Column(bins[at], counts[at], found[at], weights.get(bins[at].column, 0.0), certain.get(at))
        for at in range(len(bins))
    ]
    wanted = demand(settings, days) if of.demand else None
    return judged if wanted is None else [*judged, Column(*wanted, measure(wanted[1], compared), 0.0)]
