"""Packed rows in Redis: how they are named, read in one command, and written so that nothing newer is lost.

Of a table `t`, the string `t:generation` holds `<number>-<form>`; the row of a key is the string
`t:<number>:<key>`. A rebuild writes the next generation aside and swaps the number, so a reader that asks for the
number and the rows in one MGET sees all of a generation or nothing of it. Beside them: `t:definition:<number>`
(JSON), `t:building` (the generation being written; pushes go into both), `t:pushed` (keys whose row did not come
from the offline store) and `t:progress`; for all tables together, `stale_generations` (to be removed) and
`feature_services`. Made for one Redis, or one primary with replicas, not for a cluster; a database belongs to one
deployment.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from feature_repo.stores.description import OnlineStoreError
from feature_repo.stores.packed import WideTable
from ml_assets.config.settings import load_settings

STALE = "stale_generations"
DESCRIPTION = "feature_services"
"""Key of the feature services' description."""
TRIES = 5
CONNECT_SECONDS = 5.0

_COMMON = """
local name = KEYS[1]
local function value(of) return redis.call('GET', name .. ':' .. of) or '' end
local function numbered(generation, form) return string.match(generation, '^(%d+)%-' .. form .. '$') end
local function moment(row) return (struct.unpack('<i8', row)) end
local function put(key, row, life)
  if life > 0 then redis.call('SET', key, row, 'PX', life) else redis.call('SET', key, row) end
end
local function start(form, definition)
  local number = string.format('%.0f', redis.call('INCR', name .. ':counter'))
  redis.call('SET', name .. ':definition:' .. number, definition)
  return number
end
local function serve(number, form)
  local old = string.match(value('generation'), '^%d+')
  if old then redis.call('SADD', 'stale_generations', name .. ':' .. old) end
  redis.call('SREM', 'stale_generations', name .. ':' .. number)
  redis.call('SET', name .. ':generation', number .. '-' .. form)
end
"""

WRITE = (
    _COMMON
    + """
local mode, form, definition, life = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local building, current = numbered(value('building'), form), numbered(value('generation'), form)
if mode == 'build' then
  if not building then return redis.error_reply('GONE another materialization has taken over') end
elseif not current then
  current = start(form, definition)
  serve(current, form)
  redis.call('DEL', name .. ':pushed', name .. ':progress')
end
local function newer(number, key, row)
  local there = number and redis.call('GETRANGE', name .. ':' .. number .. ':' .. key, 0, 7) or ''
  return there == '' or moment(row) >= moment(there)
end
local function write(number, key, row)
  if number and newer(number, key, row) then put(name .. ':' .. number .. ':' .. key, row, life) end
end
local marked = mode == 'push' or redis.call('EXISTS', name .. ':pushed') == 1
for at = 5, #ARGV, 2 do
  local key, row = ARGV[at], ARGV[at + 1]
  if marked and newer(current, key, row) then
    redis.call(mode == 'push' and 'SADD' or 'SREM', name .. ':pushed', key)
  end
  write(building, key, row)
  if mode ~= 'build' then write(current, key, row) end
end
return 'OK'
"""
)
"""Write rows unless newer ones are there. KEYS: table. ARGV: `push`, `advance` or `build`; form; definition;
milliseconds until rows may be forgotten (0: never); then key, row, key, row, ..."""

BEGIN = (
    _COMMON
    + """
local number = start(ARGV[1], ARGV[2])
redis.call('SADD', 'stale_generations', name .. ':' .. number)
redis.call('SET', name .. ':building', number .. '-' .. ARGV[1])
return number
"""
)
"""Begin a generation. KEYS: table. ARGV: form, definition."""

CARRY = (
    _COMMON
    + """
local form, life = ARGV[1], tonumber(ARGV[2])
local current, building = numbered(value('generation'), form), numbered(value('building'), form)
for at = 3, #ARGV do
  local row = current and redis.call('GET', name .. ':' .. current .. ':' .. ARGV[at])
  if not row then
    redis.call('SREM', name .. ':pushed', ARGV[at])
  elseif building then
    local place = name .. ':' .. building .. ':' .. ARGV[at]
    local there = redis.call('GETRANGE', place, 0, 7)
    if there == '' or moment(row) > moment(there) then put(place, row, life) end
  end
end
return 'OK'
"""
)
"""Take pushed rows over into the generation being written. KEYS: table. ARGV: form, milliseconds, keys."""

NOTE = (
    _COMMON
    + """
if redis.call('GET', KEYS[2]) ~= ARGV[1] then
  return redis.error_reply('GONE another materialization has taken over')
end
local building = value('building')
if ARGV[2] == 'swap' then
  serve(string.match(building, '^%d+'), string.match(building, '%-(.*)$'))
end
redis.call('DEL', name .. ':building')
redis.call('HSET', name .. ':progress', unpack(ARGV, 3))
return 'OK'
"""
)
"""Note progress, and serve what was built. KEYS: table, lock. ARGV: its token; `swap` or `stay`; fields."""

SWEEP = """
local found, gone = redis.call('SCAN', ARGV[1], 'COUNT', 1000), {}
for _, key in ipairs(found[2]) do
  for at = 2, #ARGV do
    if string.sub(key, 1, #ARGV[at]) == ARGV[at] then table.insert(gone, key) end
  end
end
if #gone > 0 then redis.call('UNLINK', unpack(gone)) end
return found[1]
"""
"""Remove keys that begin so, out of some; returns where to go on, in the end 0. ARGV: where, beginnings."""


@dataclass(frozen=True)
class Seen:
    """The generations last seen of some tables, and the tables as these hold them (None: there is none)."""

    generations: tuple[bytes | None, ...]
    tables: tuple[WideTable | None, ...]


def connect(address: str, patience: float | None = None) -> redis.Redis:
    """A client for `redis://host:port/db`; the password comes from the settings. It tries everything once.

    With `patience`, every answer is waited for so many seconds at most.
    """
    secret = load_settings().redis_password
    client: redis.Redis = redis.Redis.from_url(
        address,
        password=secret.get_secret_value() if secret else None,
        socket_timeout=patience,
        socket_connect_timeout=min(patience or CONNECT_SECONDS, CONNECT_SECONDS),
        retry=Retry(NoBackoff(), 0),
    )
    return client


@contextmanager
def told(address: str) -> Iterator[None]:
    """Turn whatever the client raises into an OnlineStoreError that names the address."""
    try:
        yield
    except (redis.RedisError, OSError) as error:
        raise OnlineStoreError(f"{address} cannot be read or written: {error}") from error


def suffix(leading: Sequence[str], last: str) -> str:
    """The end of a row's name: unambiguous, whatever the parts of its key hold."""
    return f"{''.join(f'{len(part)}:{part}:' for part in leading)}{last}"


def parts_of(end: str, count: int) -> list[str]:
    """The parts of the key that `suffix` made a row's name of."""
    parts = []
    for _ in range(count - 1):
        length, _, rest = end.partition(":")
        parts.append(rest[: int(length)])
        end = rest[int(length) + 1 :]
    return [*parts, end]


def look(client: Any, names: Sequence[str]) -> Seen:
    """See what there is now."""
    generations = client.mget([f"{name}:generation" for name in names])
    numbers = [generation.partition(b"-")[0].decode() if generation else "" for generation in generations]
    texts = client.mget([f"{name}:definition:{number}" for name, number in zip(names, numbers, strict=True)])
    tables = tuple(WideTable.from_dict(json.loads(text)) if text else None for text in texts)
    return Seen(tuple(generations), tables)


def fetch(
    client: Any, names: Sequence[str], seen: Seen | None, wanted: Sequence[tuple[int, Sequence[str]]]
) -> tuple[Seen, list[list[bytes | None]]]:
    """The rows of each (place in `names`, suffixes), all of one moment and of the generations returned.

    One MGET, as long as the generations are those last `seen`.

    Raises:
        OnlineStoreError: when they keep changing under the read.
    """
    guards = [f"{name}:generation" for name in names]
    for _ in range(TRIES):
        seen = seen or look(client, names)
        numbers = [generation.partition(b"-")[0].decode() if generation else "" for generation in seen.generations]
        prefixes = [f"{name}:{number}:" for name, number in zip(names, numbers, strict=True)]
        keys = chain.from_iterable([prefixes[place] + key for key in suffixes] for place, suffixes in wanted)
        found = iter(client.mget([*guards, *keys]))
        if tuple(next(found) for _ in guards) == seen.generations:
            return seen, [[next(found) for _ in suffixes] for _, suffixes in wanted]
        seen = None
    raise OnlineStoreError(f"{', '.join(names)}: written anew again and again while it was read")
