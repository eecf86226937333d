"""A small training set, MLflow, and a version trained on it."""

from trained_fixtures import dataset, settings, spec, version

__all__ = ["dataset", "settings", "spec", "version"]
