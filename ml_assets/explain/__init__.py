"""Why something was shown, from the answer back to the raw file; and whether a model can be made again to the bit."""

from ml_assets.explain.explain import UnknownPredictionError, why
from ml_assets.explain.explanation import EventExplanation, Explanation, ListExplanation
from ml_assets.explain.reproduce import Reproduction, reproduce
from ml_assets.explain.show import show

__all__ = [
    "EventExplanation",
    "Explanation",
    "ListExplanation",
    "Reproduction",
    "UnknownPredictionError",
    "reproduce",
    "show",
    "why",
]
