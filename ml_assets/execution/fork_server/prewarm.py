"""Imported last by the fork server, and nowhere else: what every step would do first is done once, before the fork.

The definitions are built, and the location is looked up as a step looks it up: with all those libraries imported,
Python's first `isinstance` against an abstract class alone takes half a second, and remembers the answer.
"""

import gc

from dagster._core.definitions.reconstruct import ReconstructableRepository

location = ReconstructableRepository.for_module("ml_assets.definitions", "defs")
location.get_definition()
location.get_python_origin()

gc.freeze()  # what is here stays: the steps' collectors leave it, and the memory they share, alone
gc.enable()
