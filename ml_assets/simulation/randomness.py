"""Randomness that depends on (seed, purpose, day) only, never on what was asked for before."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from enum import IntEnum, auto

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Purpose(IntEnum):
    """One independent stream each, so that a draw more in one place changes nothing elsewhere."""

    CUSTOMERS = auto()
    PRODUCTS = auto()
    PRICES = auto()
    VISITS = auto()
    BROWSING = auto()
    DECISIONS = auto()
    AFTERMATH = auto()
    LATENESS = auto()
    FAULTS = auto()
    CATALOGUE_FAULTS = auto()
    SCENARIO = auto()


def stream(seed: int, purpose: Purpose, day: int = 0) -> np.random.Generator:
    """Return the random numbers of one purpose on one day."""
    return np.random.default_rng(np.random.SeedSequence([seed, int(purpose), day]))


def keyed_uniforms(seed: int, requests: Sequence[str], items: Ints, purpose: int) -> Floats:
    """Uniform numbers in [0, 1) that depend on nothing but (seed, request, item, purpose).

    `items` is int64[n, k], one row per request; the answer has its shape. The mixing function is splitmix64
    (Steele, Lea and Flood 2014).
    """
    digests = b"".join(hashlib.blake2b(f"{seed}/{r}".encode(), digest_size=8).digest() for r in requests)
    keys = np.frombuffer(digests, dtype="<u8").reshape(-1, 1)
    mixed = _splitmix(_splitmix(keys ^ np.uint64(purpose)) ^ _splitmix(items.astype(np.uint64)))
    return np.asarray((mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def _splitmix(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    state = state + np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def sigmoid(logit: Floats) -> Floats:
    """Probability of a logit."""
    return np.asarray(1.0 / (1.0 + np.exp(-logit)))
