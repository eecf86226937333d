"""dbt inside the step that needs it: no process of its own, and nothing parsed twice.

dagster-dbt starts `dbt --version` and then `dbt build`, and since every run names other days (`--vars`), dbt parses the
project anew each time: ten seconds before the first row. Here the fork server has imported dbt, the project was parsed
when the definitions were loaded, and dbt's own entry point for programs runs in the step. Assets and checks still come
from dagster-dbt, which reads the same events that the process would have printed.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DbtCliInvocation, DbtProject
from packaging.version import Version

from ml_assets.config.settings import Settings
from ml_assets.storage.file_lock import file_lock
from ml_assets.storage.files import write_text_atomically

QUIET = ("--log-level", "none", "--log-level-file", "info")
"""dbt's own words go to `dbt.log` as they are said; dagster-dbt prints them when the step has its events."""
PARSED, STAMP = "partial_parse.msgpack", "parsed.sha256"


@dataclass
class Finished:
    """What dagster-dbt asks of the process it did not start: its command, its lines, its exit status."""

    args: list[str]
    stdout: io.BytesIO
    returncode: int

    def wait(self, timeout: float | None = None) -> int:
        """The exit status."""
        return self.returncode


def prepare(project: DbtProject, settings: Settings) -> None:
    """Parse the project unless it was parsed as it is now, for this lake, by this dbt.

    Raises:
        RuntimeError: when dbt cannot parse it; the message is dbt's.
    """
    target = _target(project)
    stamp, wanted = target / STAMP, _stamp(Path(project.project_dir), settings)
    with file_lock(target / ".parsing"):
        if stamp.exists() and stamp.read_text() == wanted and project.manifest_path.exists():
            return
        from dbt.cli.main import dbtRunner

        (target / PARSED).unlink(missing_ok=True)  # the stamp decides what is current, not dbt's own comparison
        done = dbtRunner().invoke(["parse", "--quiet", *_places(project)])
        if not done.success:
            raise RuntimeError(f"{project.project_dir}: dbt cannot parse the project: {done.exception}")
        write_text_atomically(stamp, wanted)


def build(
    context: dg.AssetExecutionContext, project: DbtProject, variables: Mapping[str, Any], *excluded: str
) -> DbtCliInvocation:
    """Run `dbt build` for the assets and checks of this step; the warehouse file is free again when it returns.

    Args:
        context: the step of the `@dbt_assets` function.
        project: what `prepare` parsed.
        variables: dbt's `--vars`.
        excluded: resource types to leave out.

    Returns:
        The finished command. Its `stream()` yields outputs and check results, and raises at its end when dbt failed.
    """
    from dagster_dbt.asset_utils import get_updated_cli_invocation_params_for_context
    from dbt.cli.main import dbtRunner
    from dbt_common.events.functions import msg_to_json

    selected = get_updated_cli_invocation_params_for_context(context, {}, DagsterDbtTranslator())
    arguments = ["build", "--vars", json.dumps(dict(variables)), *selected.selection_args, *_places(project)]
    if selected.indirect_selection:
        arguments += ["--indirect-selection", selected.indirect_selection]
    for kind in excluded:
        arguments += ["--exclude-resource-type", kind]
    lines: list[str] = []

    def keep(event: Any) -> None:
        if event.info.level not in {"debug", "test"}:
            lines.append(msg_to_json(event))

    try:
        done = dbtRunner(_manifest(project), callbacks=[keep]).invoke([*QUIET, *arguments])
    finally:
        _release()
    if done.exception is not None and not isinstance(done.exception, Exception):
        raise done.exception  # the run was told to end
    said = io.BytesIO("\n".join(lines).encode())
    return DbtCliInvocation(
        process=cast("Any", Finished(["dbt", *arguments], said, int(not done.success))),
        manifest=selected.manifest,
        dagster_dbt_translator=selected.dagster_dbt_translator,
        project=project,
        project_dir=Path(project.project_dir),
        target_path=_target(project),
        raise_on_error=True,
        cli_version=Version(version("dbt-core")),
        context=context,
    )


def counted(events: Iterator[Any], rows: Mapping[str, int]) -> Iterator[Any]:
    """The events, outputs among them with the rows of their table (views have none)."""
    for event in events:
        name = str(event.metadata["unique_id"].value).rsplit(".", 1)[-1] if isinstance(event, dg.Output) else ""
        yield event.with_metadata({**event.metadata, "dagster/row_count": rows[name]}) if name in rows else event


def _release() -> None:
    """Close dbt's connection to the warehouse, which outlives the command."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]


def _manifest(project: DbtProject) -> Any:
    """The parsed project; read for each run, since a run writes its compiled SQL into it."""
    from dbt.contracts.graph.manifest import Manifest
    from dbt.parser.manifest import extended_mashumuro_decoder

    with file_lock(_target(project) / ".parsing"):
        parsed = (_target(project) / PARSED).read_bytes()
    manifest = Manifest.from_msgpack(parsed, decoder=extended_mashumuro_decoder)
    manifest.build_flat_graph()  # type: ignore[no-untyped-call]
    return manifest


def _stamp(folder: Path, settings: Settings) -> str:
    """Hex SHA-256 over the project's files and what else parsing reads: dbt's version, the address of the lake."""
    digest = hashlib.sha256(f"{version('dbt-core')} {version('dbt-duckdb')} {settings.lake}".encode())
    for path in sorted(path for path in folder.rglob("*") if path.suffix in {".sql", ".yml"}):
        digest.update(f"\0{path.relative_to(folder)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _target(project: DbtProject) -> Path:
    return Path(project.project_dir) / project.target_path


def _places(project: DbtProject) -> list[str]:
    folder, target = str(project.project_dir), str(_target(project))
    return ["--project-dir", folder, "--profiles-dir", folder, "--target-path", target, "--log-path", target]
