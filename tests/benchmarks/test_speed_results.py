"""What a benchmark run keeps, and what of it the README shows."""

import pytest

from benchmarks.speed import child, readme
from benchmarks.speed.result import LATEST, Result, keep, read


def test_a_row_holds_both_ratios(tmp_path):
    path = tmp_path / "latest.json"
    keep(path, [Result("offline: join", "1 M rows", ours=2.0, peer=30.0, floor=1.6, peak_mb=812.4)])
    assert read(path) == [
        {
            "name": "offline: join",
            "scale": "1 M rows",
            "ours": 2.0,
            "peer": 30.0,
            "floor": 1.6,
            "unit": "s",
            "ours_over_peer": 0.0667,
            "ours_over_floor": 1.25,
            "peak_mb": 812,
        }
    ]


def test_what_is_measured_again_replaces_its_row_and_no_other(tmp_path):
    path = tmp_path / "latest.json"
    keep(path, [Result("a", "1", ours=1.0), Result("b", "1", ours=1.0)])
    keep(path, [Result("a", "1", ours=2.0), Result("a", "2", ours=3.0)])
    kept = [(row["name"], row["scale"], row["ours"]) for row in read(path)]
    assert kept == [("a", "1", 2.0), ("b", "1", 1.0), ("a", "2", 3.0)]


def test_a_contestant_runs_in_a_process_of_its_own():
    ran = child.run("tests.benchmarks.contestants:allocate", mebibytes=300)
    assert ran.seconds == 0.5
    assert 300 < ran.peak_mb < 600
    assert child.run("tests.benchmarks.contestants:allocate", mebibytes=1).peak_mb < 200


def test_a_contestant_that_fails_says_why():
    with pytest.raises(child.ChildFailedError, match="no such thing"):
        child.run("tests.benchmarks.contestants:fail")


def test_contestants_take_turns_and_the_median_counts(tmp_path):
    told = tmp_path / "told"
    ran = child.side_by_side(
        3,
        {
            "ours": ("tests.benchmarks.contestants:tell", {"path": str(told), "name": "ours"}),
            "peer": ("tests.benchmarks.contestants:tell", {"path": str(told), "name": "peer"}),
        },
    )
    assert told.read_text().split() == ["ours", "peer"] * 3
    assert ran["ours"].seconds == 3.0  # of 1, 3 and 5: the calls before it
    assert ran["peer"].seconds == 4.0


def test_a_pages_table_is_made_anew_and_nothing_else():
    growth = Result("growth: training", "0.1 - 10 M events", ours=0.9, unit="exponent")
    rows = [Result("offline: join", "1 M rows", ours=2.0, peer=30.0).as_dict(), growth.as_dict()]
    made = readme.rendered(f"before\n{readme.BEGIN}an older table\n{readme.END}after\n", rows)
    assert made.startswith("before\n") and made.endswith("after\n")
    assert "| offline: join | 1 M rows | 2 s | 30 s |  | 0.0667 |  |  |" in made
    assert "| growth: training | 0.1 - 10 M events | 0.9 |" in made
    assert "older" not in made
    assert readme.rendered(made, rows) == made
    assert "growth" not in readme.rendered(made, rows, ("offline: join",))


def test_what_the_readme_tells_is_measured():
    measured = {row["name"] for row in read(LATEST)}
    assert set(readme.MAIN) <= measured
    for page in readme.PAGES:
        assert page.read_text().count(readme.BEGIN) == page.read_text().count(readme.END) == 1
