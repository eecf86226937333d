"""From one file to a model of one's own: look at it, decide, write source, dbt models, features and model as files."""

from ml_assets.scaffold.errors import ScaffoldError

__all__ = ["ScaffoldError"]
