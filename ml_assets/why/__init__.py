"""Why something was shown, from the answer back to the raw file; and whether a model can be made again to the bit."""

from ml_assets.why.explain import UnknownPredictionError, why
from ml_assets.why.explanation import Explanation
from ml_assets.why.reproduce import Reproduction, reproduce
from ml_assets.why.show import show

__all__ = ["Explanation", "Reproduction", "UnknownPredictionError", "reproduce", "show", "why"]
