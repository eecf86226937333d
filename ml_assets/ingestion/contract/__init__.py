"""The contract of a table as SQL: types, bounds, duplicates, references, and rows that were erased."""
