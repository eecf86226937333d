"""Feast plugins that stand alone: a DuckDB source, a point-in-time offline store, a wide online store."""
