"""Files, locks, journals, DuckDB connections, and where the prediction log lies."""
