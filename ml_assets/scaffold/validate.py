"""What is about to be written is read once, by what will read it: a wrong file must not reach the project."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml
from pydantic import ValidationError

from feature_repo.declared import FeatureFile
from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.source_spec import parse_source
from ml_assets.scaffold.errors import ScaffoldError


def validate(files: Mapping[str, str]) -> None:
    """Parse every YAML by its schema.

    Raises:
        ScaffoldError: naming the file and what is wrong with it.
    """
    for path, text in files.items():
        try:
            content: Any = yaml.safe_load(text) if path.endswith((".yaml", ".yml")) else None
            if path.startswith("sources/"):
                parse_source(content)
            elif path.startswith("feature_repo/"):
                FeatureFile.model_validate(content)
            elif path.endswith("defs.yaml"):
                ModelSpec.model_validate(content["attributes"])
        except (ValidationError, ValueError, yaml.YAMLError) as error:
            raise ScaffoldError(f"nothing was written: {path} would not be valid: {error}") from error
