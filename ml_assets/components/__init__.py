"""YAML to assets: thin components that only wire the library to Dagster."""

from ml_assets.components.event_source import EventSource, EventSources
from ml_assets.components.trained_model import TrainedModel
from ml_assets.components.warehouse import DbtWarehouse

__all__ = ["DbtWarehouse", "EventSource", "EventSources", "TrainedModel"]
