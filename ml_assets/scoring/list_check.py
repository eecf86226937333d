"""Whether a file of rows to be ranked holds lists: each group in one place, each item once, nobody without a name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from ml_assets.ingestion.reading.readers import literal, quote


def wrong_lists(frame: Path, keys: Sequence[str]) -> str | None:
    """Why a file holds no lists: keys without a value, a group in two places, an item twice in a group; None: it does.

    Memory is bounded: what does not fit is spilled to disk.

    Args:
        frame: Parquet.
        keys: columns of the group, the ranked item last.
    """
    *group, item = keys
    groups, all_keys = ", ".join(map(quote, group)) or "1", ", ".join(map(quote, keys))
    rows = f"read_parquet({literal(frame)}, file_row_number = true)"
    with TemporaryDirectory(prefix="lists-") as spilled, duckdb.connect() as connection:
        run = connection.execute
        run(f"set threads = 1; set memory_limit = '1GB'; set temp_directory = {literal(spilled)}")
        nothing = " or ".join(f"{quote(key)} is null" for key in keys)
        [(count, first)] = run(f"select count(*), min(file_row_number) + 1 from {rows} where {nothing}").fetchall()
        if count:
            return f"{count:,} rows have no {' or no '.join(keys)}, the first is row {first:,}: leave them out"
        run(
            f"""create temp table odd as
            select {groups if group else "1 as one"}, sum(rows) as rows, min(first) as first, max(last) as last,
                max(rows) as most, arg_max({quote(item)}, rows)::varchar as item
            from (
                select {all_keys}, count(*) as rows, min(file_row_number) as first, max(file_row_number) as last
                from {rows} group by {all_keys}
            )
            group by {groups if group else "one"}
            having max(rows) > 1 or sum(rows) <> max(last) - min(first) + 1
            order by first limit 1"""
        )
        odd = run("select first + 1, last + 1, rows, most, item, * from odd").fetchall()
    if not odd:
        return None
    first, last, found_rows, most, twice, *values = odd[0]
    named = ", ".join(f"{key} {value}" for key, value in zip(group, values, strict=False)) or "the file"
    if most > 1:
        return f"{item} {twice} is there {most:,} times in the list of {named}: keep one row of it"
    where = f"rows {first:,} to {last:,} hold others as well"
    return f"the {found_rows:,} rows of {named} do not lie together ({where}): sort the file by {', '.join(group)}"
