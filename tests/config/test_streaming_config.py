"""The `streaming:` part of a model's YAML."""

import re
from datetime import timedelta

import pytest
import yaml
from pydantic import ValidationError

from ml_assets.config.model_spec import ServingSpec
from ml_assets.config.settings import PROJECT
from ml_assets.config.streaming_config import StreamingSpec
from serving.config import ServiceConfig

GIVEN = {"bootstrap": "${KAFKA}", "requests": "asked", "answers": "answered", "dead_letters": "dead", "group": "g"}


def test_what_is_built_into_a_service_is_what_was_said():
    spec = ServingSpec.model_validate({"streaming": {**GIVEN, "max_age": "2 hours"}}).streaming
    assert spec.max_age == timedelta(hours=2)
    config = ServiceConfig(streaming=spec)
    assert ServiceConfig.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"answers": "asked"}, "three different topics"),
        ({"config": {"sasl.password": "hunter2"}}, r"config\.sasl\.password.*\$\{NAME\}"),
        ({"batch": 0}, "batch"),
        ({"requests": "no/topic"}, "requests"),
        ({"identity": "customer"}, "'key' or 'offset'"),
        ({"topic": "asked"}, "topic"),
    ],
)
def test_what_is_wrong_is_named(wrong, said):
    with pytest.raises(ValidationError, match=f"(?s){said}"):
        StreamingSpec.model_validate(GIVEN | wrong)


def test_the_example_of_the_how_to_page_is_valid():
    page = (PROJECT / "docs" / "how-to" / "streaming.md").read_text()
    (example,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    spec = ServingSpec.model_validate(yaml.safe_load(example)["attributes"]["serving"]).streaming
    assert spec.requests in page.replace(example, ""), "what it tells to try is what it configures"
