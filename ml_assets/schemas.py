"""JSON schemas of the YAML files, for editors: `# yaml-language-server: $schema=<path to docs/schemas/...>`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from feature_repo.declared import FeatureFile
from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import PROJECT
from ml_assets.config.source_spec import SourceSpec
from ml_assets.storage.files import write_text_atomically

FOLDER = PROJECT / "docs" / "schemas"


def schemas() -> dict[str, dict[str, Any]]:
    """The schema of each kind of file, by the file it is kept in."""
    spec = ModelSpec.model_json_schema()
    definitions = spec.pop("$defs")
    model = {
        "title": "A model: ml_assets/defs/models/<name>/defs.yaml",
        "type": "object",
        "properties": {"type": {"const": "ml_assets.components.TrainedModel"}, "attributes": spec},
        "required": ["type", "attributes"],
        "additionalProperties": False,
        "$defs": definitions,
    }
    source = SourceSpec.model_json_schema(by_alias=True)
    source["properties"]["extends"] = {"type": "string", "description": "a file whose content this one is laid upon"}
    for name in ("TableSpec", "ColumnSpec"):
        table = source["$defs"][name]
        table.pop("required", None)  # a name is the key's, the rest may come from the file that is extended
    source["$defs"]["TableSpec"]["properties"]["columns"]["additionalProperties"] = {
        "anyOf": [{"$ref": "#/$defs/ColumnSpec"}, {"type": "string", "description": "its `from`"}]
    }
    return {
        "model.json": model,
        "source.json": {**source, "title": "A source: sources/<name>.yaml, shops/<name>.yaml"},
        "features.json": {**FeatureFile.model_json_schema(), "title": "Features: feature_repo/features/<source>.yaml"},
    }


def write_schemas(folder: Path = FOLDER) -> list[Path]:
    """Write the schemas; returns the files."""
    written = []
    for name, schema in schemas().items():
        write_text_atomically(folder / name, json.dumps(schema, indent=1, ensure_ascii=False) + "\n")
        written.append(folder / name)
    return written
