"""How long things are kept is said by kind."""

import pytest

from ml_assets.config.keep import Keep
from ml_assets.config.settings import load_settings


def keep(text: str) -> Keep:
    return load_settings({"ML_ASSETS_KEEP": text}).keep


def test_what_is_not_named_keeps_its_default_and_what_is_said_comes_back_as_text():
    found = keep("runs = 30, landing=400,trials=ever")
    assert (found.runs, found.landing, found.trials, found.logs) == (30, 400, None, Keep().logs)
    assert keep(found.text) == found


def test_raw_data_is_kept_for_ever_unless_somebody_says_otherwise():
    assert (Keep().lake, Keep().landing) == (None, None)


@pytest.mark.parametrize(
    ("text", "said"), [("rows=3", "kinds are lake, landing"), ("runs", "kind=days"), ("lake=3", "equal to 60")]
)
def test_what_is_not_understood_is_refused_with_what_is(text, said):
    with pytest.raises(ValueError, match=said):
        keep(text)
