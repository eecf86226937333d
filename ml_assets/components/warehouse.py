"""The dbt project as assets: daily partitions, any range of days in one run, dbt tests as asset checks."""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from ml_assets.components.days import shop_days
from ml_assets.settings import PROJECT, Settings, load_settings


class DbtWarehouse(dg.Component, dg.Model, dg.Resolvable):
    """Every model of a dbt project as a daily-partitioned asset, in one step that owns the warehouse file."""

    project: str = "dbt_project"
    sources: str = "shop"
    """Asset key prefix of the raw tables that dbt's sources stand for."""

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Read the manifest (parsing the project first when it changed) and wire the models."""
        from dagster_dbt import DagsterDbtTranslator, DbtProject, dbt_assets

        from ml_assets.components.dbt_build import build, counted, prepare

        settings = load_settings()
        project = DbtProject(PROJECT / self.project, target_path=settings.shop_home / "dbt")
        prepare(project, settings)
        prefix = self.sources

        class Translator(DagsterDbtTranslator):
            def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
                name = dbt_resource_props["name"]
                return dg.AssetKey([prefix, name] if dbt_resource_props["resource_type"] == "source" else [name])

        @dbt_assets(
            manifest=project.manifest_path,
            name="warehouse",
            project=project,
            dagster_dbt_translator=Translator(),
            partitions_def=shop_days(settings),
            backfill_policy=dg.BackfillPolicy.single_run(),
            pool="warehouse",
        )
        def warehouse(context: dg.AssetExecutionContext) -> Iterator[Any]:
            days = context.partition_key_range
            variables = {"start_date": days.start, "end_date": days.end}
            built = build(context, project, variables, "unit_test")  # those are the test suite's
            yield from counted(built.stream(), table_rows(settings))

        return dg.Definitions(assets=[warehouse])


def table_rows(settings: Settings) -> dict[str, int]:
    """Rows of each table of the warehouse, by name; none when there is no warehouse."""
    from ml_assets.warehouse import connect

    if not settings.warehouse.exists():
        return {}  # dbt failed before it wrote anything: its own words say why
    with connect(settings) as connection:
        names = connection.execute("select table_name from duckdb_tables() where not temporary").fetchall()
        counts = [connection.execute(f'select count(*) from "{name}"').fetchall() for (name,) in names]
    return {name: rows for (name,), [(rows,)] in zip(names, counts, strict=True)}
