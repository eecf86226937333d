"""Evidently's picture of a day's features against the days it was judged against: for people, no alarm.

Its default tests raise false alarms on large samples, so nothing here decides anything (`drift` does): a fixed
sample of the judged rows, the columns the model looks at most, none that is missing throughout (Evidently raises
on those). Importing Evidently takes seconds, which is why this is not part of `drift_page`.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np

from ml_assets.files import replace_file
from ml_assets.learning.spec import ModelSpec
from ml_assets.monitoring.counts import sample
from ml_assets.monitoring.drift import DRIFT, read_drift
from ml_assets.monitoring.drift_report import SCORE
from ml_assets.monitoring.population import population_of
from ml_assets.monitoring.reports import report_path
from ml_assets.monitoring.windows import Days, open_traffic
from ml_assets.settings import Settings

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
    days = Days((day,), report.reference, report.left_out)
    unread = {SCORE, *(column for _, column in population_of(spec).categories)}
    heaviest = [each.name for each in report.features if each.name not in unread][:COLUMNS]
    columns, at = [SCORE, *heaviest], np.array([(each - days.all[0]).days for each in days.all])
    with open_traffic(settings, spec, report.version, days, columns) as connection:
        reference, current = (
            sample(connection, chosen, columns, spec.monitoring.sample_rows) for chosen in (at[:-1], at[-1:])
        )
    drawn = [number for number in range(len(columns)) if _known(reference[:, number]) and _known(current[:, number])]
    if not drawn:
        return None
    import pandas as pd
    from evidently import Report
    from evidently.presets import DataDriftPreset

    names = [columns[number] for number in drawn]
    frames = (pd.DataFrame(rows[:, drawn].astype(np.float64), columns=names) for rows in (current, reference))
    snapshot = Report([DataDriftPreset()]).run(*frames)
    page = report_path(settings, spec.name, DRIFT, day, "evidently.html")
    with replace_file(page) as aside:
        snapshot.save_html(str(aside))
    return page


def _known(column: np.ndarray) -> bool:
    return bool(np.isfinite(column).any())
