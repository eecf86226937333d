"""Attributes of a component's YAML are checked here: Dagster's own checks do not name the nearest key there is."""

from pathlib import Path
from typing import Self

import dagster as dg
from pydantic import BaseModel, ConfigDict

from ml_assets.config.yaml_file import ConfigError, validated


class Attributes(BaseModel):
    """What a YAML says, unchecked: `dg check` looks at its JSON schema before the definitions are loaded."""

    model_config = ConfigDict(extra="allow")


class Checked(dg.Component):
    """A component whose attributes are refused with file, line, key and the nearest key."""

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """Attributes of any name."""
        return Attributes

    @classmethod
    def attributes(cls) -> type[BaseModel]:
        """What the attributes may be."""
        model = super().get_model_cls()
        assert model is not None  # noqa: S101  # every component has one
        return model

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """Check the attributes.

        Raises:
            ConfigError: a line for each wrong key or value.
        """
        said = (attributes.model_extra if attributes else None) or {}
        return cls.made(validated(cls.attributes(), said, [_file(context.path)], ("attributes",)), context)

    @classmethod
    def made(cls, attributes: BaseModel, context: dg.ComponentLoadContext) -> Self:
        """The component with these attributes."""
        return super().load(attributes, context)


def config_error_in(error: BaseException) -> ConfigError | None:
    """What somebody has configured wrongly, if an error of Dagster's comes from that."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ConfigError):
        cause = cause.__cause__
    return cause


def _file(path: Path) -> Path:
    return path if path.is_file() else path / "defs.yaml"
