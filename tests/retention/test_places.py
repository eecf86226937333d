"""Which place a file under a shop's home belongs to."""

import pytest

from ml_assets.retention.places import How, place_of


@pytest.mark.parametrize(
    ("path", "how"),
    [
        ("processes/ui.json", How.NOTHING),
        ("lake/_ledger/events.refused.json", How.TEXT),
        ("lake/_ledger/events.jsonl", How.NOTHING),
    ],
)
def test_what_pages_and_refusals_leave_has_a_place(path: str, how: How) -> None:
    place = place_of(path)
    assert place is not None
    assert place.how is how
