"""Every item in turn: what fails by an error has failed, and says with which."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.conformance import answers, gate, leakage_injection, reproducibility
from ml_assets.conformance.context import Context, open_subject
from ml_assets.conformance.parity import parity
from ml_assets.conformance.verdict import Conformance, Finding, Verdict, failed

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Item:
    """Something a model must be: its name, what is claimed, and what finds out."""

    name: str
    title: str
    find: Callable[[Context], Finding]


ITEMS = (
    Item("determinism", "Training and scoring repeat to the bit", reproducibility.determinism),
    Item("save and load", "A saved version is the one that was trained", reproducibility.saved),
    Item("parity", "The online store has what the training set would", parity),
    Item("strangers", "Strange requests get an answer or a reason", answers.strangers),
    Item("latency", "Answers come within the promised time", answers.latency),
    Item("baseline", "It beats the best baseline on the test part", gate.better),
    Item("shuffled labels", "What learned nothing is not promoted", gate.shuffled),
    Item("planted leak", "A feature from the future is caught", leakage_injection.leaks),
)

Told = Callable[[Item, int, int], None]


def check_model(
    settings: Settings, spec: ModelSpec, items: Sequence[Item] = ITEMS, progress: Told = lambda item, done, of: None
) -> Conformance:
    """Put a model's champion through every item; changes nothing of the deployment.

    Args:
        settings: the deployment, which is only read.
        spec: the model.
        items: what is looked at, in this order.
        progress: called before each item with it, how many are done and how many there are.

    Raises:
        NothingToCheckError: when there is no champion, or its training set is gone.
        CorruptedVersionError: when the champion's files were altered.
    """
    began = time.perf_counter()
    with open_subject(settings, spec) as subject:
        verdicts = []
        for done, item in enumerate(items):
            progress(item, done, len(items))
            verdicts.append(verdict_of(item, subject))
        return Conformance(
            model=spec.name,
            task=spec.task.value,
            shop=settings.shop,
            version=subject.version.version,
            by_hand=subject.by_hand,
            training_set=subject.dataset.fingerprint,
            at=datetime.now(UTC),
            seconds=round(time.perf_counter() - began, 1),
            verdicts=tuple(verdicts),
        )


def verdict_of(item: Item, subject: Context) -> Verdict:
    """What an item finds; an error is a failure."""
    began = time.perf_counter()
    try:
        found = item.find(subject)
    except Exception as error:
        logger.debug("%s could not be looked at", item.name, exc_info=True)
        found = failed(f"could not be looked at: {type(error).__name__}: {error}")
    seconds = round(time.perf_counter() - began, 1)
    return Verdict(item=item.name, title=item.title, seconds=seconds, **found.model_dump())
