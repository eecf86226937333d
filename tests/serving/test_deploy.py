"""Deploying and refreshing: the pointer moves, the server follows, and what is popular is kept for bad days."""

from datetime import timedelta

import pytest
from served_shop import AS_OF, SPEC

from ml_assets.registry.pointer import PointerError, pointer_path, require_pointer
from ml_assets.registry.release import Stage
from ml_assets.retrieval.index import RetrievalIndex
from serving import deploy as deploying
from serving import fallback
from serving.deploy import deploy, refresh

NEXT_DAY = AS_OF + timedelta(days=1)


@pytest.fixture
def bento(server):
    return server.shop.build(server.versions[0])


def pointed(server):
    return require_pointer(pointer_path(server.shop.settings, SPEC.name))


def test_a_deployment_serves_the_version_and_keeps_what_is_popular(server, bento):
    settings, index = server.shop.settings, server.shop.index_folder
    saved = fallback.popular_path(settings, SPEC.name)
    saved.unlink(missing_ok=True)
    deployed = deploy(settings, SPEC, bento, version=server.versions[2].path, index=index, as_of=AS_OF)
    assert (deployed.url, deployed.version, deployed.restarted) == (
        server.handle.url,
        server.versions[2].version,
        False,
    )
    assert server.ready()["model_version"] == server.versions[2].version
    assert fallback.load(saved) == fallback.from_index(RetrievalIndex.load(index))
    before = pointed(server)
    deploy(settings, SPEC, bento, version=server.versions[2].path, index=index, as_of=AS_OF)
    assert pointed(server) == before, "deploying what is deployed changes nothing"


def test_a_refresh_moves_index_and_now_but_not_the_version_nor_the_release(server, bento, ask):
    settings, index = server.shop.settings, server.shop.index_folder
    with server.releasing(challenger=1, stage=Stage.CANARY, share=1.0) as release:
        refreshed = refresh(settings, SPEC, bento, index=index, as_of=NEXT_DAY)
        assert refreshed.version == release.champion_version
        ready = server.ready()
        assert (ready["as_of"], ready["model_version"]) == (NEXT_DAY.isoformat(), release.champion_version)
        assert ready["release"]["release_id"] == release.release_id
        body = ask(customer="u1").json()
        assert (body["arm"], body["model_version"]) == ("canary", release.model_version)
        assert server.line(prediction_id=body["prediction_id"])["as_of"] == NEXT_DAY.isoformat()


def test_a_refresh_in_the_middle_of_a_promotion_keeps_the_promoted_version(server, bento, monkeypatch):
    server.serve(0, deployment=910)
    promoted = server.shop.pointer(server.versions[3], 911)
    change = deploying.change_pointer

    def promotion_comes_first(*given):
        server.shop.point(promoted)
        return change(*given)

    monkeypatch.setattr(deploying, "change_pointer", promotion_comes_first)
    refreshed = refresh(server.shop.settings, SPEC, bento, index=server.shop.index_folder, as_of=NEXT_DAY)
    assert refreshed.version == pointed(server).model_version == promoted.model_version
    assert pointed(server).as_of == NEXT_DAY


def test_a_deployment_replaces_a_pointer_that_is_none(server, bento):
    server.serve(0, deployment=920)
    pointer_path(server.shop.settings, SPEC.name).write_text("{")
    version, index = server.versions[1], server.shop.index_folder
    deployed = deploy(server.shop.settings, SPEC, bento, version=version.path, index=index, as_of=AS_OF)
    assert deployed.version == pointed(server).model_version == version.version


def test_nothing_can_be_refreshed_before_the_first_deployment(shop, bento):
    with pytest.raises(PointerError, match="nothing has been deployed"):
        refresh(shop.settings, SPEC, bento, index=shop.index_folder, as_of=AS_OF)


def test_a_corrupt_champion_is_not_refreshed_and_goes_on_serving(shop, bento):
    version = shop.version(1)
    shop.point(shop.pointer(version))
    before = pointer_path(shop.settings, SPEC.name).read_bytes()
    version.booster_file.write_bytes(b"half a copy")
    with pytest.raises(PointerError, match="is not what was deployed"):
        refresh(shop.settings, SPEC, bento, index=shop.index_folder, as_of=NEXT_DAY)
    assert pointer_path(shop.settings, SPEC.name).read_bytes() == before
