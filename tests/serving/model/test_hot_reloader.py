"""A new champion is taken up without dropping a request; what is corrupt never serves."""

import time

import pytest
from served_shop import SPEC

from benchmarks.swap_load import Account, Lasted, State, swap_under_load
from ml_assets.registry.pointer import pointer_path
from ml_assets.registry.release import bucket
from serving.deploy.process import wait_ready


def test_twenty_swaps_under_load_lose_and_mix_nothing(server):
    pointers = [server.shop.pointer(version) for version in server.versions]
    customers = [f"u{number}" for number in range(40) if bucket("ranker:holdback", f"u{number}") >= 0.1]
    account = swap_under_load(server.shop.settings, server.handle.url, SPEC, pointers, customers, moves=7, clients=3)
    assert (account.failures, account.mixed()) == ([], [])
    assert account.moves == 7 and account.moves + account.releases >= 20
    lines = server.lines(kind="prediction")
    assert {"champion", "canary"} <= {line["arm"] for line in lines}
    assert {version for *_, version in account.asked} == {version.version for version in server.versions}


def test_an_answer_of_no_state_counts_as_mixed(server):
    """What the swaps are judged by can tell: the right version at the wrong time, another arm's."""
    first, second, third = (server.shop.pointer(version) for version in server.versions[:3])
    account = Account(lasted=[Lasted(State(first), 0.0, 2.0), Lasted(State(second), 1.0)])
    account.asked = [
        (0.1, 0.2, "u1", first.model_version),
        (1.1, 1.2, "u1", second.model_version),
        (2.1, 2.2, "u1", first.model_version),
        (0.1, 0.9, "u1", second.model_version),
        (1.1, 1.2, "u1", third.model_version),
    ]
    assert len(account.mixed()) == 3


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
