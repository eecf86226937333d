"""What the offline store reads as Parquet."""

from pathlib import Path

import duckdb
import pytest

from feature_repo.stores.session import parquet


@pytest.mark.parametrize("name", ["e[1]", "a*", "q?", "it's"])
def test_what_is_there_by_that_name_is_no_pattern(tmp_path: Path, name: str) -> None:
    for each in (name, "e1", "ab", "qr"):
        (tmp_path / each).mkdir()
        duckdb.from_query("select $1 as said", params=[each]).write_parquet(str(tmp_path / each / f"{each}.parquet"))
    for path in (tmp_path / name, tmp_path / name / f"{name}.parquet"):
        assert duckdb.sql(f"select said from {parquet(path)}").fetchall() == [(name,)]
    assert len(duckdb.sql(f"from {parquet(tmp_path / '*' / '*.parquet')}").fetchall()) == 4
