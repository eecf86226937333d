"""The simulated shop: the embedded default source of events, and customers to experiment on."""

from ml_assets.simulation.answer import Answers
from ml_assets.simulation.faults import FaultKind
from ml_assets.simulation.landing import write_days
from ml_assets.simulation.shop import DayFiles, Shop
from ml_assets.simulation.spec import Scenario, SimulationSpec

__all__ = ["Answers", "DayFiles", "FaultKind", "Scenario", "Shop", "SimulationSpec", "write_days"]
