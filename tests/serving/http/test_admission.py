"""A model server that asks for a key: who has it is answered, nobody can read it, and a new one takes effect."""

import os
from dataclasses import replace
from pathlib import Path

import httpx
import psutil
import pytest
from pydantic import SecretStr
from served_shop import SPEC

from ml_assets.config.settings import Settings
from serving.deploy.probe import about_customers, probe
from serving.deploy.process import start, stop, wait_ready
from serving.http.admission import open_to_all

KEY, NEWER = "first-key-of-this-test-1", "newer-key-of-this-test-2"


def statuses(url, headers):
    """Status of an answer, of feedback, of the metrics, and of a page of BentoML's."""
    asked = {"headers": headers, "trust_env": False, "timeout": 20}
    return (
        httpx.post(f"{url}/recommend", json={"customer": "u1"}, **asked).status_code,
        httpx.post(f"{url}/feedback", json={}, **asked).status_code,
        httpx.get(f"{url}/metrics", **asked).status_code,
        httpx.get(f"{url}/schema.json", **asked).status_code,
    )


def test_the_whole_life_of_a_key(shop):
    def with_key(key):
        secret = SecretStr(key) if key else None
        return replace(shop, settings=shop.settings.model_copy(update={"api_key": secret})).settings

    version = shop.version(1)
    shop.point(shop.pointer(version))
    bento = shop.build(version)
    try:
        first = start(with_key(KEY), bento, timeout=90)
        wait_ready(first.url, version.version)  # asks without a key
        assert statuses(first.url, {}) == (401, 401, 401, 401)
        assert statuses(first.url, {"x-api-key": NEWER}) == (401, 401, 401, 401)
        assert statuses(first.url, with_key(KEY).key_header) == (200, 422, 200, 200)
        assert statuses(first.url, {"x-api-key": KEY}) == (200, 422, 200, 200)
        asked = httpx.get(f"{first.url}/metrics", headers=with_key(KEY).key_header, trust_env=False).text
        assert 'requests_turned_away_total{status="401"} 8.0' in asked
        route, asked = SPEC.serving.route, about_customers(["u1"], version.version)
        assert probe(first.url, route, asked, headers=with_key(KEY).key_header).ok
        assert not probe(first.url, route, asked).ok
        assert start(with_key(KEY), bento).pid == first.pid
        family = [psutil.Process(first.pid), *psutil.Process(first.pid).children(recursive=True)]
        assert not [each for each in family if KEY in " ".join(each.cmdline())]
        second = start(with_key(NEWER), bento, timeout=90)
        assert second.started
        assert statuses(second.url, {"x-api-key": KEY})[0] == 401
        assert statuses(second.url, {"x-api-key": NEWER})[0] == 200
        third = start(with_key(None), bento, timeout=90)
        assert (third.started, statuses(third.url, {})[0]) == (True, 200)
    finally:
        stop(shop.settings, SPEC.name)
    files = [path for path in shop.settings.home.rglob("*") if path.is_file()]
    assert not [path for path in files if KEY.encode() in path.read_bytes() or NEWER.encode() in path.read_bytes()]
    assert os.environ.get("ML_ASSETS_API_KEY", "") == ""


def test_a_foreign_page_is_refused_over_http(server):
    told = {"origin": "http://evil.example"}
    assert server.client.post("/recommend", json={"customer": "u1"}, headers=told).status_code == 403
    plain = {"content-type": "text/plain"}
    assert server.client.post("/recommend", content=b"{}", headers=plain).status_code == 415
    assert server.client.post("/feedback", content=b"{}", headers=plain).status_code == 415


@pytest.mark.parametrize(
    ("given", "warned"),
    [
        ({}, False), ({"host": "::1"}, False), ({"host": "localhost"}, False), ({"host": "0.0.0.0"}, True),
        ({"host": "10.0.0.5"}, True), ({"host": "0.0.0.0", "api_key": KEY}, False),
    ],
)  # fmt: skip
def test_a_server_open_to_all_is_said_to_be(given, warned):
    settings = Settings(home=Path("/nowhere"), shop="simulated", **given)
    said = open_to_all(settings.host, settings)
    assert (said is not None) is warned
    assert said is None or "ML_ASSETS_API_KEY" in said
