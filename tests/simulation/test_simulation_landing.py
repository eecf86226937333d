"""The drop folder: same bytes, whole files, nothing written twice."""

from __future__ import annotations

from datetime import timedelta

import pyarrow.parquet as pq
import pytest

from ml_assets.simulation import write_days
from ml_assets.simulation.__main__ import main
from ml_assets.storage.files import sha256_file


def _hashes(landing):
    return {str(p.relative_to(landing)): sha256_file(p) for p in sorted(landing.rglob("*")) if p.is_file()}


def _day(spec, number):
    return spec.start + timedelta(days=number)


def test_two_runs_write_the_same_bytes(spec, tmp_path):
    for landing in (tmp_path / "a", tmp_path / "b"):
        write_days(spec, landing, _day(spec, 0), _day(spec, 5))
    assert len(_hashes(tmp_path / "a")) == 12
    assert _hashes(tmp_path / "a") == _hashes(tmp_path / "b")


def test_a_range_in_pieces_is_the_range_at_once(spec, tmp_path):
    write_days(spec, tmp_path / "once", _day(spec, 0), _day(spec, 6))
    for first, last in ((5, 6), (0, 1), (2, 4)):
        write_days(spec, tmp_path / "pieces", _day(spec, first), _day(spec, last))
    assert _hashes(tmp_path / "once") == _hashes(tmp_path / "pieces")


def test_existing_files_are_left_alone_and_lost_ones_come_back(spec, tmp_path):
    first = write_days(spec, tmp_path, _day(spec, 0), _day(spec, 2))
    before = _hashes(tmp_path)
    assert write_days(spec, tmp_path, _day(spec, 0), _day(spec, 2)) == []
    first[3].unlink()
    assert write_days(spec, tmp_path, _day(spec, 0), _day(spec, 2)) == [first[3]]
    assert _hashes(tmp_path) == before


def test_files_hold_what_the_shop_says(spec, history, tmp_path):
    events, products = write_days(spec, tmp_path, _day(spec, 3), _day(spec, 3))
    assert events == tmp_path / "events" / "2026-01-04.parquet"
    assert pq.read_table(events).equals(history[3].events)
    assert pq.read_table(products).equals(history[3].products)


def test_progress_is_told_day_by_day(spec, tmp_path):
    told = []
    write_days(spec, tmp_path, _day(spec, 0), _day(spec, 2), lambda *step: told.append(step))
    assert told == [(_day(spec, n), n + 1, 3) for n in range(3)]


def test_a_range_must_be_in_order_and_after_the_start(spec, tmp_path):
    with pytest.raises(ValueError, match="lies before start"):
        write_days(spec, tmp_path, _day(spec, 2), _day(spec, 1))
    with pytest.raises(ValueError, match="first day"):
        write_days(spec, tmp_path, _day(spec, -1), _day(spec, 1))


def test_the_command_line_writes_the_days(tmp_path, capsys):
    main(["--landing", str(tmp_path), "--days", "2", "--scale", "0.02", "--scenario", "price_shock@2026-01-02"])
    assert len(_hashes(tmp_path)) == 4
    assert "4 files written" in capsys.readouterr().out


def test_the_command_line_explains_a_bad_scenario(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["--landing", str(tmp_path), "--scenario", "price_shock"])
    assert "NAME@YYYY-MM-DD" in capsys.readouterr().err
