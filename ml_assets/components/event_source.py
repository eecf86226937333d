"""Raw tables as assets: landed, checked against their contract, published day by day, bad rows set aside."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import dagster as dg

from ml_assets.components.days import source_days
from ml_assets.ingestion.beside import source_of, sources_beside
from ml_assets.ingestion.spec import SourceSpec, TableSpec
from ml_assets.settings import SHOP, load_settings

LANDING = "landing"
LANDS = "ml_assets/lands"
"""Tag of the assets that bring rows of a source in, with the source's name; its landing job takes all that have it."""


class EventSource(dg.Component, dg.Model, dg.Resolvable):
    """The raw tables of one source: a daily-partitioned asset and its quarantine each.

    The source is the shop named by `ML_ASSETS_SHOP`, or one of `sources/`. The tables, their addresses and their
    contract are in `shops/<name>.yaml` or `sources/<name>.yaml`. A table with a `source:` also gets the
    asset that lands what the source has; a shop with a `simulation:` section the one that plays the outside world
    and drops the files.
    """

    prefix: str = "shop"
    """First part of the asset keys."""
    group: str = "raw"
    """Column of the lineage graph."""
    owner: str = "team:data"
    """Whom to ask."""
    source: str = SHOP
    """`shop`, or the name of a file of `sources/`."""

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """One asset, one quarantine and three checks per table of the source."""
        source = source_of(self.source, load_settings())
        built: list[Any] = [] if source.simulation is None else [self._landing(source)]
        checks: list[dg.AssetChecksDefinition] = []
        for table in source.tables.values():
            if table.source is not None:
                built.append(self._landed(source, table))
            built.append(self._table(source, table))
            checks.extend([*self._checks(table), self._usual(source, table)])
        return dg.Definitions(assets=built, asset_checks=checks)

    def _days(self) -> dg.DailyPartitionsDefinition:
        return source_days(load_settings(), self.source)

    def _key(self, name: str) -> dg.AssetKey:
        return dg.AssetKey([self.prefix, name])

    def _landing(self, source: SourceSpec) -> dg.AssetsDefinition:
        @dg.asset(
            key=self._key(LANDING), group_name=self.group, owners=[self.owner], kinds={"parquet"},
            partitions_def=self._days(), backfill_policy=dg.BackfillPolicy.single_run(),
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
            tags={LANDS: self.source}, kinds={taken.kind, "parquet"}, pool=f"landing_{table.name}",
            description=f"What {taken.named} has, as immutable raw files by day: each row, message or object once.",
        )  # fmt: skip
        def landed(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
            from ml_assets.ingestion.sources.land import land

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
        }  # fmt: skip
        good = dg.AssetSpec(self._key(table.name), deps=upstream, description=table.description, **shared)
        bad = dg.AssetSpec(
            self._key(f"{table.name}_quarantine"), deps=upstream, **shared,
            description=f"Rows of {table.name} that break its contract: reason, source file and the raw row.",
        )  # fmt: skip

        @dg.multi_asset(
            name=f"{self.prefix}_{table.name}", specs=[good, bad], partitions_def=self._days(),
            backfill_policy=dg.BackfillPolicy.single_run(), pool=f"lake_{table.name}",
        )  # fmt: skip
        def ingested(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any]]:
            from ml_assets.ingestion.ingest import ingest

            start, end = days_of(context)
            report = ingest(source, table.name, load_settings(), start, end, progress=context.log.info)
            counts: dict[str, Any] = {
                "rows_in": report.rows_in,
                "first_day": start.isoformat(),
                "last_day": end.isoformat(),
            }
            yield dg.MaterializeResult(asset_key=good.key, metadata={**counts, "dagster/row_count": report.rows_good})
            yield dg.MaterializeResult(
                asset_key=bad.key,
                metadata={
                    **counts,
                    "dagster/row_count": report.rows_quarantined,
                    "reasons": dg.MetadataValue.json(report.reasons),
                    "share": report.quarantine_share,
                },
            )

        return ingested

    def _checks(self, table: TableSpec) -> list[dg.AssetChecksDefinition]:
        shared: dict[str, Any] = {"asset": self._key(table.name), "partitions_def": self._days()}

        @dg.asset_check(name="quarantine_within_limit", blocking=True, **shared)
        def quarantine_within_limit(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
            """No more rows than the contract tolerates were set aside, in the sum and on each day."""
            from ml_assets.ingestion.ledger import read_report
            from ml_assets.ingestion.report import decide_quarantine

            decision = decide_quarantine(read_report(load_settings().lake, table.name, *days_of(context)), table)
            return dg.AssetCheckResult(
                passed=decision.ok, description=decision.text, metadata={"share": decision.share}
            )

        @dg.asset_check(name="nothing_lost", blocking=True, **shared)
        def nothing_lost(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
            """Every row that came in is in the lake or in quarantine: counted in the files, not in the report."""
            from ml_assets.ingestion.audit import count_rows
            from ml_assets.ingestion.ledger import read_report

            start, end = days_of(context)
            lake = load_settings().lake
            report = read_report(lake, table.name, start, end)
            good, bad = count_rows(lake, table.name, start, end)
            return dg.AssetCheckResult(
                passed=report.rows_in == good + bad,
                description=f"{report.rows_in:,} in = {good:,} good + {bad:,} quarantined",
            )

        return [quarantine_within_limit, nothing_lost]

    def _usual(self, source: SourceSpec, table: TableSpec) -> dg.AssetChecksDefinition:
        @dg.asset_check(
            name="usual_traffic", asset=self._key(table.name), partitions_def=self._days()
        )  # fmt: skip
        def usual_traffic(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
            """The newest day looks like the days before it: volume, mix, empty values. Broken tracking is not drift."""
            from ml_assets.ingestion.traffic import traffic

            report = traffic(load_settings(), source, table.name, days_of(context)[1])
            return dg.AssetCheckResult(passed=report.ok, description=report.text)

        return usual_traffic


class EventSources(dg.Component, dg.Model, dg.Resolvable):
    """Every source beside the shop: a file in `sources/` is enough, and its name is its prefix and its group."""

    owner: str = "team:data"
    """Whom to ask."""

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """What `EventSource` builds, for each of them."""
        parts = [EventSource(prefix=name, group=name, owner=self.owner, source=name) for name in sources_beside()]
        return dg.Definitions.merge(*(part.build_defs(context) for part in parts))


def days_of(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> tuple[date, date]:
    """First and last day of the run's partitions, both included."""
    window = context.partition_key_range
    return date.fromisoformat(window.start), date.fromisoformat(window.end)
