"""A new champion is taken up without dropping a request; what is corrupt never serves."""

import threading
import time

import httpx
import pytest

from ml_assets.registry.pointer import pointer_path
from serving.process import wait_ready


class Load(threading.Thread):
    """A client that keeps asking and keeps what it got."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.url = url
        self.answers: list[tuple[str, float, float]] = []
        self.failures: list[object] = []
        self.ending = threading.Event()

    def run(self) -> None:
        with httpx.Client(base_url=self.url, trust_env=False, timeout=20) as client:
            while not self.ending.is_set():
                try:
                    answer = client.post("/recommend", json={"customer": "u1", "k": 5})
                    body = answer.json()
                    self.answers.append((body["model_version"], min(body["scores"]), max(body["scores"])))
                except Exception as error:
                    self.failures.append(error)
                time.sleep(0.005)


def test_twenty_swaps_under_load_lose_and_mix_nothing(server):
    server.serve(0, deployment=200)
    clients = [Load(server.handle.url) for _ in range(3)]
    for client in clients:
        client.start()
    for swap in range(1, 21):
        server.serve(swap % 4, deployment=200 + swap)
    for client in clients:
        client.ending.set()
        client.join(20)
    level = {version.version: number for number, version in enumerate(server.versions)}
    answers = [answer for client in clients for answer in client.answers]
    assert [failure for client in clients for failure in client.failures] == []
    assert {version for version, _, _ in answers} == set(level)
    for version, lowest, highest in answers:
        assert level[version] - 0.5 < lowest <= highest < level[version] + 0.5


def spoil_model(shop, pointer):
    folder = pointer.model_path.with_name("spoiled")
    folder.mkdir(exist_ok=True)
    for file in pointer.model_path.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "booster.txt").write_text("tree\nnot a booster\n")
    return pointer.model_copy(update={"model_path": folder})


CORRUPT = {
    "model bytes": (spoil_model, "is not what was deployed"),
    "missing model": (
        lambda shop, pointer: pointer.model_copy(update={"model_path": pointer.model_path / "gone"}),
        "no model file",
    ),
    "wrong index": (
        lambda shop, pointer: pointer.model_copy(update={"index_sha256": "0" * 64}),
        "retrieval index",
    ),
    "no online store": (
        lambda shop, pointer: pointer.model_copy(update={"online_store": pointer.model_path / "no.db"}),
        "no online store",
    ),
    "wrong version": (
        lambda shop, pointer: pointer.model_copy(update={"model_version": "another"}),
        "not another",
    ),
    "another model": (
        lambda shop, pointer: pointer.model_copy(update={"model_name": "other"}),
        "is for other",
    ),
}


@pytest.mark.parametrize("what", CORRUPT)
def test_a_corrupt_version_never_serves(server, ask, what):
    serving = server.serve(0, deployment=300)
    refused = server.metric('model_swaps_total{outcome="rejected"}')
    spoil, reason = CORRUPT[what]
    server.shop.point(spoil(server.shop, server.shop.pointer(server.versions[1], deployment=301)))
    deadline = time.monotonic() + 20
    while server.metric('model_swaps_total{outcome="rejected"}') == refused and time.monotonic() < deadline:
        assert ask(customer="u1").json()["model_version"] == serving.model_version
    ready = server.client.get("/readyz").json()
    assert ready["model_version"] == serving.model_version
    assert reason in ready["problem"]
    server.serve(2, deployment=302)
    assert server.client.get("/readyz").json()["problem"] is None


@pytest.mark.parametrize("text", [None, "", "{", '{"model_version": "x"}'])
def test_a_broken_or_removed_pointer_changes_nothing(server, ask, text):
    serving = server.serve(1, deployment=400)
    path = pointer_path(server.shop.settings, "ranker")
    refused = server.metric('model_swaps_total{outcome="rejected"}')
    path.unlink() if text is None else path.write_text(text)
    deadline = time.monotonic() + 20
    while server.metric('model_swaps_total{outcome="rejected"}') == refused and time.monotonic() < deadline:
        time.sleep(0.05)
    assert ask(customer="u1").json()["model_version"] == serving.model_version
    assert server.client.get("/readyz").json()["problem"]
    path.unlink(missing_ok=True)
    server.serve(0, deployment=401)


def test_a_newer_as_of_of_the_same_version_is_taken_up(server):
    from datetime import timedelta

    pointer = server.serve(0, deployment=500)
    newer = pointer.model_copy(
        update={"as_of": pointer.as_of + timedelta(days=1), "deployed_at": pointer.deployed_at + timedelta(1)}
    )
    server.shop.point(newer)
    said = wait_ready(server.handle.url, newer.model_version, 20, newer.deployed_at)
    assert said["as_of"] == newer.as_of.isoformat()
