"""A model server whose features are in a Redis that asks for a password."""

import json
from contextlib import closing
from dataclasses import asdict, replace

import httpx
import redis
from pydantic import SecretStr
from redis_server import running_redis
from served_shop import AS_OF, SPEC

from feature_repo.stores import wide_redis_rows, wide_table
from feature_repo.stores.description import description_path, read_description
from serving.deploy.process import start, stop, wait_ready


def copy_online_store(path, client):
    """Put the rows of a sqlite online store into Redis as a materialization would leave them."""
    client.set(wide_redis_rows.DESCRIPTION, description_path(path).read_text())
    with closing(wide_table.open_reader(path, 5.0)) as connection:
        for view in read_description(description_path(path), SPEC.feature_service).views:
            table = view.table
            listed = ", ".join([*table.keys, wide_table.row_column(table)])
            for *leading, last, row in connection.execute(f"select {listed} from {table.table}"):
                client.set(f"{table.table}:1:{wide_redis_rows.suffix(leading, last)}", row)
            client.set(f"{table.table}:definition:1", json.dumps(asdict(table)))
            client.set(f"{table.table}:generation", "1-copied")
            client.set(f"{table.table}:progress", "copied")


def test_the_server_gets_the_password_and_nobody_can_read_it(shop, tmp_path):
    with running_redis(tmp_path, password="s3cret/") as address:
        with redis.Redis.from_url(address, password="s3cret/") as client:
            copy_online_store(shop.settings.online_store, client)
        there = {"online_store_address": f"{address}/0", "redis_password": SecretStr("s3cret/")}
        shop = replace(shop, settings=shop.settings.model_copy(update=there))
        version = shop.version(1)
        pointer = shop.pointer(version)
        shop.point(pointer)
        bento = shop.build(version)
        try:
            handle = start(shop.settings, bento, timeout=90)
            said = wait_ready(handle.url, version.version, deployed_at=AS_OF)
            assert said["problem"] is None and not said["built_in"]
            answer = httpx.post(f"{handle.url}/recommend", json={"customer": "u1"}, trust_env=False).json()
        finally:
            stop(shop.settings, SPEC.name)
        assert answer["degraded"] == []
        serving = shop.settings.model_home(SPEC.name) / "serving"
        kept = [path for path in serving.rglob("*") if path.is_file() and b"s3cret" in path.read_bytes()]
        assert kept == []
