"""What the `streaming:` part of a model's `serving:` may say: requests from one Kafka topic, answers to another."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, model_validator

from ml_assets.config.connector_spec import Duration, refuse_secrets
from ml_assets.config.yaml_file import Strict

Topic = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")]


class StreamingSpec(Strict):
    """Requests that come as messages are answered like those over HTTP, each at least once."""

    bootstrap: str = Field(min_length=1, description="host:port,... or `${NAME}`")
    requests: Topic = Field(description="topic of requests: the JSON that the endpoint takes")
    answers: Topic = Field(description="topic of answers: the JSON that the endpoint returns")
    dead_letters: Topic = Field(description="topic of requests that cannot be answered, as they came, with the reason")
    group: str = Field(min_length=1, description="consumer group: who shares the requests, and where it goes on")
    identity: Literal["key", "offset"] = Field(
        default="key",
        description="what makes a request the same request: its key (a key is used once), or its place in the topic "
        "(keys repeat, e.g. customers)",
    )
    begin: Literal["earliest", "latest"] = Field(default="earliest", description="where a group begins that is new")
    batch: int = Field(default=100, ge=1, le=1000, description="requests answered and committed together at most")
    max_age: Duration = Field(default=timedelta(days=7), description="older requests become dead letters")
    config: dict[str, str | int | float | bool] = Field(
        default_factory=dict, description="librdkafka settings (security.protocol, sasl.*); texts may be `${NAME}`"
    )

    @model_validator(mode="after")
    def _usable(self) -> StreamingSpec:
        refuse_secrets("config", self.config)
        if len({self.requests, self.answers, self.dead_letters}) < 3:
            raise ValueError("requests, answers and dead_letters must be three different topics")
        return self
