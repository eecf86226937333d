"""The dbt project as assets: daily partitions, any range of days in one run, dbt tests as asset checks."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import dagster as dg

from ml_assets.components.checked import Checked, told
from ml_assets.components.days import ONE_RUN, days_of, made_on, source_days
from ml_assets.components.stale_checks import up_to_date
from ml_assets.components.tags import SOURCE
from ml_assets.config.settings import PROJECT, SHOP, Settings, load_settings
from ml_assets.config.sources import source_of, sources_beside
from ml_assets.execution.runs import REBUILD
from ml_assets.ingestion.days.made import buildable, every_day, made_of, note
from ml_assets.ingestion.publish import finish_swaps

LAKE = "lake"
"""The dbt source that stands for the shop's raw tables; another source is called as it is."""


class DbtWarehouse(Checked, dg.Model, dg.Resolvable):
    """Every model of a dbt project as a daily-partitioned asset, in a step that owns the warehouse file.

    The models of a source beside the shop lie in `models/<source>/`; they have its calendar and are its group.
    """

    project: Annotated[str, told("folder of the dbt project")] = "dbt_project"
    sources: Annotated[str, told("asset key prefix of the raw tables that dbt's source `lake` stands for")] = SHOP
    owner: Annotated[str, told("whom to ask about a model that names nobody")] = "team:data"

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Read the manifest (parsing the project first when it changed) and wire the models."""
        from dagster_dbt import DbtProject

        from ml_assets.execution.dbt_build import prepare

        settings = load_settings()
        project = DbtProject(PROJECT / self.project, target_path=settings.shop_home / "dbt")
        prepare(project, settings)
        beside = [name for name in sources_beside() if (Path(project.project_dir) / "models" / name).is_dir()]
        models = {name: self._models(project, settings, name, beside) for name in (SHOP, *beside)}
        checks = [up_to_date(name, self.sources if name == SHOP else name, each) for name, each in models.items()]
        return dg.Definitions(assets=list(models.values()), asset_checks=checks)

    def _models(self, project: Any, settings: Settings, source: str, beside: list[str]) -> dg.AssetsDefinition:
        """The models of one source; the shop's are those that are no other's."""
        from dagster_dbt import DagsterDbtTranslator, dbt_assets

        from ml_assets.execution.dbt_build import build, counted

        prefix, owner = self.sources, self.owner

        class Translator(DagsterDbtTranslator):
            def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
                name = dbt_resource_props["name"]
                if dbt_resource_props["resource_type"] != "source":
                    return dg.AssetKey([name])
                owner = dbt_resource_props["source_name"]
                return dg.AssetKey([prefix if owner == LAKE else owner, name])

            def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
                return super().get_group_name(dbt_resource_props) if source == SHOP else source

            def get_tags(self, dbt_resource_props: Mapping[str, Any]) -> Mapping[str, str]:
                return {**super().get_tags(dbt_resource_props), SOURCE: source}

            def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> Sequence[str] | None:
                return super().get_owners(dbt_resource_props) or [owner]

        folders = " ".join(f"fqn:{project.name}.{name}.*" for name in beside)

        @dbt_assets(
            manifest=project.manifest_path,
            name="warehouse" if source == SHOP else f"{source}_warehouse",
            project=project,
            dagster_dbt_translator=Translator(),
            partitions_def=source_days(settings, source),
            backfill_policy=ONE_RUN,
            pool="warehouse",
            select="fqn:*" if source == SHOP else f"fqn:{project.name}.{source}.*",
            exclude=(folders or None) if source == SHOP else None,
        )
        def warehouse(context: dg.AssetExecutionContext) -> Iterator[Any]:
            finish_swaps(settings.lake)  # dbt reads whole days only
            raw, models = source_of(source, settings), [key.path[-1] for key in context.selected_asset_keys]
            anew = REBUILD in context.run.tags
            first, last = every_day(raw, settings) if anew else days_of(context)
            of, days = made_of(raw, settings), buildable(raw, settings, first, last)
            variables = {
                "rebuild": anew,
                "start_date": str(days.all[0]),
                "end_date": str(days.all[-1]),
                "gaps": days.gaps,
            }
            note(raw, settings, models, days.all, {})
            built = build(context, project, variables, "unit_test")  # those are the test suite's
            for event in counted(built.stream(), table_rows(settings)):
                yield made_on(context, event, days.there) if isinstance(event, dg.Output) else event
            note(raw, settings, models, days.all, of)

        return warehouse


def table_rows(settings: Settings) -> dict[str, int]:
    """Rows of each table of the warehouse, by name; none when there is no warehouse."""
    from ml_assets.storage.warehouse import connect

    if not settings.warehouse.exists():
        return {}  # dbt failed before it wrote anything: its own words say why
    with connect(settings) as connection:
        names = connection.execute("select table_name from duckdb_tables() where not temporary").fetchall()
        counts = [connection.execute(f'select count(*) from "{name}"').fetchall() for (name,) in names]
    return {name: rows for (name,), [(rows,)] in zip(names, counts, strict=True)}
