"""Raw files as tables of text: CSV, JSON lines, messages, Parquet."""
