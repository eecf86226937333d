"""`dg scaffold defs ml_assets.components.TrainedModel <path>`: a model's YAML that says which keys to fill in."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from dagster.components.scaffold.scaffold import Scaffolder, ScaffoldRequest
from pydantic import BaseModel, Field

from ml_assets.config.component_files import PACKAGE
from ml_assets.config.model_spec import ModelSpec, Task
from ml_assets.config.settings import PROJECT, SHOP

SCHEMA = Path("docs") / "schemas" / "model.json"


class ModelParams(BaseModel):
    """What can be said while a model is scaffolded; what is not is to be filled in."""

    name: str | None = Field(default=None, description="the model's name; the folder's if it is not given")
    description: str | None = Field(default=None, description=ModelSpec.model_fields["description"].description)
    task: Task = Field(default=Task.BINARY, description=ModelSpec.model_fields["task"].description)
    source: str = Field(default=SHOP, description=ModelSpec.model_fields["source"].description)
    spine: str | None = Field(default=None, description=ModelSpec.model_fields["spine"].description)
    feature_service: str | None = Field(default=None, description=ModelSpec.model_fields["feature_service"].description)


class ModelScaffolder(Scaffolder[ModelParams]):
    """Writes the YAML of a model, with a port that no other model has."""

    @classmethod
    def get_scaffold_params(cls) -> type[ModelParams]:
        """What `dg scaffold defs` takes as options."""
        return ModelParams

    def scaffold(self, request: ScaffoldRequest[ModelParams]) -> None:
        """Write `defs.yaml`, or append a document to a file that is there.

        Raises:
            DagsterInvalidInvocationError: when it shall be Python: what reads models reads YAML.
            ScaffoldError: when the models that are there cannot be read, or no port is left.
        """
        if request.scaffold_format != "yaml":
            raise dg.DagsterInvalidInvocationError("a model is a YAML file: leave `--format python` out")
        file = request.target_path if request.append else request.target_path / "defs.yaml"
        project, params = request.project_root or PROJECT, request.params
        name = params.name or re.sub(r"[^a-z0-9_]+", "_", file.parent.name.lower()).lstrip("_0123456789") or "model"
        text = model_yaml(name, params, project)
        if request.append:
            text = f"{file.read_text().rstrip()}\n---\n{text}"
        else:
            text = f"# yaml-language-server: $schema={os.path.relpath(project / SCHEMA, file.parent)}\n{text}"
        file.write_text(text)


def model_yaml(name: str, params: ModelParams, project: Path) -> str:
    """A model's document: each key that a model needs, with what it means; an empty one is to be filled in."""
    from ml_assets.scaffold.write import next_port_offset

    horizon = ModelSpec.model_fields["horizon_days"].default
    said: Mapping[str, Any] = {**params.model_dump(mode="json"), "name": name, "horizon_days": horizon}
    wanted = ["name", "description", "task", "spine", "feature_service"]
    if params.task is not Task.RANKING:
        wanted += ["source", "entity", "time", "label", "horizon_days"]
    lines = [f"type: {PACKAGE}.TrainedModel", "attributes:"]
    for key in wanted:
        value, meaning = said.get(key), ModelSpec.model_fields[key].description
        written = f" {json.dumps(value, ensure_ascii=False)} #" if value else " # FILL IN:"
        lines.append(f"  {key}:{written} {meaning}")
    offset = next_port_offset(project, name)
    lines += ["  serving:", f"    port_offset: {offset} # each model has a port of its own"]
    lines.append("  # every other key has a default: docs/reference/model.md")
    return "\n".join(lines) + "\n"
