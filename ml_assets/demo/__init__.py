"""The main job from the terminal: raw events to a running model server, and a summary of what came of it."""

from ml_assets.demo.run import run_demo

__all__ = ["run_demo"]
