"""What does not change from day to day: who the customers are, what the products are, how they match."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ml_assets.simulation.randomness import Bools, Floats, Ints, Purpose, stream
from ml_assets.simulation.spec import SimulationSpec

NEVER = 10**6
"""A day number that never comes."""
STYLES = 6
"""Dimensions of the latent space in which customers and products match."""
NOVELTIES = 25
"""Products of the category that only the new_category scenario launches."""
COUNTRIES = ("DE", "FR", "GB", "NL", "AT", "PL")
_COUNTRY_SHARES = (0.42, 0.22, 0.14, 0.10, 0.07, 0.05)
_GOODS_IN_WORDS = (
    "coffee tea chocolate pasta rice cereal juice water wine beer cheese yoghurt bread snacks spices sauces "
    "soap shampoo toothpaste detergent tissues nappies petfood vitamins candles batteries lightbulbs paper "
    "towels bedding cookware glassware cutlery lamps plants toys games books headphones chargers bags"
)
_GOODS = tuple(_GOODS_IN_WORDS.split())
_ADJECTIVES = ("Alpine", "Classic", "Fine", "Golden", "Green", "Little", "Royal", "Simple", "Urban", "Wild")


@dataclass(frozen=True)
class Categories:
    """One entry per category; the last one is the novelty that waits for its scenario."""

    names: tuple[str, ...]
    consumable: Bools
    cycle: Floats  # days between purchases of a consumable
    season_size: Floats  # amplitude of the yearly season, 0..1
    season_peak: Floats  # day of the year
    members: tuple[Ints, ...]  # products of each category


@dataclass(frozen=True)
class Products:
    """One entry per product; the last `NOVELTIES` belong to the novelty category."""

    category: Ints
    appeal: Floats  # log popularity within the category
    style: NDArray[np.float32]  # [products, STYLES]
    base_price: Floats
    launch: Ints  # day number; 0 is there from the start
    retire: Ints
    trend_days: Floats  # period of the slow wave of popularity
    trend_phase: Floats
    complement: Ints  # what people look at next


@dataclass(frozen=True)
class Customers:
    """One entry per registered customer."""

    country: Ints  # index into COUNTRIES; len(COUNTRIES) is unknown
    rate: Floats  # relative frequency of visits, 0 for the dormant
    join: Ints  # day number, negative for old customers
    leave: Ints
    style: NDArray[np.float32]  # [customers, STYLES]
    interest: NDArray[np.float32]  # [customers, categories], rows sum to one before the novelty
    thrift: Floats  # sensitivity to price
    curiosity: Floats  # mean number of products looked at per visit


@dataclass(frozen=True)
class World:
    """The truth behind the shop, hidden from everything that learns from its events."""

    categories: Categories
    products: Products
    customers: Customers


def build_world(spec: SimulationSpec) -> World:
    """Draw the world of a spec; it depends on the seed and the sizes, not on the scenario."""
    rng = stream(spec.seed, Purpose.PRODUCTS)
    weights = _zipf(spec.categories, 0.6)
    sizes = _category_sizes(spec, weights)
    categories = _draw_categories(spec, sizes, rng)
    products = _draw_products(spec, sizes, categories, rng)
    customers = _draw_customers(spec, np.log(_zipf(spec.categories, 0.9)))
    return World(categories, products, customers)


def _zipf(count: int, exponent: float) -> Floats:
    weights = np.arange(1, count + 1, dtype=np.float64) ** -exponent
    return np.asarray(weights / weights.sum())


def _category_sizes(spec: SimulationSpec, weights: Floats) -> Ints:
    """At least three products each, the rest by weight; the sizes add up to `spec.products`."""
    spare = spec.products - 3 * spec.categories
    sizes = 3 + np.floor(weights * spare).astype(np.int64)
    sizes[: spec.products - int(sizes.sum())] += 1
    return np.append(sizes, NOVELTIES)


def _draw_categories(spec: SimulationSpec, sizes: Ints, rng: np.random.Generator) -> Categories:
    count = len(sizes)
    order = rng.permutation(count - 1)
    names = [_GOODS[i % len(_GOODS)] + (f"-{i // len(_GOODS) + 1}" if i >= len(_GOODS) else "") for i in order]
    consumable = rng.random(count) < 0.6
    consumable[0] = True  # the biggest category always has repeat buyers
    bounds = np.concatenate([[0], np.cumsum(sizes)])
    return Categories(
        names=(*names, "novelties"),
        consumable=consumable,
        cycle=np.exp(rng.uniform(np.log(9), np.log(60), count)),
        season_size=np.where(rng.random(count) < 0.4, rng.uniform(0.2, 0.7, count), 0.0),
        season_peak=rng.uniform(0, 365, count),
        members=tuple(np.arange(a, b) for a, b in pairwise(bounds)),
    )


def _draw_products(spec: SimulationSpec, sizes: Ints, categories: Categories, rng: np.random.Generator) -> Products:
    count = int(sizes.sum())
    category = np.repeat(np.arange(len(sizes)), sizes)
    ranks = np.concatenate([rng.permutation(size) + 1 for size in sizes])
    launch = np.where(rng.random(count) < 0.13, rng.integers(1, 365, count), 0)
    retire = np.where(rng.random(count) < 0.12, launch + rng.integers(30, 500, count), NEVER)
    launch[-NOVELTIES:], retire[-NOVELTIES:] = NEVER, NEVER
    level = np.exp(rng.normal(np.log(12), 0.8, len(sizes)))
    centres = rng.normal(0, 0.5, (len(sizes), STYLES))
    return Products(
        category=category,
        appeal=-0.75 * np.log(ranks),
        style=(centres[category] + rng.normal(0, 0.9, (count, STYLES))).astype(np.float32),
        base_price=np.clip(level[category] * np.exp(rng.normal(0, 0.45, count)), 0.5, 400.0),
        launch=launch,
        retire=retire,
        trend_days=rng.uniform(50, 160, count),
        trend_phase=rng.uniform(0, 2 * np.pi, count),
        complement=rng.integers(0, count - NOVELTIES, count),
    )


def _draw_customers(spec: SimulationSpec, log_category: Floats) -> Customers:
    rng = stream(spec.seed, Purpose.CUSTOMERS)
    count, categories = spec.customers, spec.categories
    segment = rng.choice(spec.segments, count, p=_zipf(spec.segments, 0.5))
    country = rng.choice(len(COUNTRIES), count, p=_COUNTRY_SHARES)
    by_segment = rng.normal(0, 1.3, (spec.segments, categories))
    by_country = rng.normal(0, 0.35, (len(COUNTRIES), categories))
    logits = log_category + by_segment[segment] + by_country[country] + rng.normal(0, 1.1, (count, categories))
    interest = np.exp(logits - logits.max(axis=1, keepdims=True))
    interest = np.column_stack([interest / interest.sum(axis=1, keepdims=True), np.zeros(count)])
    centres = rng.normal(0, 0.8, (spec.segments, STYLES))
    join = np.where(rng.random(count) < 0.7, -1, np.floor(rng.exponential(220, count)).astype(np.int64))
    rate = np.where(rng.random(count) < spec.dormant_share, 0.0, np.exp(rng.normal(0, 0.9, count)))
    return Customers(
        country=np.where(rng.random(count) < 0.01, len(COUNTRIES), country),
        rate=rate,
        join=join,
        leave=np.maximum(join, 0) + 1 + np.floor(rng.exponential(400, count)).astype(np.int64),
        style=(centres[segment] + rng.normal(0, 0.6, (count, STYLES))).astype(np.float32),
        interest=interest.astype(np.float32),
        thrift=np.exp(rng.normal(0, 0.4, count)),
        curiosity=np.exp(rng.normal(np.log(5.7), 0.35, count)),
    )


def _category_name(number: int) -> str:
    again, good = divmod(number, len(_GOODS))
    return f"{_GOODS[good]}-{again + 1}" if again else _GOODS[good]


def product_names(world: World) -> list[str]:
    """A readable name per product."""
    names = world.categories.names
    return [
        f"{_ADJECTIVES[i % len(_ADJECTIVES)]} {names[category].title()} {i // len(_ADJECTIVES) + 1}"
        for i, category in enumerate(world.products.category.tolist())
    ]
