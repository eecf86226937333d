"""The one form of a key: the same in Python, which serves, and in SQL, which trains and scores files."""

from __future__ import annotations

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_repo.declared import FeatureFile
from feature_repo.stores.packing import texts
from ml_assets.config.keys import KeyForm, canonical, canonical_sql, unfit_sql

FORMS = [KeyForm(number, missing) for number in (False, True) for missing in (None, "unknown")]
ODD = ["", " ", "7", "7.0", "7.", "07", "-0", "-7.00", "7.5", "1e5", "unknown", "\u00a0a\u3000", "x" * 65, "a\x00", "٣"]


@settings(deadline=None)
@given(
    st.one_of(st.none(), st.sampled_from(ODD), st.text(max_size=70), st.from_regex(r"-?[0-9.]{1,5}", fullmatch=True))
)
def test_python_and_sql_agree(value: str | None) -> None:
    for form in FORMS:
        sql = f"select {canonical_sql('v', form)}, {unfit_sql('v', form)} from (select $v::varchar as v)"
        found = duckdb.execute(sql, {"v": value}).fetchall()[0]
        try:
            assert found == (canonical(value, form), False)
        except ValueError:
            assert found[1]


@settings(deadline=None)
@given(st.sampled_from(FORMS), st.one_of(st.none(), st.text(max_size=70), st.integers(), st.floats()))
def test_what_has_its_form_keeps_it(form: KeyForm, value: object) -> None:
    try:
        once = canonical(value, form)
    except ValueError:
        return
    assert canonical(once, form) == once


def test_the_stores_write_whole_numbers_without_a_point() -> None:
    assert texts(pa.chunked_array([pa.array([348.0, 2.0])])) == ["348", "2"]
    with pytest.raises(pa.ArrowInvalid):
        texts(pa.chunked_array([pa.array([348.5])]))


def test_a_key_has_one_form_in_a_file() -> None:
    view = {"table": "feat_a", "description": "a", "features": {"n": "int"}}
    entities = {
        name: {"key": "area", "description": "a", "form": form} for name, form in (("a", "text"), ("b", "number"))
    }
    with pytest.raises(ValueError, match=r"entities\.b: the key area"):
        FeatureFile.model_validate({"entities": entities, "views": {"v": {**view, "entities": ["a"]}}, "services": {}})
    del entities["b"]
    entities["a"] |= {"form": "number", "missing": "unknown"}
    file = FeatureFile.model_validate(
        {
            "entities": entities,
            "views": {"v": {**view, "entities": ["a"]}},
            "services": {"s": {"views": ["v"], "description": "s"}},
        }
    )
    assert file.forms("s") == {"area": KeyForm(number=True, missing="unknown")}
