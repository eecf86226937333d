"""What a rollback says of the running server, which has to be so."""

from datetime import UTC, datetime

from ml_assets.registry.release import Stage
from serving.deploy.taken_up import taken_up


def test_every_worker_serves_it(server):
    pointer = server.serve(1, deployment=900)
    found = taken_up(server.shop.settings, "ranker", pointer)
    assert found.ok
    assert f"version {pointer.model_version} serves now" in found.text


def test_what_the_server_does_not_take_up_is_said_with_its_reason(server):
    pointer = server.serve(1, deployment=901)
    damaged = pointer.model_copy(update={"model_sha256": "0" * 64, "deployed_at": datetime.now(UTC)})
    server.shop.point(damaged)
    found = taken_up(server.shop.settings, "ranker", damaged, seconds=2)
    assert not found.ok
    assert server.handle.url in found.text
    assert "is not what was deployed" in found.text
    server.serve(1, deployment=902)


def test_a_release_that_still_answers_beside_it_is_said(server):
    with server.releasing(challenger=2, stage=Stage.CANARY, share=0.5) as release:
        pointer = server.serve(0, deployment=800)
        found = taken_up(server.shop.settings, "ranker", pointer, seconds=0.5)
        assert not found.ok
        assert f"release of {release.model_version}" in found.text
    assert taken_up(server.shop.settings, "ranker", pointer).ok


def test_without_a_server_it_serves_from_the_next_start(shop):
    pointer = shop.pointer(shop.version(1))
    found = taken_up(shop.settings, "ranker", pointer)
    assert found.ok
    assert "no server runs: it serves from the next start" in found.text
