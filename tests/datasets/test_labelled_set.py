"""The spine of labelled events: what no caller can send along, no model learns from."""

from __future__ import annotations

import duckdb
import pytest
from tiny_labelled import labelled_spec

from ml_assets.config.model_spec import Task
from ml_assets.datasets.labelled_set import check_numbers

SPEC = labelled_spec(Task.BINARY)


@pytest.mark.parametrize("number", ["1e39", "'-inf'"])
def test_a_number_that_models_do_not_read_is_refused_with_its_event(number: str) -> None:
    with duckdb.connect() as warehouse:
        warehouse.execute(
            "create table mart_events as select 'e' || n as event_id, timestamp '2026-01-01' + interval (n) hour as "
            f"happened_at, n as size, case when n > 6 then {number}::double when n > 3 then 'nan' end as hour "
            "from range(9) as numbers (n)"
        )
        with pytest.raises(ValueError, match=r"mart_events: hour is (1e\+39|-inf) at event_id e7, one of 2 such rows"):
            check_numbers(SPEC, warehouse)
        warehouse.execute("update mart_events set hour = 3.4e38 where size > 6")
        check_numbers(SPEC, warehouse)
