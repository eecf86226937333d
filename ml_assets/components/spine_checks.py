"""What is checked of a model's spine as soon as it is there, long before anything is trained."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import dagster as dg

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import load_settings

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    Look = Callable[[DuckDBPyConnection], str]

LABELS, DAYS = "labels_fit", "split_fits"


def spine_checks(spec: ModelSpec) -> dg.AssetChecksDefinition:
    """The labels are what the task learns from (of binary and regression models), and the days are enough to train."""
    key = dg.AssetKey(spec.spine)
    labels = dg.AssetCheckSpec(
        f"{spec.name}_{LABELS}", asset=key,
        description="Labels are numbers, of a binary model 0 or 1; else the values found are told, and what to do.",
    )  # fmt: skip
    days = dg.AssetCheckSpec(
        f"{spec.name}_{DAYS}", asset=key,
        description="The days with labels are enough for the split; a warning, with one that fits the days there are.",
    )  # fmt: skip

    @dg.multi_asset_check(name=f"{spec.name}_spine", specs=[days] if spec.ranks else [labels, days], can_subset=True)
    def checked(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        from ml_assets.datasets.spine_checks import check_days, check_labels, labelled_rows
        from ml_assets.storage.warehouse import connect

        def labels_fit(warehouse: "DuckDBPyConnection") -> str:
            check_labels(spec, warehouse)
            return "the model can learn from the labels"

        looks: dict[str, Look] = {labels.name: labels_fit, days.name: lambda warehouse: check_days(spec, warehouse)}
        with connect(load_settings()) as warehouse:
            rows = labelled_rows(spec, warehouse)
            for asked in sorted(context.selected_asset_check_keys):
                yield _judged(asked, looks[asked.name], warehouse, rows)

    return checked


def _judged(check: dg.AssetCheckKey, look: "Look", warehouse: "DuckDBPyConnection", rows: int) -> dg.AssetCheckResult:
    """What a look at the spine tells; that days are too few may pass by itself, hence it is a warning."""
    warns = not rows or check.name.endswith(DAYS)
    try:
        passed, said = bool(rows), look(warehouse) if rows else "not judged: no row has a label yet"
    except ValueError as error:
        passed, said = False, str(error)
    severity = dg.AssetCheckSeverity.WARN if warns else dg.AssetCheckSeverity.ERROR
    return dg.AssetCheckResult(
        passed=passed, asset_key=check.asset_key, check_name=check.name, severity=severity, description=said
    )
