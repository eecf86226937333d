"""From an address to files."""

import pytest
from tiny_shop import EVENT_COLUMNS, day, event, simulated_shop, write_rows

from ml_assets.config.ingestion_error import IngestionError
from ml_assets.ingestion.connectors.addresses import source_files


def spec(**changes):
    return simulated_shop({"tables": {"events": changes}}).tables["events"]


def land(folder, *names):
    for name in names:
        write_rows(folder / name, [event("a")], EVENT_COLUMNS)


def labels(table, settings, *numbers):
    return [(file.label, file.day) for file in source_files(table, settings, [day(n) for n in numbers])]


def test_one_file_a_day(settings):
    land(settings.landing, "events/2026-01-01.parquet", "events/2026-01-02.parquet")
    assert labels(spec(), settings, 0, 1) == [("2026-01-01.parquet", day(0)), ("2026-01-02.parquet", day(1))]


def test_a_folder_a_day(settings):
    land(
        settings.landing,
        "events/2026-01-01/b.csv",
        "events/2026-01-01/a.parquet",
        "events/2026-01-01/notes.txt",
    )
    found = labels(spec(address="{landing}/events/{day}"), settings, 0)
    assert [label for label, _ in found] == ["2026-01-01/a.parquet", "2026-01-01/b.csv"]


def test_a_glob_keeps_the_part_that_varies_as_label(settings):
    land(settings.landing, "north/1.csv", "south/1.csv", "south/2.jsonl")
    table = spec(address="{landing}/*/*.csv", day="try_cast(ts as date)")
    assert labels(table, settings, 0, 1) == [("north/1.csv", None), ("south/1.csv", None)]


def test_the_data_setting_replaces_the_address_where_the_table_allows(settings, tmp_path):
    land(tmp_path / "elsewhere", "2026-01-01.parquet")
    moved = settings.model_copy(update={"data": str(tmp_path / "elsewhere")})
    assert source_files(spec(), moved, [day(0)])[0].path == tmp_path / "elsewhere" / "2026-01-01.parquet"
    with pytest.raises(IngestionError, match="landing"):
        source_files(spec(override=False), moved, [day(0)])


def test_missing_days_are_named_with_the_file_to_deliver(settings):
    land(settings.landing, "events/2026-01-01.parquet")
    with pytest.raises(IngestionError, match=r"events/2026-01-02.parquet: .*and 1 more days, to 2026-01-03") as raised:
        source_files(spec(), settings, [day(n) for n in range(3)])
    assert raised.value.file == str(settings.landing / "events" / "2026-01-02.parquet")


def test_a_missing_single_file_says_where_to_put_it(settings):
    with pytest.raises(IngestionError, match="ML_ASSETS_DATA"):
        source_files(spec(address="{landing}/all.parquet", day="ts::date"), settings, [day(0)])


@pytest.mark.parametrize(("form", "name"), [("%Y%m%d", "20260101"), ("%Y/%m/%d", "2026/01/01"), ("%y-%j", "26-001")])
def test_a_day_may_have_a_form_of_its_own(settings, form, name):
    land(settings.landing, f"events/{name}.csv")
    table = spec(address=f"{{landing}}/events/{{day:{form}}}.csv")
    assert [day for _, day in labels(table, settings, 0)] == [day(0)]
    with pytest.raises(IngestionError, match="no file for events of 2026-01-02"):
        labels(table, settings, 1)


@pytest.mark.parametrize("form", ["{day:%Y%m}", "{day:%H}", "{day:%Y%b%d}", "{day%Y}", "{day:}x{day:%Y}"])
def test_a_form_that_does_not_say_a_day_is_refused(form):
    if form == "{day:}x{day:%Y}":
        assert spec(address=form)  # the first says it
    else:
        with pytest.raises(ValueError, match="address: "):
            spec(address=f"{{landing}}/{form}.csv")


def test_an_unknown_suffix_needs_a_format(settings):
    land(settings.landing, "events/2026-01-01.csv")
    path = settings.landing / "events" / "2026-01-01.csv"
    path.rename(path.with_suffix(".txt"))
    with pytest.raises(IngestionError, match="say `format:`"):
        source_files(spec(address="{landing}/events/{day}.txt"), settings, [day(0)])
    assert source_files(spec(address="{landing}/events/{day}.txt", format="csv"), settings, [day(0)])[0].format == "csv"


def test_an_environment_variable_says_where_the_file_is(settings, monkeypatch):
    table = spec(address="${TRIPS}", day="event_ts::date")
    monkeypatch.delenv("TRIPS", raising=False)
    with pytest.raises(IngestionError, match="TRIPS, named there, is not set"):
        source_files(table, settings, [day(0)])
    land(settings.landing, "trips.csv")
    monkeypatch.setenv("TRIPS", str(settings.landing / "trips.csv"))
    assert labels(table, settings, 0) == [("trips.csv", None)]
