"""Assets hand over JSON references; whoever asks too early is told which asset to materialize."""

from pathlib import Path

import dagster as dg

from ml_assets.components.references import JsonReferences


@dg.asset(key_prefix="model")
def made() -> dict[str, str]:
    return {"path": "somewhere", "version": "1"}


@dg.asset(key_prefix="model")
def used(made: dict[str, str]) -> dict[str, str]:
    return {"used": made["version"]}


def test_a_reference_travels_between_runs_as_json(tmp_path: Path) -> None:
    resources = {"io_manager": JsonReferences(folder=str(tmp_path))}
    with dg.DagsterInstance.ephemeral() as instance:
        assert dg.materialize([made], instance=instance, resources=resources).success
        result = dg.materialize([made, used], selection=[used], instance=instance, resources=resources)
        assert result.output_for_node("model__used") == {"used": "1"}
    assert (tmp_path / "model" / "made.json").read_text().startswith("{")
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_reference_that_is_not_there_names_the_asset(tmp_path: Path) -> None:
    resources = {"io_manager": JsonReferences(folder=str(tmp_path))}
    result = dg.materialize([made, used], selection=[used], resources=resources, raise_on_error=False)
    failure = result.failure_data_for_node("model__used")
    assert failure is not None and failure.error is not None
    assert "materialize model/made first" in failure.error.to_string()
