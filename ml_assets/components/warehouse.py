"""The dbt project as assets: daily partitions, any range of days in one run, dbt tests as asset checks."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from ml_assets.components.days import shop_days
from ml_assets.settings import PROJECT, load_settings


class DbtWarehouse(dg.Component, dg.Model, dg.Resolvable):
    """Every model of a dbt project as a daily-partitioned asset, in one step that owns the warehouse file."""

    project: str = "dbt_project"
    sources: str = "shop"
    """Asset key prefix of the raw tables that dbt's sources stand for."""

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Read the manifest (parsing the project first when it changed) and wire the models."""
        from dagster_dbt import DagsterDbtTranslator, DbtCliResource, DbtProject, dbt_assets

        settings = load_settings()
        project_dir = PROJECT / self.project
        target = settings.shop_home / "dbt"
        project = DbtProject(project_dir, target_path=target)
        if not manifest_is_current(project_dir, project.manifest_path):
            project.preparer.prepare(project)
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
        def warehouse(context: dg.AssetExecutionContext, dbt: DbtCliResource) -> Iterator[Any]:
            days = context.partition_key_range
            variables = f"{{start_date: '{days.start}', end_date: '{days.end}'}}"
            invocation = dbt.cli(["build", "--vars", variables], context=context, target_path=target)
            yield from invocation.stream().fetch_row_counts()
            let_go(invocation)

        return dg.Definitions(assets=[warehouse], resources={"dbt": DbtCliResource(project_dir=project)})


def let_go(invocation: Any) -> None:
    """Close the connection that counting rows opened: the next writer may live in this very process."""
    if invocation.adapter is not None:
        invocation.adapter.connections.cleanup_all()
        invocation.adapter.connections.close_all_connections()


def manifest_is_current(project_dir: Path, manifest: Path) -> bool:
    """Whether the manifest is newer than every file of the project it was made from."""
    if not manifest.exists():
        return False
    made = manifest.stat().st_mtime
    return all(path.stat().st_mtime <= made for path in project_dir.rglob("*") if path.suffix in {".sql", ".yml"})
