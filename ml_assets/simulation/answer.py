"""What customers do with a list they are shown: the model that live experiments run against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml_assets.simulation.export import Exporter
from ml_assets.simulation.journey import Looks, cart_chance, purchase_chance
from ml_assets.simulation.market import Scene
from ml_assets.simulation.needs import Needs
from ml_assets.simulation.randomness import Bools, Floats, Ints, keyed_uniforms, sigmoid
from ml_assets.simulation.world import World

_EXAMINE, _CLICK, _CART, _BUY = range(4)


@dataclass(frozen=True)
class Answers:
    """Aligned arrays [requests, positions]: purchased implies carted, carted implies clicked."""

    clicked: Bools
    carted: Bools
    purchased: Bools


def examination(position: Ints) -> Floats:
    """Probability that the eye gets to a position (0 is the top): 1 / (1 + position)^0.6."""
    return np.asarray((1.0 + position) ** -0.6)


class Crowd:
    """Customers in front of one day's market."""

    def __init__(self, scene: Scene, needs: Needs, owned: Ints, exporter: Exporter) -> None:
        self._scene = replace(scene, world=_with_stranger(scene.world))
        self._needs, self._owned, self._exporter = needs, owned, exporter

    def answer(
        self, customer_ids: Sequence[str], shown: Sequence[Sequence[str]], request_ids: Sequence[str]
    ) -> Answers:
        """Draw the answers: a request and a product give the same draw at every position and in every batch.

        Raises:
            ValueError: when the lengths differ, or a product was never in the shop.
        """
        if not len(customer_ids) == len(shown) == len(request_ids):
            raise ValueError(
                f"customer_ids ({len(customer_ids)}), shown ({len(shown)}) and request_ids "
                f"({len(request_ids)}) must be equally long; give one list and one id per customer"
            )
        products = self._grid(shown)
        there = products >= 0
        position = np.broadcast_to(np.arange(products.shape[1]), products.shape)
        click, cart, buy = self._chances(self._rows_of(customer_ids), products)
        draw = [keyed_uniforms(self._scene.spec.seed, request_ids, products, purpose) for purpose in range(4)]
        seen = there & (draw[_EXAMINE] < examination(position))
        clicked = seen & (draw[_CLICK] < click)
        carted = clicked & (draw[_CART] < cart)
        return Answers(clicked, carted, carted & (draw[_BUY] < buy))

    def _chances(self, customer: Ints, products: Ints) -> tuple[Floats, Floats, Floats]:
        """Chance of a click once examined, of a cart once clicked, of a purchase once in the cart."""
        shape = products.shape
        who, what = np.repeat(customer, shape[1]), np.maximum(products, 0).ravel()
        scene = self._scene
        key = scene.keys(who, what)
        need = self._needs.look_up(key, scene.market.day)
        looks = Looks(np.arange(len(who)), who, what, *need, np.isin(key, self._owned))
        click = click_chance(scene, looks) * scene.market.available[what]
        cart, buy = cart_chance(scene, looks), purchase_chance(scene, looks)
        return click.reshape(shape), cart.reshape(shape), buy.reshape(shape)

    def _rows_of(self, customer_ids: Sequence[str]) -> Ints:
        found = pc.index_in(pa.array(customer_ids, pa.string()), value_set=self._exporter.customers)
        return np.asarray(found.fill_null(len(self._exporter.customers)), dtype=np.int64)

    def _grid(self, shown: Sequence[Sequence[str]]) -> Ints:
        """Product numbers [requests, longest list], -1 beyond the end of a list."""
        flat = [product for products in shown for product in products]
        found = pc.index_in(pa.array(flat, pa.string()), value_set=self._exporter.products)
        if found.null_count:
            unknown = flat[found.is_null().to_pylist().index(True)]
            raise ValueError(f"shown: product {unknown!r} was never in this shop; show products of its catalogue")
        lengths = np.array([len(products) for products in shown], dtype=np.int64)
        there = np.arange(int(lengths.max(initial=0))) < lengths[:, None]
        grid = np.full(there.shape, -1, dtype=np.int64)
        grid[there] = np.asarray(found, dtype=np.int64)
        return grid


def click_chance(scene: Scene, looks: Looks) -> Floats:
    """Probability of a click once a product has been examined: interest, taste, appeal and need."""
    market = scene.market
    category = scene.world.products.category[looks.product]
    interest = scene.world.customers.interest[looks.customer, category] * market.season[category]
    relative = np.log(np.maximum(interest * market.season.size, 1e-3))
    logit = -2.2 + 0.45 * relative + 0.5 * scene.match(looks.customer, looks.product)
    logit += 0.25 * market.appeal[looks.product] + 3.0 * looks.urgency
    return sigmoid(logit - 0.5 * scene.dearness(looks.customer, looks.product))


def _with_stranger(world: World) -> World:
    """Append a customer of average interests: whoever the shop does not know."""
    known = world.customers
    return replace(
        world,
        customers=replace(
            known,
            country=np.append(known.country, 0),
            rate=np.append(known.rate, 0.0),
            join=np.append(known.join, 0),
            leave=np.append(known.leave, 0),
            style=np.vstack([known.style, np.zeros_like(known.style[:1])]),
            interest=np.vstack([known.interest, known.interest.mean(axis=0, keepdims=True)]),
            thrift=np.append(known.thrift, 1.0),
            curiosity=np.append(known.curiosity, 1.0),
        ),
    )
