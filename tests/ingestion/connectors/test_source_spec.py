"""What a `source:` may say, and what it may not."""

import re
from datetime import timedelta

import pytest
import yaml
from pydantic import ValidationError
from sourced_shop import spec_of

from ml_assets.config.ingestion_error import IngestionError
from ml_assets.config.references import References
from ml_assets.config.settings import PROJECT
from ml_assets.config.source_spec import merge, parse_source

SQL = {"kind": "sql", "address": "${DB}", "table": "t", "cursor": "id", "overlap": 0}
KAFKA = {"kind": "kafka", "bootstrap": "h:9092", "topic": "t"}
FILES = {"kind": "files", "address": "s3://b/*"}
PAGE = PROJECT / "docs" / "how-to" / "sources.md"


def events(source):
    return spec_of(source).table("events")


@pytest.mark.parametrize("text", re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL))
def test_every_shop_of_the_how_to_page_is_valid(text):
    content = yaml.safe_load(text)
    base = yaml.safe_load((PROJECT / "shops" / content.pop("extends")).read_text())
    assert parse_source(merge(base, content)).table("events").source is not None


def test_landing_decides_where_the_files_are_and_in_which_form():
    assert events(SQL).address == "{landing}/events/{day}"
    assert events(SQL).format is None
    assert events(KAFKA).format == "messages"
    assert events({**KAFKA, "format": "text"}).format == "parquet"


@pytest.mark.parametrize(("key", "value"), [("address", "{landing}/x.csv"), ("day", "ts"), ("override", True)])
def test_a_table_has_a_source_or_files(key, value):
    spec = spec_of(SQL)
    content = {
        **spec.model_dump(by_alias=True),
        "tables": {n: t.model_dump(by_alias=True) for n, t in spec.tables.items()},
    }
    del content["tables"]["events"]["address"]
    content["tables"]["events"][key] = value
    with pytest.raises(ValidationError, match=f"{key}: a table with a `source` has no `{key}`"):
        parse_source(content)


def test_where_rows_come_from_is_no_part_of_the_contract():
    assert events(SQL).fingerprint == events({**SQL, "cursor": "other"}).fingerprint


@pytest.mark.parametrize(("said", "meant"), [("15 minutes", 900), ("1 day", 86400), ("0.5 hours", 1800), ("PT5S", 5)])
def test_durations_are_said_like_people_say_them(said, meant):
    assert events({**SQL, "overlap": said}).source.overlap == timedelta(seconds=meant)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({**SQL, "address": "postgresql://me:pw@host/db"}, "should match pattern"),
        ({**SQL, "query": "select 1"}, "either a `table:` or a `query:`"),
        ({name: value for name, value in SQL.items() if name != "overlap"}, "overlap"),
        ({**SQL, "overlap": -1}, "overlap"),
        ({**SQL, "overlap": "soon"}, "overlap"),
        ({**FILES, "options": {"secret": "abc"}}, "secrets do not belong here"),
        (
            {**FILES, "options": {"client_kwargs": {"aws_secret_access_key": "abc"}}},
            "client_kwargs.aws_secret_access_key",
        ),
        ({**KAFKA, "config": {"sasl.password": "abc"}}, "sasl.password: secrets do not belong here"),
        ({**KAFKA, "format": "text", "day": "ts"}, "has no keys"),
        ({"kind": "ftp"}, "kind"),
        ({**FILES, "cursor": "id"}, "cursor"),
    ],
)
def test_mistakes_are_named_before_anything_runs(source, message):
    with pytest.raises(ValidationError, match=re.escape(message)):
        spec_of(source)


def test_secrets_are_read_when_needed_and_masked_in_what_is_said():
    references = References("here", {"DB": "postgresql://me:p%40ss@host/db", "KEY": "k3y"})
    assert references.resolve_all({"a": {"b": "${KEY}"}, "c": 1}) == {"a": {"b": "k3y"}, "c": 1}
    assert references.resolve("${DB}") == "postgresql://me:p%40ss@host/db"
    assert references.mask("at postgresql://me:p%40ss@host/db with k3y\nand more") == "at *** with ***"
    assert references.mask("password p%40ss") == "password ***"


def test_a_variable_that_is_missing_is_named():
    with pytest.raises(IngestionError, match="environment variable KEY, named there, is not set"):
        References("here", {}).resolve("${KEY}")
