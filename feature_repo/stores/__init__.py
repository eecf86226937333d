"""Feast plugins: a DuckDB source and a point-in-time offline store that stand alone; online stores of packed rows."""
