"""Messages of a topic, by partition and offset: the position is what has landed, never what a broker was told.

Partitions are assigned by hand at the journal's offsets, and each landing ends at the high watermarks it found when
it began. Every message lands as it came (`kafka_value` and what Kafka knows of it); what is no JSON object is set
aside by the contract as `unreadable`, never skipped here.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Consumer, KafkaError, KafkaException, Message, TopicPartition

from ml_assets.config.connector_spec import KafkaSource
from ml_assets.config.ingestion_error import IngestionError
from ml_assets.ingestion.connectors.base import LandingContext, UnreachableError
from ml_assets.ingestion.connectors.journal import Batch
from ml_assets.ingestion.connectors.received import Received, as_text, headers_text, moment, write_messages

FINAL = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED, KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError._AUTHENTICATION, KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC,
}  # fmt: skip
FETCH = 10_000
WAIT = 0.2


class KafkaConnector:
    """One topic, open for one landing."""

    def __init__(self, source: KafkaSource, context: LandingContext) -> None:
        self.source, self.context = source, context
        self._consumer: Consumer | None = None
        self._ends: dict[int, int] | None = None
        self._said: str | None = None

    def head(self) -> str:
        """The high watermark of every partition."""
        return json.dumps({number: high for number, (_, high) in sorted(self._watermarks().items())})

    def reset(self) -> None:
        """Close the consumer."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def next_batch(self, position: Mapping[str, str]) -> Batch | None:
        """Up to `piece_rows` messages after the position, below the watermarks of the landing's beginning."""
        watermarks = self._watermarks()
        if self._ends is None:
            self._ends = {number: high for number, (_, high) in watermarks.items()}
        starts, notes = self._starts(position, watermarks)
        begin = {number: start for number, start in starts.items() if start < self._ends.get(number, 0)}
        if not begin:
            return None
        messages, after = self._read(begin)
        files = write_messages(messages, self.context.staging, self.source.topic, self.context.days, self.source.day)
        spans = [
            f"{number}: {begin[number]}-{after[number] - 1}"
            for number in sorted(after)
            if after[number] > begin[number]
        ]
        note = "; ".join([f"offsets {', '.join(spans)}", *notes])
        return Batch(files, {str(number): str(offset) for number, offset in after.items()}, note, len(messages))

    def _watermarks(self) -> dict[int, tuple[int, int]]:
        try:
            consumer = self._open()
            timeout = self.source.patience.total_seconds()
            topic = consumer.list_topics(self.source.topic, timeout=timeout).topics[self.source.topic]
            if topic.error is not None:
                raise KafkaException(topic.error)
            places = [TopicPartition(self.source.topic, number) for number in topic.partitions]
            return {place.partition: consumer.get_watermark_offsets(place, timeout=timeout) for place in places}
        except KafkaException as error:
            raise self._explain(error.args[0]) from None

    def _starts(
        self, position: Mapping[str, str], watermarks: Mapping[int, tuple[int, int]]
    ) -> tuple[dict[int, int], list[str]]:
        """Where each partition goes on; a hole before the oldest message is refused, or accepted and told."""
        starts, notes = {}, []
        for number, (low, high) in watermarks.items():
            landed = int(position.get(str(number), low))
            if landed > high:
                problem = (
                    f"partition {number} ends at offset {high}, but landing has come to {landed}: it was made anew"
                )
                raise self._error(problem, "give the new topic another name, or another table")
            if landed < low:
                lost = f"messages {landed} to {low - 1} of partition {number} were deleted before they were landed"
                if self.source.gaps == "refuse":
                    raise self._error(lost, "keep messages longer, and write `gaps: accept` to go on without these")
                notes.append(lost)
            starts[number] = max(landed, low)
        return starts, notes

    def _read(self, begin: Mapping[int, int]) -> tuple[list[Received], dict[int, int]]:
        """Messages from `begin` to the ends, at least `piece_rows` where there are, and the offsets after them."""
        consumer, ends = self._open(), self._ends or {}
        consumer.assign([TopicPartition(self.source.topic, number, offset) for number, offset in begin.items()])
        messages: list[Received] = []
        after, waiting = dict(begin), set(begin)
        patience, heard = self.source.patience.total_seconds(), time.monotonic()
        while waiting and len(messages) < self.source.piece_rows:
            found = consumer.consume(min(FETCH, self.source.piece_rows), timeout=WAIT)
            heard = time.monotonic() if found else heard
            for message in found:
                number = self._take(message, messages, after, waiting)
                if after.get(number, 0) >= ends.get(number, 0):
                    waiting.discard(number)
            if time.monotonic() - heard > patience:
                raise UnreachableError(self._said or f"no answer for {patience:g} s")
        consumer.unassign()
        return messages, after

    def _take(self, message: Message, messages: list[Received], after: dict[int, int], waiting: set[int]) -> int:
        """Keep a message below its partition's end; the end may lie behind it, as transactions leave marks."""
        error, number, offset = message.error(), message.partition() or 0, message.offset() or 0
        if error is not None and error.code() != KafkaError._PARTITION_EOF:
            raise self._explain(error)
        if number in waiting and error is not None:
            after[number] = max(after[number], offset)
            waiting.discard(number)
        elif number in waiting and offset < (self._ends or {}).get(number, 0):
            messages.append(_received(message))
            after[number] = offset + 1
        return number

    def _open(self) -> Consumer:
        if self._consumer is None:
            references = self.context.references
            given = references.resolve_all(self.source.config)
            fixed = {
                "bootstrap.servers": references.resolve(self.source.bootstrap), "group.id": "ml-assets-landing",
                "enable.auto.commit": False, "enable.partition.eof": True, "auto.offset.reset": "error",
                "allow.auto.create.topics": False, "error_cb": self._hear, "log_level": 0,
            }  # fmt: skip
            try:
                self._consumer = Consumer({**given, **fixed})
            except KafkaException as error:
                said = references.mask(error.args[0])
                raise self._error(f"librdkafka refuses its settings: {said}", "correct bootstrap and config") from None
        return self._consumer

    def _hear(self, error: KafkaError) -> None:
        """What a broker connection says meanwhile: told when nothing else comes."""
        self._said = self.context.references.mask(error.str())

    def _explain(self, error: KafkaError) -> Exception:
        said = self.context.references.mask(error.str())
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            return UnreachableError(f"messages were deleted while they were read: {said}")
        if error.code() in FINAL:
            return self._error(f"the broker refuses: {said}", "correct topic, config or the rights")
        return UnreachableError(self._said or said)

    def _error(self, problem: str, remedy: str) -> IngestionError:
        return IngestionError(problem, file=self.context.where, remedy=remedy)


def _received(message: Message) -> Received:
    kind, milliseconds = message.timestamp()
    at = None if kind == TIMESTAMP_NOT_AVAILABLE else moment(milliseconds)
    place = message.partition() or 0, message.offset() or 0
    key, value = as_text(message.key()), as_text(message.value())
    return Received(*place, at, key, headers_text(message.headers()), value)
