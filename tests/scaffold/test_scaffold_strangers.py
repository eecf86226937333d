"""Files of strangers from the first look to the lake: nothing is lost, and what is odd is shown and set aside."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest
from cases import case
from tables import FIRST, Row, bare_project, events, scaffolded, write_csv

from ml_assets.config.settings import Settings
from ml_assets.config.source_spec import load_source
from ml_assets.ingestion.days.report import IngestReport, decide_quarantine
from ml_assets.ingestion.ingest import ingest
from ml_assets.scaffold.errors import ScaffoldError
from ml_assets.scaffold.kinds import spoiled
from ml_assets.scaffold.plan import Plan

LAST = FIRST + dt.timedelta(days=59)


@dataclass(frozen=True)
class Done:
    """What a file became: the plan, the report of ingestion, and the lake to ask."""

    plan: Plan
    report: IngestReport
    lake: Path

    @property
    def said(self) -> str:
        return "\n".join(self.plan.notes)

    def good(self, what: str) -> Any:
        [(found,)] = duckdb.sql(f"select {what} from '{self.lake}/{self.plan.source}/*/*.parquet'").fetchall()
        return found


@pytest.fixture
def taken(tmp_path: Path) -> Callable[..., Done]:
    """Scaffold a file into a bare project, and ingest all of it by the source that was written."""

    def take(file: Path, **given: Any) -> Done:
        project = bare_project(tmp_path / "project")
        plan, _ = scaffolded(project, file, **given)
        source = load_source(project / f"sources/{plan.source}.yaml")
        settings = Settings(home=tmp_path / "home", shop="simulated", threads=1, memory="512MB")
        report = ingest(source, plan.source, settings, plan.first, plan.last)
        assert decide_quarantine(report, source.table(plan.source)).ok
        return Done(plan, report, settings.lake)

    return take


def visits(tmp_path: Path, change: Callable[[int, Row], Any] | None = None, **how: Any) -> Path:
    """360 events; `change` may alter each."""
    rows = events()
    for number, row in enumerate(rows):
        if change is not None:
            change(number, row)
    return write_csv(tmp_path / "visits.csv", rows, **how)


def test_a_few_values_that_are_none_are_shown_and_set_aside(taken: Callable[..., Done], tmp_path: Path) -> None:
    odd = {10: "12 yrs", 20: "n.a.", 30: "1.5.2"}
    flags = {40: "maybe"}

    def change(number: int, row: Row) -> None:
        row["paid"] = flags.get(number, "Yes" if number % 2 else "no")
        row["age"] = odd.get(number, row["age"])

    done = taken(visits(tmp_path, change))
    assert "3 of 360 values of age are no whole number, e.g. 1.5.2, 12 yrs, n.a." in done.said
    assert "1 of 360 values of paid are no yes or no, e.g. maybe" in done.said
    assert done.report.reasons == {"type:age": 3, "type:paid": 1}
    assert (done.report.rows_in, {"age", "paid"} <= set(done.plan.request)) == (360, True)


def test_numbers_with_some_fractions_are_numbers(taken: Callable[..., Done], tmp_path: Path) -> None:
    def change(number: int, row: Row) -> None:
        row["kg"] = "2.5" if number == 7 else str(number % 9)

    assert taken(visits(tmp_path, change)).good("sum(kg)") == sum(n % 9 for n in range(360)) - 7 + 2.5


@pytest.mark.parametrize(
    ("written", "how"),
    [
        ("{},5", "a decimal comma"),
        ("1,{:03d}.50", "thousands separators"),
        ("€ {}.50", "a currency"),
        ("{} EUR", "a currency"),
        ("{} %", "a percent sign"),
    ],
)
def test_values_that_make_a_text_of_numbers_are_named(
    taken: Callable[..., Done], tmp_path: Path, written: str, how: str
) -> None:
    def change(number: int, row: Row) -> None:
        row["price"] = written.format(number % 40) if number % 3 else str(number % 40)

    done = taken(visits(tmp_path, change))
    assert "price is a text and no number: 240 of 360 values are no numbers, e.g. " in done.said
    assert how in done.said
    assert written.format(1) in done.said


def test_numbers_that_models_do_not_read_are_set_aside_and_the_largest_they_read_are_not(
    taken: Callable[..., Done], tmp_path: Path
) -> None:
    odd = {5: "1e39", 6: "-1e400", 7: "Infinity", 8: "NaN", 9: "3.4e38", 10: "1e-30", 11: "-0"}
    done = taken(visits(tmp_path, lambda number, row: row.update(kg=odd.get(number, "2.5"))))
    assert "3 of 359 values of kg are no number, e.g. -1e400, 1e39, Infinity" in done.said
    assert done.report.reasons == {"type:kg": 3}
    assert done.good("[max(kg), min(kg) filter (kg > 0), count(*) - count(kg)]") == [3.4e38, 1e-30, 1]


def test_texts_are_not_taken_for_spoiled_numbers() -> None:
    assert not spoiled(["abc", "d"], numbers=10, dressed=0, zero_led=0, known=100)
    assert not spoiled(["7"], numbers=90, dressed=0, zero_led=10, known=100)
    assert "e.g. lots" in spoiled(["lots"], numbers=90, dressed=0, zero_led=0, known=100)


def test_an_id_is_text_digit_by_digit(taken: Callable[..., Done], tmp_path: Path) -> None:
    ids = [str(9_007_199_254_740_992 + n) for n in range(20)]

    def change(number: int, row: Row) -> None:
        row["id"] = f"{10**19 + number}"
        row["person"] = "9.007199254740999E+15" if number == 5 else ids[number % 20]
        row["branch"] = ("007", "7", "07")[number % 3]

    done = taken(visits(tmp_path, change), entity=["person", "branch"])
    assert done.report.rows_good == 360
    asked = "[count(distinct id), count(distinct person), count(distinct branch)]"
    assert done.good(asked) == [360, 21, 3]


@pytest.mark.parametrize(
    "far", [["9999-12-31"], ["0001-01-01", "1900-01-01"], ["2205-04-11 09:00:00"], ["1970-01-01", "2027-01-09"]]
)
def test_days_far_from_all_others_are_not_in_the_calendar(
    taken: Callable[..., Done], tmp_path: Path, far: list[str]
) -> None:
    def change(number: int, row: Row) -> None:
        row["at"] = far[number // 90 % len(far)] if number % 90 == 45 else row["at"]

    done = taken(visits(tmp_path, change))
    assert (done.plan.first, done.plan.last) == (FIRST, LAST)
    assert f"4 rows of at lie far from all others, e.g. {far[0][:10]}" in done.said
    assert done.report.reasons == {"calendar": 4}


def test_many_open_ends_do_not_make_the_calendar(taken: Callable[..., Done], tmp_path: Path) -> None:
    def change(number: int, row: Row) -> None:
        row["at"] = "9999-12-31" if number % 4 == 0 else row["at"]

    done = taken(visits(tmp_path, change))
    assert (done.plan.first, done.plan.last, done.report.rows_quarantined) == (FIRST, LAST, 90)


def test_a_thin_history_is_not_far(taken: Callable[..., Done], tmp_path: Path) -> None:
    def change(number: int, row: Row) -> None:
        row["at"] -= dt.timedelta(days=25 * max(0, 12 - number))

    done = taken(visits(tmp_path, change))
    assert (done.plan.first, done.report.rows_quarantined) == (FIRST - dt.timedelta(days=300), 0)


def test_odd_times_among_many_are_shown_and_set_aside(taken: Callable[..., Done], tmp_path: Path) -> None:
    odd = {9: "03/21/2025 09:15", 99: "2025-02-30 10:00:00", 199: "Mar 21, 2025"}

    def change(number: int, row: Row) -> None:
        row["at"] = odd.get(number, row["at"])

    done = taken(visits(tmp_path, change))
    assert (
        "3 of 360 values of at are not times, e.g. 03/21/2025 09:15, 2025-02-30 10:00:00, 'Mar 21, 2025'" in done.said
    )
    assert done.report.reasons == {"type:at_value": 3}


def moments(form: str, other: str = "", every: int = 360) -> Callable[[int, Row], None]:
    def change(number: int, row: Row) -> None:
        row["at"] = row["at"].strftime(other if number % every == every - 1 else form)

    return change


@pytest.mark.parametrize(
    "form", ["%d.%m.%y %H:%M", "%m/%d/%y", "%d.%m.%Y, %H:%M", "%m/%d/%Y, %I:%M:%S %p", "%Y%m%d%H%M%S"]
)
def test_forms_of_strangers_are_found(taken: Callable[..., Done], tmp_path: Path, form: str) -> None:
    done = taken(visits(tmp_path, moments(form, every=361)))
    assert f"at is read as {form}, as UTC" in done.said
    assert (done.plan.first, done.plan.last, done.report.rows_good) == (FIRST, LAST, 360)


def test_a_line_above_the_header_is_shown(taken: Callable[..., Done], tmp_path: Path) -> None:
    file = visits(tmp_path)
    file.write_text(f"Report of June\n{file.read_text()}")
    with pytest.raises(ScaffoldError, match="header, which is 'Report of June'; line 2 is 'id,person,at,age,late'"):
        taken(file)


def test_other_forms_among_many_are_set_aside(taken: Callable[..., Done], tmp_path: Path) -> None:
    done = taken(visits(tmp_path, moments("%d.%m.%Y %H:%M", "%b %d, %Y", 120)))
    assert "at is read as %d.%m.%Y %H:%M" in done.said
    assert "3 of 360 values of at are not %d.%m.%Y %H:%M, e.g. '" in done.said
    assert (done.report.rows_in, done.report.rows_quarantined) == (360, 3)


@pytest.mark.parametrize(
    ("form", "other", "every"),
    [("%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M", 3), ("%m/%d/%Y", "%d/%m/%Y", 100), ("%Y-%m-%d %H:%M", "%d.%m.%Y %H:%M", 2)],
)
def test_times_in_two_systems_are_refused_with_a_value_of_each(
    taken: Callable[..., Done], tmp_path: Path, form: str, other: str, every: int
) -> None:
    with pytest.raises(ScaffoldError, match=r"at is written in two systems: .*only that: \d.*of the others .*\(\d"):
        taken(visits(tmp_path, moments(form, other, every)))


def test_a_form_that_was_asked_for_shows_what_has_it_not(taken: Callable[..., Done], tmp_path: Path) -> None:
    file = visits(tmp_path, moments("%d/%m/%Y", "%Y week %W", 2))
    with pytest.raises(ScaffoldError, match=r"form %d/%m/%Y: 180 of 360 do not, e.g. 2025 week"):
        taken(file, time_format="%d/%m/%Y")


EPOCH = dt.datetime(1970, 1, 1)


@pytest.mark.parametrize(
    ("counted", "said"),
    [
        (lambda at: f"{(at - dt.datetime(1899, 12, 30)) / dt.timedelta(days=1):.6f}", "Excel's serial days"),
        (lambda at: int((at - EPOCH).total_seconds()) * 10**9 + 123, "nanoseconds since 1970, UTC"),
        (lambda at: int((at - EPOCH).total_seconds()), "seconds since 1970, UTC"),
    ],
)
def test_counts_of_units_are_read_and_said(
    taken: Callable[..., Done], tmp_path: Path, counted: Callable[[dt.datetime], Any], said: str
) -> None:
    def change(number: int, row: Row) -> None:
        row["at"] = "0" if number == 77 else counted(row["at"])

    done = taken(visits(tmp_path, change))
    first = events()[0]["at"]
    assert f"at is read as {said}" in done.said
    assert f" is {first:%Y-%m-%d %H:%M:%S}" in done.said
    assert (done.plan.first, done.plan.last, done.report.rows_good) == (FIRST, LAST, 359)
    assert done.good(f"min({done.plan.time})") == min(row["at"] for row in events())


@pytest.mark.parametrize("offset", ["+02:00", "Z", "+00"])
def test_times_of_which_some_say_their_offset_are_counted(
    taken: Callable[..., Done], tmp_path: Path, offset: str
) -> None:
    def change(number: int, row: Row) -> None:
        row["at"] = f"{row['at']}{offset}" if number % 3 == 0 else str(row["at"])

    said = taken(visits(tmp_path, change)).said
    assert "WARNING 120 of 360 values of at say their distance from UTC, e.g. 2025-" in said
    assert "are taken for UTC" in said


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-8-sig"])
def test_the_encoding_that_is_assumed_is_said_and_kept(
    taken: Callable[..., Done], tmp_path: Path, encoding: str
) -> None:
    def change(number: int, row: Row) -> None:
        row["person"] = f"{row['person']} \u2013 caf\u00e9 \u20ac"

    done = taken(visits(tmp_path, change, delimiter=";", encoding=encoding))
    assert ("is read as" in done.said) == (encoding != "utf-8-sig")
    assert "separated by semicolons" in done.said
    assert done.good("count(*) filter (person like '% \u2013 caf\u00e9 \u20ac')") == 360


def test_lines_that_are_no_rows_are_said_and_counted(taken: Callable[..., Done], tmp_path: Path) -> None:
    file = visits(tmp_path)
    content = file.read_text().splitlines()
    content[100] = content[100].replace(",p", ',"p')
    file.write_text("\n".join(content) + "\n")
    done = taken(file)
    assert "1 lines of visits.csv are no rows" in done.said
    assert (done.report.rows_in, done.report.reasons) == (360, {"unreadable": 1})


@pytest.mark.parametrize(
    ("at", "said"),
    [
        (lambda number, at: "", "at: no row has a time"),
        (lambda number, at: "9999-12-31", "no row has a time from 1970 to 2200, e.g. .*9999-12-31"),
        (
            lambda number, at: int((at - EPOCH).total_seconds()) * (1000 if number % 2 else 1),
            "more than one unit: 180 as seconds, e.g. 17.*; 180 as milliseconds, e.g. 17",
        ),
    ],
)
def test_a_column_that_says_no_time_shows_its_values(
    taken: Callable[..., Done], tmp_path: Path, at: Callable[[int, dt.datetime], Any], said: str
) -> None:
    with pytest.raises(ScaffoldError, match=said):
        taken(visits(tmp_path, lambda number, row: row.update(at=at(number, row["at"]))))


STRANGERS = {
    "02-cp1252-keys/bookings_cp1252.csv": (2700, 0, "read as cp1252"),
    "03-header-line-break/first_cell.csv": (1200, 0, ""),
    "03-header-line-break/middle_cell.csv": (1200, 0, ""),
    "03-header-line-break/last_cell_crlf.csv": (1200, 0, ""),
    "05-stray-quotes/one_stray.csv": (1200, 1, "1 lines of"),
    "05-stray-quotes/two_stray_60_apart.csv": (1200, 1, "1 lines of"),
    "05-stray-quotes/backslash_escaped.csv": (1200, 2, "2 lines of"),
    "05-stray-quotes/inch_marks_inside.csv": (1200, 0, ""),
    "07-long-ids/one_in_excel_notation.csv": (2400, 0, ""),
    "09-mixed-dates/four_of_1200.csv": (1200, 4, "4 of 1,200 values of sent_at are not times"),
    "09-mixed-dates/excel_serial.csv": (1200, 0, "Excel's serial days"),
    "09-mixed-dates/nanoseconds.csv": (1200, 0, "nanoseconds"),
    "11-sentinel-dates/both.csv": (1800, 7, "9999-12-31"),
    "11-sentinel-dates/old_1900_and_0001.csv": (1800, 4, "1900-01-01"),
    "11-sentinel-dates/one_typing_error_2205.csv": (1800, 1, "2205-04-11"),
    "11-sentinel-dates/open_end_9999.csv": (1800, 4, "9999-12-31"),
}
COLUMNS = {
    "02": ("hotel", "booked_at", "cancelled"), "05": ("product_id", "ordered_at", "returned"),
    "07": ("account,branch", "booked_at", "flagged"),
}  # fmt: skip


@pytest.mark.parametrize("name", STRANGERS)
def test_inputs_of_strangers(taken: Callable[..., Done], name: str) -> None:
    rows, apart, said = STRANGERS[name]
    entity, time, label = COLUMNS.get(name[:2], ("depot_id", "sent_at", "late"))
    done = taken(
        case(name), source="theirs", entity=[entity], time=time, label="late_1_yes" if "last_cell" in name else label
    )
    assert (done.report.rows_in, done.report.rows_quarantined) == (rows, apart)
    assert said in done.said
    assert (done.plan.last - done.plan.first).days + 1 in {60, 90}
