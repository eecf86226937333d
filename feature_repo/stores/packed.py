"""The form a row of features has in every online store: packed, so that a hundred rows become one matrix at once.

A packed row is little-endian words of 8 bytes: the event time (unix microseconds), the whole numbers (integers,
booleans, timestamps in unix seconds), the floats, then the length of each text, followed by the texts (UTF-8).
Null and NaN are both missing: the smallest integer, NaN, length -1.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

MISSING = -(2**63)
WHOLE = ("int", "bool", "timestamp")
TEXT = ("string", "bytes")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class WideTable:
    """One view's table: its name, join keys, and (feature, kind) in the view's order.

    Kinds: string, int, bool, timestamp, float, bytes. `ttl_seconds` 0: rows never expire.
    """

    table: str
    keys: tuple[str, ...]
    features: tuple[tuple[str, str], ...]
    ttl_seconds: float = 0.0

    def to_json(self) -> str:
        """The table as JSON, the same bytes for equal tables."""
        return json.dumps(asdict(self), sort_keys=True)

    @staticmethod
    def from_dict(known: Mapping[str, Any]) -> WideTable:
        """The table that `to_json` described."""
        features = tuple((name, kind) for name, kind in known["features"])
        return WideTable(known["table"], tuple(known["keys"]), features, known["ttl_seconds"])

    @cached_property
    def form(self) -> str:
        """A digest of what stands where in a packed row: rows of another form cannot be read with this table."""
        return hashlib.sha256(json.dumps([self.keys, self.features]).encode()).hexdigest()[:12]

    @cached_property
    def layout(self) -> Layout:
        """Where each value stands in a packed row."""
        return Layout(self.features)


class Layout:
    """Packs and unpacks the rows of one table.

    Attributes:
        whole, floats, texts: names of the features of each sort, in the row's order.
        numbers: `whole`, then `floats`.
    """

    def __init__(self, features: Sequence[tuple[str, str]]) -> None:
        self.whole = [name for name, kind in features if kind in WHOLE]
        self.floats = [name for name, kind in features if kind == "float"]
        self.texts = [name for name, kind in features if kind in TEXT]
        self.numbers = [*self.whole, *self.floats]
        self._kinds = dict(features)
        self._struct = struct.Struct(f"<{1 + len(self.whole)}q{len(self.floats)}d{len(self.texts)}q")
        self._nothing = self._struct.pack(
            *[MISSING] * (1 + len(self.whole)), *[np.nan] * len(self.floats), *[-1] * len(self.texts)
        )

    @property
    def size(self) -> int:
        """Bytes of a row before its texts."""
        return self._struct.size

    def pack(self, values: Mapping[str, Any], event_micros: int) -> bytes:
        """One row; a value that is None or not there is missing."""
        whole = [MISSING if (value := values.get(name)) is None else int(value) for name in self.whole]
        floats = [np.nan if (value := values.get(name)) is None else value for name in self.floats]
        texts = [_encoded(values.get(name)) for name in self.texts]
        sizes = [-1 if text is None else len(text) for text in texts]
        return self._struct.pack(event_micros, *whole, *floats, *sizes) + b"".join(text for text in texts if text)

    def unpack(self, row: bytes) -> tuple[int, dict[str, Any]]:
        """The event time in unix microseconds and the features, None where missing."""
        event_micros, *words = self._struct.unpack_from(row)
        values: dict[str, Any] = dict(zip([*self.numbers, *self.texts], words, strict=True))
        at = self.size
        for name, value in values.items():
            kind = self._kinds[name]
            if kind in TEXT:
                text = row[at : at + max(value, 0)]
                values[name] = None if value < 0 else text.decode() if kind == "string" else text
                at += max(value, 0)
            elif value == MISSING if kind in WHOLE else math.isnan(value):
                values[name] = None
            elif kind == "bool":
                values[name] = bool(value)
        return event_micros, values

    def numbers_of(self, rows: Sequence[bytes | None]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The numbers of n rows as float64: [n, 1 + whole] (event time in unix microseconds first), [n, floats].

        NaN where a value, or the row itself (None), is missing.

        Raises:
            TypeError, ValueError: when a row is not of this form.
        """
        size, nothing = self._struct.size, self._nothing
        if self.texts:
            joined = b"".join([nothing if row is None else row[:size] for row in rows])
        else:
            joined = b"".join([nothing if row is None else row for row in rows])
        words = np.frombuffer(joined, "<i8").reshape(len(rows), size // 8)
        split = 1 + len(self.whole)
        whole = words[:, :split].astype(np.float64)
        whole[whole == float(MISSING)] = np.nan
        return whole, words.view("<f8")[:, split : split + len(self.floats)]


def microseconds(when: datetime) -> int:
    """Unix microseconds of a naive (UTC) or zoned moment, exactly."""
    since = (when if when.tzinfo else when.replace(tzinfo=UTC)) - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _encoded(text: str | bytes | None) -> bytes | None:
    return text.encode() if isinstance(text, str) else text
