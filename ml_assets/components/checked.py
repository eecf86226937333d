"""Attributes of a component's YAML are checked here: Dagster's own checks do not name the nearest key there is."""

from functools import cache
from typing import Any, Self

import dagster as dg
from pydantic import BaseModel, ConfigDict

from ml_assets.config.component_files import component_file
from ml_assets.config.templates import filled, templated
from ml_assets.config.yaml_file import ConfigError, Part, validated


def told(description: str) -> dg.Resolver:
    """What an attribute means, as `dg utils inspect-component` shows it."""
    made: dg.Resolver = dg.Resolver.default(description=description)
    return made


@cache
def unchecked(model: type[BaseModel]) -> type[BaseModel]:
    """Attributes of any name and value, whose JSON schema is that of the model.

    `dg` shows the schema, and looks for keys that lack and values that cannot be before it loads the definitions. It
    says of no key that it is unknown: whoever loads them does, with the nearest one there is.
    """

    class Attributes(BaseModel):
        model_config = ConfigDict(extra="allow")

        @classmethod
        def model_json_schema(cls, *arguments: Any, **options: Any) -> dict[str, Any]:
            shown: dict[str, Any] = _opened(templated(model.model_json_schema(*arguments, **options)))
            return shown

    return Attributes


def _opened(schema: Any) -> Any:
    """A JSON schema that lets keys pass that it does not know."""
    if isinstance(schema, list):
        return [_opened(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: _opened(each) for key, each in schema.items() if (key, each) != ("additionalProperties", False)}


class Checked(dg.Component):
    """A component whose attributes are refused with file, line, key and the nearest key."""

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """Attributes of any name."""
        return unchecked(cls.attributes())

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
        said, part = (attributes.model_extra if attributes else None) or {}, _part(context)
        said = said if issubclass(cls, dg.Resolvable) else filled(said, part, ("attributes",))  # else Dagster does
        return cls.made(validated(cls.attributes(), said, [part], ("attributes",)), context)

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


def _part(context: dg.ComponentLoadContext) -> Part:
    """Where the component is said."""
    path, number = context.component_path.file_path, context.component_path.instance_key
    return Part(component_file(path) or path, number if isinstance(number, int) else 0)
