"""Whether what the dbt models have of each day was made of the raw days as the lake has them now."""

from collections.abc import Iterator

import dagster as dg

from ml_assets.config.settings import SHOP, Settings, load_settings
from ml_assets.config.sources import source_of

UP_TO_DATE = "up_to_date"


def up_to_date(source: str, raw: str, models: dg.AssetsDefinition) -> dg.AssetChecksDefinition:
    """The check `up_to_date` of a source's raw tables and dbt models, in one step after all of them.

    Args:
        source: the shop, or one beside it.
        raw: first part of the keys of its raw tables.
        models: its dbt models.
    """
    tables = [dg.AssetKey([raw, table]) for table in source_of(source, load_settings()).tables]
    text = "Every day was made of the raw days as they are now; else it is told which days to make again, and how."
    specs = [dg.AssetCheckSpec(UP_TO_DATE, asset=key, description=text) for key in [*tables, *sorted(models.keys)]]

    @dg.multi_asset_check(name=f"{source}_{UP_TO_DATE}", specs=specs, can_subset=True)
    def checked(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        from ml_assets.ingestion.days.gaps import ranges
        from ml_assets.ingestion.days.made import stale_days

        settings = load_settings()
        stale = stale_days(source_of(source, settings), settings)
        everywhere = sorted({day for days in stale.values() for day in days})
        fine = said = "every day was made of the raw days as they are now"
        if everywhere:
            names = ", ".join(name for name in stale if stale[name])
            said = f"not made of the raw days as they are now: {ranges(everywhere)} of {names}; "
            said += f"the sensor {_named(source, 'arrivals_sensor')} makes them again, or by hand: "
            said += f"dg launch --job {_job(source, settings)} --partition-range {everywhere[0]}...{everywhere[-1]}"
            context.log.warning(said)
        for key in sorted(context.selected_asset_check_keys):
            days = everywhere if key.asset_key in tables else stale.get(key.asset_key.path[-1], [])
            yield dg.AssetCheckResult(
                passed=not days, asset_key=key.asset_key, check_name=key.name, severity=dg.AssetCheckSeverity.WARN,
                description=said if days else fine,
                metadata={"days_to_make_again": len(days)},
            )  # fmt: skip

    return checked


def _job(source: str, settings: Settings) -> str:
    """The job that makes days again, with what serves where something does."""
    from ml_assets.config.model_spec import model_specs
    from ml_assets.registry.pointer import pointer_path

    specs = model_specs(source)
    served = specs and all(pointer_path(settings, spec.name).exists() for spec in specs)
    return _named(source, "daily" if served else "ingest")


def _named(source: str, what: str) -> str:
    return what if source == SHOP else f"{source}_{what}"
