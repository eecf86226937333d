"""The typed YAML of a shop."""

from datetime import date

import pytest
from pydantic import ValidationError
from tiny_shop import simulated_shop

from ml_assets.config.settings import PROJECT
from ml_assets.config.source_spec import load_source, merge

SHOPS = PROJECT / "shops"
EVENTS = "event_id event_ts customer_id product_id event_type session_id quantity price country"
PRODUCTS = "product_id product_name category_id price available changed_at"


@pytest.mark.parametrize("name", ["simulated", "online_retail"])
def test_every_shop_maps_the_canonical_columns_of_the_one_contract(name):
    source = load_source(SHOPS / f"{name}.yaml")
    assert source.name == name
    assert {table: list(spec.columns) for table, spec in source.tables.items()} == {
        "events": EVENTS.split(),
        "products": PRODUCTS.split(),
    }
    assert source.tables["events"].columns["event_type"].allowed == ("view", "cart", "purchase")
    assert source.tables["events"].upstream == ("products",)
    assert source.tables["products"].upstream == ()


def test_a_shop_may_tighten_a_column_and_keeps_the_rest_of_it():
    column = load_source(SHOPS / "online_retail.yaml").tables["events"].columns["product_id"]
    assert column.source == "upper(trim(stock_code))"
    assert column.pattern == "[0-9]{5}[A-Z]{0,2}"
    assert column.description


def test_text_laid_on_a_mapping_is_its_from():
    assert merge({"price": {"type": "DOUBLE"}}, {"price": "cost"}) == {"price": {"type": "DOUBLE", "from": "cost"}}


def test_an_unknown_shop_names_the_known_ones():
    with pytest.raises(FileNotFoundError, match="there are: online_retail, simulated"):
        load_source(SHOPS / "nowhere.yaml")


def wrong(**events):
    return {"tables": {"events": events}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (wrong(colour="red"), "colour"),
        (wrong(columns={"price": {"type": "MONEY"}}), "price"),
        (wrong(columns={"country": {"min": 1}}), "min, above and max are for numbers"),
        (wrong(columns={"price": {"pattern": "x"}}), "allowed and pattern are for VARCHAR"),
        (wrong(day="ts::date"), "say the day of a row once"),
        (wrong(address="{landing}/events.csv"), "say the day of a row once"),
        (wrong(key=["order_id"]), "no column 'order_id'"),
        (wrong(time={"column": "price"}), "must be a TIMESTAMP"),
        (wrong(references={"product_id": "goods.id"}), "does not exist"),
        ({"calendar": {"start": date(2026, 2, 1), "end": date(2026, 1, 1)}}, "before calendar.start"),
    ],
)
def test_a_wrong_shop_is_refused_by_name(changes, message):
    with pytest.raises(ValidationError, match=message):
        simulated_shop(changes)


def test_the_fingerprint_follows_the_contract():
    same, other = simulated_shop(), simulated_shop(wrong(columns={"price": {"max": 5}}))
    assert same.tables["events"].fingerprint == simulated_shop().tables["events"].fingerprint
    assert same.tables["events"].fingerprint != other.tables["events"].fingerprint


def test_an_unknown_table_names_the_known_ones():
    with pytest.raises(KeyError, match="events, products"):
        simulated_shop().table("orders")


def test_a_last_day_that_means_never_is_none():
    end = {"calendar": {"start": date(2026, 1, 1), "end": date(9999, 12, 31)}}
    assert simulated_shop(end).calendar.end is None
    assert simulated_shop({"calendar": {**end["calendar"], "end": date(2026, 2, 1)}}).calendar.end == date(2026, 2, 1)
