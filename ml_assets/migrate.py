"""Take a project's YAML and its home along to today's code: `make migrate`.

Keys of models that have another name now are renamed where they stand; comments and order stay. Versions and
evaluations from before they were sealed are sealed when their content has the address they are named by. Nothing is
trained, deployed or removed, and a second call finds nothing to do.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

from ml_assets.config.component_files import MODEL, component_files
from ml_assets.config.model_spec import ModelSpec, model_specs
from ml_assets.config.renamed import RENAMED
from ml_assets.config.settings import Settings, load_settings
from ml_assets.config.yaml_file import ConfigError
from ml_assets.evaluation.evaluate import RESULT, evaluation_folder
from ml_assets.evaluation.result import AlteredResultError, is_sealed, seal_result
from ml_assets.registry.versions import SEAL, CorruptedVersionError, list_versions, seal_version
from ml_assets.storage.files import write_text_atomically


def main() -> int:
    """Migrate this project and the home of the settings; 0 when all of it is as today's code reads it."""
    try:
        told = [line for path in component_files() for line in rename_keys(path)]
        settings = load_settings()
        told += [line for spec in model_specs() for line in seal_all(settings, spec)]
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    print("\n".join(told) or "nothing to do: YAML and home are as this code reads them")
    return int(any(line.startswith("refused") for line in told))


def rename_keys(path: Path) -> list[str]:
    """Rename a model's keys where they stand; what was done, as `file:line: old -> new`."""
    text = path.read_bytes().decode()  # as it is: line ends stay
    keys = list(_former_keys(text))
    for key in reversed(keys):  # so that the places of those before stay
        at = key.start_mark.index
        text = text[:at] + text[at:].replace(key.value, RENAMED[key.value], 1)
    if keys:
        write_text_atomically(path, text)
    return [f"{path}:{key.start_mark.line + 1}: {key.value} -> {RENAMED[key.value]}" for key in keys]


def seal_all(settings: Settings, spec: ModelSpec) -> Iterator[str]:
    """Seal what a home has of a model from before there were seals; what was done, or why it was refused."""
    for path in list_versions(settings, spec.name):
        try:
            if not (path / SEAL).is_file():
                seal_version(path)
                yield f"{path}: sealed; its content has the address {path.name}"
            result = evaluation_folder(settings, spec.name, path.name) / RESULT
            if result.is_file() and not is_sealed(result):
                seal_result(result)
                yield f"{result}: sealed as it is now"
        except (CorruptedVersionError, AlteredResultError) as error:
            yield f"refused: {error}"


def _former_keys(text: str) -> Iterator[yaml.Node]:
    """The keys below `attributes` of a model that have another name now."""
    for document in yaml.compose_all(text, yaml.SafeLoader):
        said = _keys(document)
        kind, attributes = (said[name][1] if name in said else None for name in ("type", "attributes"))
        if isinstance(kind, yaml.ScalarNode) and kind.value.endswith(f".{MODEL}"):
            yield from (key for name, (key, _) in _keys(attributes).items() if name in RENAMED)


def _keys(node: yaml.Node | None) -> dict[str, tuple[yaml.Node, yaml.Node]]:
    """Keys of a mapping by their text, each with its value."""
    return {key.value: (key, value) for key, value in node.value} if isinstance(node, yaml.MappingNode) else {}


if __name__ == "__main__":
    sys.exit(main())
