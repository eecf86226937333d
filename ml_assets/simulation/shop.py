"""The simulated shop: day by day, the files that its outside world would drop, and customers who answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
import pyarrow as pa

from ml_assets.simulation.answer import Answers, Crowd
from ml_assets.simulation.events import Events
from ml_assets.simulation.export import Exporter
from ml_assets.simulation.faults import MAX_GENUINE_DELAY_DAYS, damage_catalogue, damage_events
from ml_assets.simulation.journey import as_events, decide, look_around
from ml_assets.simulation.market import Market, Scene, next_levels, open_market
from ml_assets.simulation.memory import after, first_needs, owned_after
from ml_assets.simulation.needs import Needs
from ml_assets.simulation.randomness import Floats, Ints, Purpose, stream
from ml_assets.simulation.scenarios import as_tracked, changed_world, surviving_needs
from ml_assets.simulation.spec import SimulationSpec
from ml_assets.simulation.visits import draw_visitors
from ml_assets.simulation.world import World, build_world


@dataclass(frozen=True)
class DayFiles:
    """What arrives on one day: two tables of text columns, and which of their rows are unusable and why.

    `faults` and `product_faults` have the columns row (position in the table) and kind (`FaultKind`).
    They are the truth that tests compare a contract with, and are never written to a file.
    """

    day: date
    events: pa.Table
    products: pa.Table
    faults: pa.Table
    product_faults: pa.Table


@dataclass(frozen=True)
class State:
    """Everything that one day hands to the next: the state at the start of day number `day`."""

    day: int
    needs: Needs
    owned: Ints  # sorted pair keys of durables
    levels: Floats  # price levels of the day before
    listed: Ints  # cents of the day before
    under_way: Events  # happened, not arrived
    arrives: Ints  # day number on which each of them arrives


class Shop:
    """A deterministic shop: days are replayed from the first one as needed, each is always the same."""

    def __init__(self, spec: SimulationSpec) -> None:
        self.spec = spec
        self._world = build_world(spec)
        self._changed = changed_world(spec, self._world)
        self._exporter = Exporter(spec, self._world)
        first = self._first_state()
        self._states = {0: first, 1: first}  # by day number modulo two: today's and tomorrow's
        self._crowd: tuple[int, Crowd] | None = None

    def day(self, day: date) -> DayFiles:
        """Return the files of `day`; raises ValueError before the shop's first day."""
        state = self._state_at(self.spec.number_of(day))
        market, arrived, following = self._step(state)
        self._states[following.day % 2] = following
        return self._files(state, market, arrived)

    def answer(self, customer_id: str, shown: Sequence[str], day: date, request_id: str | None = None) -> Answers:
        """Ask one customer what they do with a list shown on `day`; see `answer_many`."""
        return self.answer_many([customer_id], [shown], day, None if request_id is None else [request_id])

    def answer_many(
        self,
        customer_ids: Sequence[str],
        shown: Sequence[Sequence[str]],
        day: date,
        request_ids: Sequence[str] | None = None,
    ) -> Answers:
        """Ask customers what they do with lists shown on `day`, before that day's own visits.

        The answer to a request depends on the spec, the day, the customer, the list and the request id
        (default: customer and day), not on the other requests. Customers the shop does not know have
        average interests.

        Returns:
            Arrays [requests, longest list]; positions beyond a shorter list are False.

        Raises:
            ValueError: when the lengths differ, or a product was never in the shop.
        """
        if request_ids is None:
            request_ids = [f"{customer}@{day}" for customer in customer_ids]
        return self._crowd_on(self.spec.number_of(day)).answer(customer_ids, shown, request_ids)

    def world_on(self, day: date) -> World:
        """Return the hidden truth in force on `day`: for tests and oracles only."""
        scenario = self.spec.scenario
        return self._changed if scenario and day >= scenario.day else self._world

    def _crowd_on(self, number: int) -> Crowd:
        """The customers of a day; kept until another day is asked for."""
        if self._crowd is None or self._crowd[0] != number:
            state = self._state_at(number)
            self._crowd = number, Crowd(*self._scene(state), state.owned, self._exporter)
        return self._crowd[1]

    def _first_state(self) -> State:
        levels = np.ones(len(self._world.products.category))
        listed = np.full(len(levels), -1, dtype=np.int64)
        market = open_market(self.spec, self._world, levels, 0)
        needs = first_needs(Scene(self.spec, self._world, market))
        nothing = np.zeros(0, dtype=np.int64)
        return State(0, needs, nothing, levels, listed, Events.none(), nothing)

    def _state_at(self, number: int) -> State:
        known = [s for s in self._states.values() if s.day <= number]
        state = max(known, key=lambda s: s.day) if known else self._first_state()
        while state.day < number:
            _, _, state = self._step(state)
            self._states[state.day % 2] = state
        return state

    def _scene(self, state: State) -> tuple[Scene, Needs]:
        """The day that follows from a state, and the needs with which customers get up on it."""
        spec, day = self.spec, state.day
        levels = next_levels(spec, state.levels, day) if day else state.levels
        world = self.world_on(spec.start + timedelta(days=day))
        market = open_market(spec, world, levels, day)
        return Scene(spec, world, market), surviving_needs(spec, state.needs, day)

    def _step(self, state: State) -> tuple[Market, Events, State]:
        """Live through one day: (its market, the clean events that arrive on it, the next state)."""
        scene, needs = self._scene(state)
        visitors = draw_visitors(self.spec, scene.world, needs, state.day)
        looks = look_around(scene, needs, state.owned, visitors)
        rng = stream(self.spec.seed, Purpose.DECISIONS, state.day)
        outcome = decide(scene, looks, rng)
        events = as_tracked(self.spec, as_events(scene, looks, outcome, rng), state.day)
        arrived, under_way, arrives = self._deliver(state, events)
        following = State(
            day=state.day + 1,
            needs=after(scene, needs, looks, outcome),
            owned=owned_after(scene, state.owned, looks, outcome),
            levels=scene.market.levels,
            listed=scene.market.cents,
            under_way=under_way,
            arrives=arrives,
        )
        return scene.market, arrived, following

    def _deliver(self, state: State, events: Events) -> tuple[Events, Events, Ints]:
        """Split what is under way into what arrives today and what comes later."""
        rng = stream(self.spec.seed, Purpose.LATENESS, state.day)
        late = rng.random(len(events)) < self.spec.late_share
        delay = np.where(late, rng.integers(1, MAX_GENUINE_DELAY_DAYS + 1, len(events)), 0)
        waiting = state.under_way.followed_by(events)
        arrives = np.concatenate([state.arrives, state.day + delay])
        now, later = np.flatnonzero(arrives <= state.day), np.flatnonzero(arrives > state.day)
        return waiting.take(now), waiting.take(later), arrives[later]

    def _files(self, state: State, market: Market, arrived: Events) -> DayFiles:
        spec = self.spec
        day = spec.start + timedelta(days=state.day)
        midnight = datetime.combine(day, datetime.min.time())
        products = self.world_on(day).products
        changes = market.available & (market.cents != state.listed)
        changes |= (products.launch == state.day) | (products.retire == state.day)
        catalogue = self._exporter.catalogue(market, np.flatnonzero(changes))
        events, faults = damage_events(
            self._exporter.events(arrived),
            spec.dirty_share,
            midnight,
            stream(spec.seed, Purpose.FAULTS, state.day),
        )
        catalogue, product_faults = damage_catalogue(
            catalogue, spec.dirty_share, midnight, stream(spec.seed, Purpose.CATALOGUE_FAULTS, state.day)
        )
        return DayFiles(day, events, catalogue, faults, product_faults)
