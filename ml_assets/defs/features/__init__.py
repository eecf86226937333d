"""The feature store as assets."""
