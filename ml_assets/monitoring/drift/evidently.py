"""Evidently's picture of a day's features against the days it was judged against: for people, no alarm.

Its default tests raise false alarms on large samples, so nothing here decides anything (`drift` does): a fixed
sample of the judged rows, the columns the model looks at most; one that is missing throughout is named with why.
Importing Evidently takes seconds, which is why this is not part of `drift_page`.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.monitoring.drift.counts import sample
from ml_assets.monitoring.drift.daily import DRIFT, read_drift
from ml_assets.monitoring.drift.summary import SCORE
from ml_assets.monitoring.drift.windows import Days, open_traffic
from ml_assets.monitoring.population import population_of
from ml_assets.monitoring.reports import report_path
from ml_assets.reporting.evidently_page import save_page

COLUMNS = 12
"""Features drawn besides the score."""


def draw(spec: ModelSpec, settings: Settings, day: date) -> Path | None:
    """Draw the day against the reference of its drift report; returns the page, None when nothing was judged.

    Needs no network: Evidently's script is inside the page.

    Raises:
        FileNotFoundError: when the day's drift was not judged yet.
    """
    report = read_drift(settings, spec.name, day)
    if report.state != "judged" or report.version is None:
        return None
    of_reference = report.versions[: len(report.reference)]
    days = Days((day,), report.reference, report.left_out, versions=(*of_reference, report.version))
    unread = {SCORE, *(column for _, column in population_of(spec).categories)}
    heaviest = [each.name for each in report.features if each.name not in unread][:COLUMNS]
    columns, at = [SCORE, *heaviest], np.array([(each - days.all[0]).days for each in days.all])
    with open_traffic(settings, spec, days, columns) as connection:
        reference, current = (
            sample(connection, chosen, columns, spec.monitoring.sample_rows) for chosen in (at[:-1], at[-1:])
        )
    import pandas as pd

    now, before = (pd.DataFrame(rows.astype(np.float64), columns=columns) for rows in (current, reference))
    page = report_path(settings, spec.name, DRIFT, day, "evidently.html")
    save_page(now, before, page)
    return page
