"""JSON lines: one line decides about itself only, whatever it holds."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from tiny_shop import day, event, product, simulated_shop, tiny_shop

from ml_assets.config.ingestion_error import IngestionError
from ml_assets.ingestion.reading.json_lines import BLANK, LONGEST

MAPPED = {"events": {"address": "{landing}/events/{day}.jsonl"}}


def use(shop, **changes):
    shop.suffix = ".jsonl"
    shop.source = simulated_shop({"tables": {"events": {**MAPPED["events"], **changes}}})
    return shop


def land(shop, *lines, number=0):
    path = shop.settings.landing / "events" / f"{day(number)}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(line if isinstance(line, bytes) else f"{json.dumps(line)}\n".encode() for line in lines))
    return path


@pytest.mark.parametrize(
    "key",
    [
        "_row",
        "_line",
        "_json",
        "_reasons",
        'a"b',
        "*",
        "$.x",
        "it's",
        "a.b",
        "a/b",
        "a~b",
        "back\\slash",
        "Tier",
        "tier",
    ],
)
def test_a_key_that_nobody_maps_changes_nothing(shop, key):
    land(use(shop), event("a"), {**event("b"), key: {"any": [1, 2]}}, event("c"))
    assert (shop.ingest(0).rows_in, shop.ids()) == (3, ["a", "b", "c"])


@pytest.mark.parametrize("odd", [{"": "1"}, {"Price": 1, "PRICE": 2}, {"Event_ID": "z"}])
def test_a_line_whose_keys_cannot_be_told_apart_is_set_aside_alone(shop, odd):
    land(use(shop), event("a"), {**event("b"), **odd}, event("c"))
    report = shop.ingest(0)
    assert (report.rows_in, report.reasons, shop.ids()) == (3, {"unreadable": 1}, ["a", "c"])


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_lines_end_as_their_writer_ends_them(shop, end):
    land(use(shop), end.join(json.dumps(event(each)).encode() for each in "abc") + end, b"{}" + end)
    assert (shop.ingest(0).rows_good, shop.ids()) == (3, ["a", "b", "c"])
    assert [row["line"] for row in shop.bad()] == [4]


def test_of_a_key_given_twice_the_first_counts_and_that_is_said(shop):
    twice = json.dumps(event("b")).removesuffix("}") + ', "price": "99"}\n'
    unmapped = json.dumps(event("c")).removesuffix("}") + ', "x": 1, "x": 2}\n'
    land(use(shop), event("a"), b"\n", twice.encode(), unmapped.encode(), event("d", price="-1"))
    report, file = shop.ingest(0), f"{day(0)}.jsonl"
    assert [row["price"] for row in shop.good()] == [10.0, 10.0, 10.0]
    assert report.notes == (
        f"1 lines of {file} give a key twice, first line 3: of each such key the first value counts",
    )
    assert (report.places, shop.bad()[0]["line"]) == ({"range:price": f"{file}, line 5"}, 5)


@pytest.mark.parametrize("key", ['pr"ice', "*", "a.b", "$x", "pr/ice", "~1", "preis €", "_price"])
def test_a_mapped_key_means_that_key_whatever_signs_are_in_it(shop, key):
    quoted = '"' + key.replace('"', '""') + '"'
    use(shop, columns={"price": quoted})
    land(shop, {**event("a", price="7"), key: "3.5", "pr": {"ice": "9"}})
    shop.ingest(0)
    assert shop.good()[0]["price"] == 3.5


def test_bytes_that_are_no_text_set_their_line_aside(shop):
    good = json.dumps(event("b", country="Curaçao"), ensure_ascii=False).encode()
    broken = good.replace(b'"GB"', b'"G"').replace(b"Cura", b"\\\xff")
    land(use(shop), event("a"), broken + b"\n", good + b"\n")
    report = shop.ingest(0)
    assert (report.rows_in, report.reasons, shop.ids()) == (3, {"unreadable": 1}, ["a", "b"])
    assert "\\\\\\\\xff" in shop.bad()[0]["raw"]


def test_a_text_with_a_nul_is_no_text(shop):
    land(use(shop), event("a"), event("b", customer_id="C\x0030"))
    assert shop.ingest(0).reasons == {"type:customer_id": 1}


def test_a_bad_row_is_kept_as_its_whole_line(shop):
    land(use(shop), {**event("a", price="x"), "colour": ["red", None]})
    shop.ingest(0)
    assert json.loads(shop.bad()[0]["raw"]) == {**event("a", price="x"), "colour": ["red", None]}


def test_thousands_of_keys_and_a_deep_line_fit_into_little_memory(shop):
    shop.settings = shop.settings.model_copy(update={"memory": "200MB"})
    many = ({**event(f"{n:03}"), **{f"k{n}_{i}": n for i in range(2000)}} for n in range(300))
    deep = b'{"event_id": "deep", "z": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}\n"
    land(use(shop), *many, deep)
    report = shop.ingest(0)
    assert (report.rows_in, report.rows_good) == (301, 300)


def test_a_line_that_is_too_long_is_set_aside_with_its_beginning(shop):
    land(use(shop), event("a"), event("b", session_id="s" * 3 * LONGEST), event("c"))
    report = shop.ingest(0)
    assert (report.rows_in, report.reasons, shop.ids()) == (3, {"unreadable": 1}, ["a", "c"])
    assert LONGEST < len(shop.bad()[0]["raw"]) < 1.1 * LONGEST


@pytest.mark.parametrize("indent", [None, 1])
def test_an_array_is_told_from_lines(shop, indent):
    path = land(use(shop))
    path.write_text(json.dumps([event("a"), event("b")], indent=indent))
    with pytest.raises(IngestionError, match="is a JSON array, not lines") as raised:
        shop.ingest(0)
    assert raised.value.file == str(path)


def test_lines_that_begin_and_end_like_an_array_are_lines(shop):
    land(use(shop), [1], event("a"), ["x"])
    assert shop.ingest(0).reasons == {"unreadable": 2}


def test_a_whole_value_without_a_line_end_is_no_torn_row(shop):
    land(use(shop), event("a"), b"[1, 2]")
    assert shop.ingest(0).reasons == {"unreadable": 1}


def test_a_key_that_many_lines_lack_is_missing(shop):
    lines = [{name: value for name, value in event(str(n)).items() if name != "price"} for n in range(200)]
    path = land(use(shop), *({**line, "unit_price": "1"} for line in lines))
    with pytest.raises(IngestionError, match=r"'price' is missing \(needed by tables.events.columns.price") as raised:
        shop.ingest(0)
    assert (raised.value.file, raised.value.column) == (str(path), "price")
    assert "'unit_price' looks like it, renamed" in raised.value.problem


def test_a_key_that_few_lines_lack_is_each_line_s_matter(shop):
    land(use(shop), {"a": 1})
    assert shop.ingest(0).reasons == {"null:event_id": 1}
    land(shop, *({**event(str(n)), "session_id": None} for n in range(200)))
    assert shop.ingest(0).rows_good == 200


LINES = st.one_of(
    st.binary(max_size=40).map(lambda line: line.replace(b"\n", b" ").replace(b"\r", b" ")),
    st.dictionaries(
        st.one_of(st.sampled_from(["event_id", "Event_ID", "ts", "_row", "", 'a"b', "*"]), st.text(max_size=3)),
        st.one_of(st.none(), st.text(max_size=5), st.floats(), st.lists(st.integers(), max_size=2)),
        max_size=4,
    ).map(lambda row: json.dumps(row).encode()),
    st.sampled_from([b"[1]", b"[", b"]", b'{"event_id": "x"', b"\xef\xbb\xbf{}", b'{"a": "\\ud800"}', b"  "]),
    st.integers(0, 9).map(lambda n: json.dumps(event(str(n))).encode()),
)


@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(lines=st.lists(LINES, max_size=12))
def test_every_line_is_good_or_set_aside(tmp_path_factory, lines):
    shop = tiny_shop(tmp_path_factory.mktemp("shop"))
    shop.land_products(0, [product("P1")])
    shop.ingest(0, 0, "products")
    land(use(shop), b"{}\n", *(line + b"\n" for line in lines))  # so that it never is an array, or another kind of file
    report = shop.ingest(0)
    texts = [line.decode("utf8", "surrogateescape") for line in [*lines, b"{}"]]
    assert report.rows_in == len([text for text in texts if text.strip(BLANK)])
    assert len(shop.good()) + len(shop.bad()) == report.rows_in
    wanted = {json.loads(line)["event_id"] for line in lines if line.startswith(b'{"event_id": "') and b'"P1"' in line}
    assert set(shop.ids()) == wanted


CASES = Path(os.environ.get("ML_ASSETS_CASES", Path(__file__).parents[3] / "shared" / "cases")) / "25-jsonl-shop"


@pytest.mark.skipif(not CASES.exists(), reason=f"the shop of broken JSON lines is not at {CASES}")
def test_the_shop_of_broken_lines_gives_the_rows_that_are_right(shop):
    use(shop)
    seen = {}
    for number in range(7):
        land(shop, (CASES / "events" / f"{day(number)}.jsonl").read_bytes(), number=number)
        shop.land_products(number, [product(f"P{n}") for n in range(6)] if number == 0 else [])
        shop.ingest(number, number, "products")
        try:
            seen[number] = shop.ingest(number)
        except IngestionError as error:
            assert (number, error.problem) == (3, "the file is a JSON array, not lines")
    assert [report.rows_good for report in seen.values()] == [260, 253, 260, 251, 259, 259]
    assert set(seen[4].reasons) == {
        "type:price", "type:quantity", "allowed:event_type", "type:event_ts", "null:customer_id",
        "reference:product_id", "range:price", "future",
    }  # fmt: skip
