"""The broker: requests in bounded batches, messages out until each is acknowledged, offsets only after that."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from confluent_kafka import (
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)

from ml_assets.config.ingestion_error import IngestionError
from ml_assets.config.references import References
from ml_assets.config.streaming_config import StreamingSpec
from serving.schemas import Refusal, Reply
from serving.stream.leave import Leave, StreamError
from serving.stream.messages import Outgoing, Place, StreamRequest, dead_letter

logger = logging.getLogger("serving.stream")

FINAL = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED, KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError._AUTHENTICATION, KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._FATAL,
}  # fmt: skip
"""What does not get better by waiting."""
TOO_LARGE = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG_SIZE}
LOOK = 0.5
"""Seconds between two looks whether to end."""
AHEAD_KBYTES = 16 * 1024
"""Requests that librdkafka may fetch ahead."""

AGAIN = 60.0
"""Seconds until the same trouble is told again: librdkafka tries, and says so, twenty times a second."""

Failed = tuple[Outgoing, KafkaError]


class Broker:
    """One member of the consumer group, and the producer of its answers.

    Args:
        spec: topics, group and settings.
        where: the place of the spec, for errors.
        leave: when to give up waiting.
    """

    def __init__(self, spec: StreamingSpec, where: str, leave: Leave) -> None:
        self._spec, self._leave = spec, leave
        self._heard: dict[int, float] = {}
        self._references = References(where)
        try:
            given = self._references.resolve_all(spec.config)
            given["bootstrap.servers"] = self._references.resolve(spec.bootstrap)
        except IngestionError as missing:
            raise StreamError(f"{where}: {missing.problem}: set it where the stream runs") from None
        given |= {"error_cb": self._hear, "log_level": 0}
        try:
            self._producer = Producer({**given, "acks": "all"})
            self._consumer = Consumer({**given, **_consuming(spec)})
            self._consumer.subscribe([spec.requests])
        except KafkaException as error:
            said = self._references.mask(error.args[0])
            raise StreamError(f"{where}: librdkafka refuses its settings: {said}") from None

    def __enter__(self) -> Broker:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the group."""
        self._consumer.close()

    def next_batch(self) -> list[StreamRequest]:
        """The requests that are there, at most `batch`; waits a moment for the first.

        Raises:
            StreamError: when the broker refuses for good.
        """
        first = self._consumer.poll(LOOK)
        if first is None:
            return []
        rest = self._consumer.consume(self._spec.batch - 1, timeout=0) if self._spec.batch > 1 else []
        return [_request(message) for message in (first, *rest) if self._is_request(message)]

    def deliver(self, messages: Iterable[Outgoing]) -> list[Outgoing]:
        """Send until every message is acknowledged by all replicas; returns them as they were sent in the end.

        An answer that is too large for the broker becomes a dead letter, a dead letter loses its value.

        Raises:
            StreamError: when the broker refuses for good, or the time to end has come.
        """
        waiting, sent = list(messages), []
        while waiting:
            failed = self._send(waiting)
            lost = {id(message) for message, _ in failed}
            sent += [message for message in waiting if id(message) not in lost]
            waiting = [self._again(message, error) for message, error in failed]
            if waiting:
                self._leave.check("sending answers")
                time.sleep(LOOK)
        return sent

    def commit(self, requests: Sequence[StreamRequest]) -> None:
        """Say that requests are done; when that fails they are delivered again, which does no harm.

        Raises:
            StreamError: when the broker refuses for good.
        """
        after: dict[int, int] = {}
        for request in requests:
            after[request.place.partition] = max(after.get(request.place.partition, 0), request.place.offset + 1)
        places = [TopicPartition(self._spec.requests, partition, offset) for partition, offset in after.items()]
        try:
            committed = self._consumer.commit(offsets=places, asynchronous=False)
            errors = [place.error for place in committed if place.error is not None]
        except KafkaException as error:
            errors = [error.args[0]]
        for each in errors:
            self._refuse_final(each)
            logger.warning("%d requests were answered, not committed: %s", len(requests), self._references.mask(each))

    def lag(self) -> dict[int, int]:
        """Requests that wait, by partition that this process has, as far as is known without asking the broker."""
        found = {}
        for place in self._consumer.position(self._consumer.assignment()):
            _, high = self._consumer.get_watermark_offsets(place, cached=True)
            found[place.partition] = max(0, high - place.offset) if place.offset >= 0 else 0
        return found

    def _is_request(self, message: Message) -> bool:
        error = message.error()
        if error is None:
            return True
        self._refuse_final(error)
        logger.warning("the broker says: %s", self._references.mask(error.str()))
        return False

    def _send(self, messages: Iterable[Outgoing]) -> list[Failed]:
        """Send each once; returns those that were not acknowledged."""
        failed: list[Failed] = []
        for message in messages:
            try:
                self._producer.produce(
                    message.topic,
                    message.value,
                    message.key,
                    headers=dict(message.headers),
                    on_delivery=_kept(failed, message),
                )
            except BufferError:
                failed.append((message, KafkaError(KafkaError._QUEUE_FULL)))
            except KafkaException as error:  # refused before it was sent
                failed.append((message, error.args[0]))
        while self._producer.flush(LOOK):
            self._leave.check("waiting for the broker to take the answers")
        return failed

    def _again(self, message: Outgoing, error: KafkaError) -> Outgoing:
        """What to send instead of a message that failed."""
        self._refuse_final(error)
        if error.code() in TOO_LARGE:
            return self._smaller(message)
        logger.warning("not taken, sent again: %s", self._references.mask(error.str()))
        return message

    def _smaller(self, message: Outgoing) -> Outgoing:
        if message.topic == self._spec.answers:
            said = Refusal(413, "the answer is larger than the broker takes: ask for fewer products")
            return dead_letter(self._spec, message.request, Reply(said.status, said.body()))
        if message.value is None:
            raise StreamError(f"the broker takes no messages in {message.topic}, however small: raise its limit")
        return Outgoing(message.topic, message.key, None, message.headers, message.request)

    def _refuse_final(self, error: KafkaError) -> None:
        if error.code() in FINAL or error.fatal():
            raise StreamError(
                f"the broker refuses: {self._references.mask(error.str())}: correct topic, config or rights"
            )

    def _hear(self, error: KafkaError) -> None:
        """What librdkafka says of its connections, which it restores by itself."""
        now = time.monotonic()
        if now - self._heard.get(error.code(), -AGAIN) < AGAIN:
            return
        self._heard[error.code()] = now
        logger.warning("the broker's connection: %s", self._references.mask(error.str()))


def _consuming(spec: StreamingSpec) -> dict[str, Any]:
    return {
        "group.id": spec.group,
        "auto.offset.reset": spec.begin,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "queued.max.messages.kbytes": AHEAD_KBYTES,
        "queued.min.messages": 10 * spec.batch,
    }


def _kept(failed: list[Failed], message: Outgoing) -> Callable[[KafkaError | None, Message], None]:
    return partial(_keep, failed, message)


def _keep(failed: list[Failed], message: Outgoing, error: KafkaError | None, _: Message) -> None:
    if error is not None:
        failed.append((message, error))


def _request(message: Message) -> StreamRequest:
    kind, milliseconds = message.timestamp()
    place = Place(message.topic() or "", message.partition() or 0, message.offset() or 0)
    at = None if kind == TIMESTAMP_NOT_AVAILABLE else milliseconds
    return StreamRequest(place, _bytes(message.key()), _bytes(message.value()) or b"", at)


def _bytes(said: object) -> bytes | None:
    return said if isinstance(said, bytes) else None
