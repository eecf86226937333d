"""Days delivered twice, shuffled, late, broken and corrected end as the same bytes as an orderly delivery."""

from datetime import timedelta

from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from tiny_shop import day, event, product, simulated_shop, tiny_shop

from ml_assets.config.ingestion_error import IngestionError
from ml_assets.ingestion.days.arrivals import arrivals
from ml_assets.ingestion.ingest import ingest
from ml_assets.ingestion.publish import part

DAYS = 5
TABLES = ("products", "events")
RIGHT, WRONG, BROKEN = "right", "wrong", "broken"


def delivered(home):
    shop = tiny_shop(home)
    shop.source = simulated_shop().model_copy(update={"simulation": None})
    return shop


def deliver(shop, table, number, how):
    """A file of the n-th day; events repeat one of the day before, and buy what the catalogue has only that day on."""
    rows = [event(f"e{number}", number), event(f"e{number - 1}", number), event(f"n{number}", product_id=f"P{number}")]
    if how == BROKEN:
        (shop.settings.landing / table).mkdir(parents=True, exist_ok=True)
        (shop.settings.landing / table / f"{day(number)}.parquet").write_bytes(b"PAR1 half")
    elif table == "products":
        shop.land_products(number, [product("P1", number), *([product(f"P{number}", number)] * (how == RIGHT))])
    else:
        shop.land_events(number, rows if how == RIGHT else [event("other", number, price="x"), *rows[:1]])


def live(shop):
    """What the sensor asks for, until it asks for nothing."""
    for _ in range(2 * DAYS):
        found = arrivals(shop.source, shop.settings, day(DAYS))
        if found.days is None:
            return found.why
        for table in TABLES:
            try:
                ingest(shop.source, table, shop.settings, *found.days)
            except IngestionError:
                continue
    raise AssertionError(f"asked for again and again: {found.why}")


def lake(shop):
    names = [f"{table}{kind}" for table in TABLES for kind in ("", "_quarantine")]
    days = [day(0) + timedelta(days=number) for number in range(DAYS)]
    return {(name, day): part(shop.settings.lake, name, day).read_bytes() for name in names for day in days}


steps = st.lists(
    st.tuples(st.sampled_from(TABLES), st.integers(0, DAYS - 1), st.sampled_from([WRONG, BROKEN, RIGHT])), max_size=12
)


@hypothesis_settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(first=steps, order=st.permutations([(table, n) for table in TABLES for n in range(DAYS)]))
def test_any_order_of_deliveries_ends_as_the_orderly_one(tmp_path_factory, first, order):
    home = tmp_path_factory.mktemp("scrambled")
    orderly, scrambled = delivered(home / "orderly"), delivered(home / "scrambled")
    for number in range(DAYS):
        deliver(orderly, "products", number, RIGHT)
        deliver(orderly, "events", number, RIGHT)
    live(orderly)
    for at, step in enumerate(first):
        deliver(scrambled, *step)
        if at % 3 == 2:
            live(scrambled)
    for at, (table, number) in enumerate(order):
        deliver(scrambled, table, number, RIGHT)
        if at % 4 == 3:
            live(scrambled)
    assert live(scrambled).startswith(f"everything up to {day(DAYS - 1)} is in the lake")
    assert lake(scrambled) == lake(orderly)
