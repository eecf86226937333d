"""JSON schemas of the YAML files, for editors: `# yaml-language-server: $schema=<path to docs/schemas/...>`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from feature_repo.declared import FeatureFile
from ml_assets.config.component_files import MODEL, PACKAGE, TYPES
from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import PROJECT
from ml_assets.config.source_spec import SourceSpec
from ml_assets.config.templates import templated
from ml_assets.storage.files import write_text_atomically

OBJECTS = ("requirements", "post_processing")
"""What a component's YAML may have beside type and attributes."""
FOLDER = PROJECT / "docs" / "schemas"


def schemas() -> dict[str, dict[str, Any]]:
    """The schema of each kind of file, by the file it is kept in."""
    spec = ModelSpec.model_json_schema()
    definitions = spec.pop("$defs")
    model = {
        "title": "A model: a defs.yaml in any folder under ml_assets/defs/",
        "type": "object",
        "properties": {
            "type": {"enum": [f"{PACKAGE}.{MODEL}", f"{PACKAGE}.{TYPES[MODEL]}.{MODEL}"]},
            "attributes": templated(spec),
            **{key: {"type": "object", "description": "as of any component of Dagster's"} for key in OBJECTS},
            "template_vars_module": {"type": "string", "description": "as of any component of Dagster's"},
        },
        "required": ["type", "attributes"],
        "additionalProperties": False,
        "$defs": {name: templated(each) for name, each in definitions.items()},
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
