"""Raw tables as assets: landed, checked against their contract, published day by day, bad rows set aside."""

from collections.abc import Iterator
from datetime import date
from typing import Annotated, Any

import dagster as dg

from ml_assets.components.checked import Checked, told
from ml_assets.components.days import ONE_RUN, days_of, made_on, source_days
from ml_assets.components.table_checks import table_checks
from ml_assets.components.tags import LANDS, SOURCE
from ml_assets.config.settings import SHOP, load_settings
from ml_assets.config.source_spec import SourceSpec, TableSpec
from ml_assets.config.sources import source_of, sources_beside
from ml_assets.ingestion.days.report import IngestReport

LANDING = "landing"


class EventSource(Checked, dg.Model, dg.Resolvable):
    """The raw tables of one source: a daily-partitioned asset and its quarantine each.

    The source is the shop named by `ML_ASSETS_SHOP`, or one of `sources/`. The tables, their addresses and their
    contract are in `shops/<name>.yaml` or `sources/<name>.yaml`. A table with a `source:` also gets the
    asset that lands what the source has; a shop with a `simulation:` section the one that plays the outside world
    and drops the files.
    """

    prefix: Annotated[str, told("first part of the asset keys")] = "shop"
    group: Annotated[str, told("column of the lineage graph")] = "raw"
    owner: Annotated[str, told("whom to ask")] = "team:data"
    source: Annotated[str, told("`shop`, or the name of a file of `sources/`")] = SHOP

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """One asset, one quarantine and five checks per table of the source."""
        source = source_of(self.source, load_settings())
        built: list[Any] = [] if source.simulation is None else [self._landing(source)]
        checks: list[dg.AssetChecksDefinition] = []
        for table in source.tables.values():
            if table.source is not None:
                built.append(self._landed(source, table))
            built.append(self._table(source, table))
            checks.extend(table_checks(source, table, self._key(table.name), self._days()))
        return dg.Definitions(assets=built, asset_checks=checks)

    def _days(self) -> dg.DailyPartitionsDefinition:
        return source_days(load_settings(), self.source)

    def _key(self, name: str) -> dg.AssetKey:
        return dg.AssetKey([self.prefix, name])

    def _landing(self, source: SourceSpec) -> dg.AssetsDefinition:
        @dg.asset(
            key=self._key(LANDING), group_name=self.group, owners=[self.owner], kinds={"parquet"},
            tags={SOURCE: self.source}, partitions_def=self._days(), backfill_policy=ONE_RUN,
        )  # fmt: skip
        def landing(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
            """The simulated outside world: what the shop's systems export at the end of each day."""
            from ml_assets.simulation.landing import write_days
            from ml_assets.simulation.spec import read_simulation

            def tell(day: date, done: int, of: int) -> None:
                if done % 60 == 0 or done == of:
                    context.log.info(f"simulated up to {day} ({done} of {of} days)")

            start, end = days_of(context)
            simulation = read_simulation(source.simulation or {})
            written = write_days(simulation, load_settings().landing, start, end, tell)
            return dg.MaterializeResult(metadata={"files_written": len(written)})

        return landing

    def _landed(self, source: SourceSpec, table: TableSpec) -> dg.AssetsDefinition:
        taken = table.source
        assert taken is not None  # noqa: S101  # asked by the caller

        @dg.asset(
            key=self._key(f"{table.name}_{LANDING}"), group_name=self.group, owners=[self.owner],
            tags={SOURCE: self.source, LANDS: self.source}, kinds={taken.kind, "parquet"}, pool=f"landing_{table.name}",
            backfill_policy=ONE_RUN,
            description=f"What {taken.named} has, as immutable raw files by day: each row, message or object once.",
        )  # fmt: skip
        def landed(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
            from ml_assets.ingestion.connectors.land import land

            found = land(source, table.name, load_settings(), progress=context.log.info)
            days = [day.isoformat() for day in found.days]
            return dg.MaterializeResult(
                metadata={
                    "pieces": found.pieces,
                    "files": found.files,
                    "rows": found.rows,
                    "first_day": days[0] if days else "none",
                    "last_day": days[-1] if days else "none",
                    "complete_to": str(found.complete_to or "each day whose files are there"),
                    "notes": dg.MetadataValue.json(list(found.notes[-20:])),
                }
            )

        return landed

    def _table(self, source: SourceSpec, table: TableSpec) -> dg.AssetsDefinition:
        upstream = [self._key(name) for name in table.upstream]
        if table.source is not None:
            upstream.append(self._key(f"{table.name}_{LANDING}"))
        if source.simulation is not None:
            upstream.append(self._key(LANDING))
        shared: dict[str, Any] = {
            "group_name": self.group, "owners": [self.owner], "kinds": {"parquet", "duckdb"},
            "tags": {SOURCE: self.source},
        }  # fmt: skip
        good = dg.AssetSpec(self._key(table.name), deps=upstream, description=table.description, **shared)
        bad = dg.AssetSpec(
            self._key(f"{table.name}_quarantine"), deps=upstream, **shared,
            description=f"Rows of {table.name} that break its contract: reason, source file, line and the raw row.",
        )  # fmt: skip

        @dg.multi_asset(
            name=f"{self.prefix}_{table.name}", specs=[good, bad], partitions_def=self._days(), can_subset=True,
            backfill_policy=ONE_RUN, pool=f"lake_{table.name}",
        )  # fmt: skip
        def ingested(context: dg.AssetExecutionContext) -> Iterator[dg.Output[None]]:
            from ml_assets.ingestion.days.ledger import read_report
            from ml_assets.ingestion.ingest import ingest

            (start, end), asked, settings = days_of(context), context.selected_asset_keys, load_settings()
            if good.key in asked:
                report = ingest(source, table.name, settings, start, end, progress=context.log.info)
            else:  # rows are set aside when a day is published: of those that are, and publishing none
                report = read_report(settings.lake, table.name, start, end)
            for spec, said in zip((good, bad), _figures(report, start, end), strict=True):
                if spec.key in asked:
                    output = dg.Output(None, output_name=spec.key.to_python_identifier(), metadata=said)
                    yield made_on(context, output, [day.day for day in report.days])

        return ingested


def _figures(report: IngestReport, start: date, end: date) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is said of a table, and of its quarantine."""
    counts: dict[str, Any] = {
        "rows_in": report.rows_in,
        "rows_left_out_by_derive": report.rows_left_out,
        "first_day": start.isoformat(),
        "last_day": end.isoformat(),
    }
    if report.notes:
        counts["notes"] = "; ".join(report.notes)
    if report.refused:
        counts["not_published"] = dg.MetadataValue.json({str(each.day): each.text for each in report.refused})
    reasons: dict[str, Any] = {
        "reasons": dg.MetadataValue.json(report.reasons),
        "first_of_each": dg.MetadataValue.json(dict(report.places)),
        "share": report.quarantine_share,
    }
    good, bad = report.rows_good, report.rows_quarantined
    return {**counts, "dagster/row_count": good}, {**counts, "dagster/row_count": bad, **reasons}


class EventSources(Checked, dg.Model, dg.Resolvable):
    """Every source beside the shop: a file in `sources/` is enough, and its name is its prefix and its group."""

    owner: Annotated[str, told("whom to ask")] = "team:data"

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """What `EventSource` builds, for each of them."""
        parts = [EventSource(prefix=name, group=name, owner=self.owner, source=name) for name in sources_beside()]
        return dg.Definitions.merge(*(part.build_defs(context) for part in parts))
