"""Sources beside files: what a database, an object store or a topic has is landed as immutable raw files.

Landing comes before ingestion and decides nothing about rows: whatever arrived is kept as it was, exactly once, in
`{landing}/<table>/<day>/`, and ingestion reads it there like any delivered file.
"""
