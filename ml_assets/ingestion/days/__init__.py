"""The days of a table: which there are, what each was made of, which can be ingested, which were refused."""
