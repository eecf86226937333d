"""When a model is trained again: the cause, what it may cost, and whether it would help at all."""

from ml_assets.retraining.decide import decide
from ml_assets.retraining.facts import Decision, Facts
from ml_assets.retraining.gather import gather
from ml_assets.retraining.journal import record

__all__ = ["Decision", "Facts", "decide", "gather", "record"]
