"""Releases: a challenger's way from shadow over a canary to everybody, or back. No Dagster here."""

from ml_assets.release.choice import Choice, TakenBack, choose, standing_champion, taken_back
from ml_assets.release.control import Blocked, begin, progress, roll_back, step
from ml_assets.release.judge import Action, Verdict, judge
from ml_assets.release.served import Served, served_at

__all__ = [
    "Action",
    "Blocked",
    "Choice",
    "Served",
    "TakenBack",
    "Verdict",
    "begin",
    "choose",
    "judge",
    "progress",
    "roll_back",
    "served_at",
    "standing_champion",
    "step",
    "taken_back",
]
