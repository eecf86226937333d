"""Whole files and broken ones, in every format."""

import pytest
from tiny_shop import EVENT_COLUMNS, event, simulated_shop

from ml_assets.config.ingestion_error import IngestionError

FORMATS = [".parquet", ".csv", ".jsonl"]


def use(shop, suffix):
    shop.suffix = suffix
    shop.source = simulated_shop({"tables": {"events": {"address": f"{{landing}}/events/{{day}}{suffix}"}}})
    return shop


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_gives_the_same_rows(shop, suffix):
    rows = [event("a", country='Côte d\'Ivoire, "north"'), event("b", session_id=None), event("c", price="x")]
    use(shop, suffix).land_events(0, rows)
    report = shop.ingest(0)
    assert (report.rows_in, report.rows_good, report.reasons) == (3, 2, {"type:price": 1})
    assert shop.good()[0]["country"] == 'Côte d\'Ivoire, "north"'
    assert shop.good()[1]["session_id"] is None
    (bad,) = shop.bad()
    assert (bad["reason"], bad["source"]) == ("type:price", f"2026-01-01{suffix}")
    assert '"price":"x"' in bad["raw"]


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_day_without_rows_is_a_day(shop, suffix):
    use(shop, suffix).land_events(0, [])
    assert shop.ingest(0).rows_in == 0
    assert shop.good() == shop.bad() == []


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_half_written_file_is_refused_and_the_day_beside_it_is_published(shop, suffix):
    for number in range(2):
        use(shop, suffix).land_events(number, [event(f"{number}-{n}", number) for n in range(50)])
    path = shop.settings.landing / "events" / f"2026-01-02{suffix}"
    path.write_bytes(path.read_bytes()[:-30])
    [refused] = shop.ingest(0, 1).refused
    assert refused.text.startswith(f"{path}: ")
    assert "half-written" in refused.text
    assert "deliver the file again" in refused.text
    assert shop.part(0).exists()
    before = shop.files()
    with pytest.raises(IngestionError, match="half-written"):
        shop.ingest(1)
    assert shop.files() == before


@pytest.mark.parametrize("suffix", FORMATS)
def test_an_empty_file_is_an_error(shop, suffix):
    use(shop, suffix).land_events(0, []).write_bytes(b"")
    with pytest.raises(IngestionError, match="empty"):
        shop.ingest(0)


def test_damage_inside_a_parquet_file_blames_the_file(shop):
    shop.land_events(0, [event("a")])
    path = shop.land_events(1, [event(f"{n}", 1, country=f"land {n * n}") for n in range(5000)])
    content = bytearray(path.read_bytes())
    content[100:2000] = bytes(1900)
    path.write_bytes(content)
    [refused] = shop.ingest(0, 1).refused
    assert refused.text.startswith(f"{path}: the file cannot be read to its end")
    assert shop.part(0).exists()
    assert not shop.part(1).exists()


def test_a_text_file_named_parquet_is_an_error(shop):
    shop.land_events(0, []).write_text("event_id,ts\n")
    with pytest.raises(IngestionError, match="no parquet file"):
        shop.ingest(0)


def test_csv_lines_with_too_few_or_too_many_fields_are_quarantined_as_text(shop):
    path = use(shop, ".csv").land_events(0, [event("a"), event("b")])
    header, first, second = path.read_text().splitlines()
    path.write_text("\n".join([header, first, "only,three,fields", second + ",extra", ""]))
    report = shop.ingest(0)
    assert (report.rows_in, report.rows_good) == (3, 1)
    assert [row["reasons"][0] for row in shop.bad()] == ["unreadable", "unreadable"]
    assert shop.bad()[0]["raw"] == '{"line":"only,three,fields"}'


def test_json_lines_that_are_no_object_are_quarantined_as_text(shop):
    path = use(shop, ".jsonl").land_events(0, [event("a")])
    path.write_text(path.read_text() + '{"event_id": "b", \n[1, 2]\n\n')
    report = shop.ingest(0)
    assert (report.rows_good, report.reasons) == (1, {"unreadable": 2})


def test_a_quote_that_never_ends_is_half_written_where_the_file_ends_in_it(shop):
    path = use(shop, ".csv").land_events(0, [event("a")])
    whole = path.read_text()
    path.write_text(whole + 'b,2026-01-01,"C1,P1')
    with pytest.raises(IngestionError, match="half-written: line 3"):
        shop.ingest(0)
    path.write_text(whole + 'b,2026-01-01,"C1,P1\nc,d\n')
    assert shop.ingest(0).reasons == {"unreadable": 2}


def test_another_encoding_must_be_declared(shop):
    path = use(shop, ".csv").land_events(0, [event("a", country="Curaçao")])
    path.write_bytes(path.read_text().encode("latin-1"))
    with pytest.raises(IngestionError, match=r"line 2 is .*`encoding: cp1252`"):
        shop.ingest(0)
    events = {"address": "{landing}/events/{day}.csv", "encoding": "latin-1"}
    shop.source = simulated_shop({"tables": {"events": events}})
    shop.ingest(0)
    assert shop.good()[0]["country"] == "Curaçao"


@pytest.mark.parametrize(("name", "message"), [("price", "appears twice"), ("_row", "reserved"), ("", "no name")])
def test_unusable_column_names_are_refused(shop, name, message):
    path = use(shop, ".csv").land_events(0, [event("a")])
    path.write_text(path.read_text().replace("country", name, 1))
    with pytest.raises(IngestionError, match=message):
        shop.ingest(0)


def test_a_file_rewritten_while_it_is_read_is_refused(shop, monkeypatch):
    from ml_assets.ingestion import ingest as module

    shop.land_events(0, [event("a")])
    checked = module.mark_duplicates

    def rewrite(*arguments):
        checked(*arguments)
        shop.land_events(0, [event("a"), event("b")])

    monkeypatch.setattr(module, "mark_duplicates", rewrite)
    with pytest.raises(IngestionError, match="changed while it was read"):
        shop.ingest(0)
    assert not shop.part(0).exists()


def test_columns_nobody_asked_for_are_kept_in_the_raw_row(shop):
    shop.land_events(0, [event("a", price="x", colour="red")], [*EVENT_COLUMNS, "colour"])
    shop.ingest(0)
    assert '"colour":"red"' in shop.bad()[0]["raw"]
