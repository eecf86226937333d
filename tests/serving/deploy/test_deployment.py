"""Deploying and refreshing: the pointer moves, the server follows, and what is popular is kept for bad days."""

import shutil
from dataclasses import replace
from datetime import timedelta

import pytest
from served_shop import AS_OF, SPEC

from ml_assets.registry.history import served_before
from ml_assets.registry.pointer import PointerError, pointer_path, require_pointer
from ml_assets.registry.release import Stage
from ml_assets.retrieval.index import RetrievalIndex
from serving.deploy import deployment as deploying
from serving.deploy.deployment import DeploymentRefused, deploy, refresh
from serving.deploy.probe import about_customers
from serving.deploy.process import status
from serving.model import fallback

NEXT_DAY = AS_OF + timedelta(days=1)


def ask(version):
    """What a version of the small shop must answer."""
    return about_customers(["u1", "u2", "u3"], version.version, SPEC.serving.k)


def never(version):
    """Questions that nobody answers well."""
    return replace(about_customers(["u1"], version.version), wrong=lambda body, said: "not what was wanted")


@pytest.fixture
def bento(server):
    return server.shop.build(server.versions[0])


def pointed(server):
    return require_pointer(pointer_path(server.shop.settings, SPEC.name))


def test_a_deployment_serves_the_version_and_keeps_what_is_popular(server, bento):
    settings, index = server.shop.settings, server.shop.index_folder
    saved = fallback.popular_path(settings, SPEC.name)
    saved.unlink(missing_ok=True)
    deployed = deploy(settings, SPEC, bento, version=server.versions[2].path, index=index, as_of=AS_OF, ask=ask)
    assert (deployed.url, deployed.version, deployed.restarted) == (
        server.handle.url,
        server.versions[2].version,
        False,
    )
    assert server.ready()["model_version"] == server.versions[2].version
    assert fallback.load(saved) == fallback.from_index(RetrievalIndex.load(index))
    before = pointed(server)
    deploy(settings, SPEC, bento, version=server.versions[2].path, index=index, as_of=AS_OF, ask=ask)
    assert pointed(server) == before, "deploying what is deployed changes nothing"
    saved.write_text("{}")
    deploy(settings, SPEC, bento, version=server.versions[2].path, index=index, as_of=AS_OF, ask=ask)
    assert fallback.load(saved) == fallback.from_index(RetrievalIndex.load(index)), "but what cannot be read is mended"


def test_a_refresh_moves_index_and_now_but_not_the_version_nor_the_release(server, bento):
    settings, index = server.shop.settings, server.shop.index_folder
    with server.releasing(challenger=1, stage=Stage.CANARY, share=1.0) as release:
        refreshed = refresh(settings, SPEC, bento, index=index, as_of=NEXT_DAY, ask=ask)
        assert refreshed.version == release.champion_version
        ready = server.ready()
        assert (ready["as_of"], ready["model_version"]) == (NEXT_DAY.isoformat(), release.champion_version)
        assert ready["release"]["model_version"] == release.model_version
        body = server.client.post("/recommend", json={"customer": "u1"}).json()
        line = server.line(prediction_id=body["prediction_id"])
        assert (line["arm"], body["model_version"]) == ("canary", release.model_version)
        assert line["as_of"] == NEXT_DAY.isoformat()


def test_a_refresh_in_the_middle_of_a_promotion_keeps_the_promoted_version(server, bento, monkeypatch):
    server.serve(0, deployment=910)
    promoted = server.shop.pointer(server.versions[3], 911)
    change = deploying.change_pointer

    def promotion_comes_first(*given):
        server.shop.point(promoted)
        return change(*given)

    monkeypatch.setattr(deploying, "change_pointer", promotion_comes_first)
    refreshed = refresh(server.shop.settings, SPEC, bento, index=server.shop.index_folder, as_of=NEXT_DAY, ask=ask)
    assert refreshed.version == pointed(server).model_version == promoted.model_version
    assert pointed(server).as_of == NEXT_DAY


def test_a_deployment_replaces_a_pointer_that_is_none(server, bento):
    server.serve(0, deployment=920)
    pointer_path(server.shop.settings, SPEC.name).write_text("{")
    version, index = server.versions[1], server.shop.index_folder
    deployed = deploy(server.shop.settings, SPEC, bento, version=version.path, index=index, as_of=AS_OF, ask=ask)
    assert deployed.version == pointed(server).model_version == version.version


def test_nothing_can_be_refreshed_before_the_first_deployment(shop, bento):
    with pytest.raises(PointerError, match="nothing has been deployed"):
        refresh(shop.settings, SPEC, bento, index=shop.index_folder, as_of=AS_OF, ask=ask)


def test_a_corrupt_champion_is_not_refreshed_and_goes_on_serving(shop, bento):
    version = shop.version(1)
    shop.point(shop.pointer(version))
    before = pointer_path(shop.settings, SPEC.name).read_bytes()
    version.booster_file.write_bytes(b"half a copy")
    with pytest.raises(PointerError, match="is not what was deployed"):
        refresh(shop.settings, SPEC, bento, index=shop.index_folder, as_of=NEXT_DAY, ask=ask)
    assert pointer_path(shop.settings, SPEC.name).read_bytes() == before


def test_what_fails_its_rehearsal_never_replaces_what_serves(server, bento):
    server.serve(0, deployment=930)
    before, history = pointed(server), pointer_path(server.shop.settings, SPEC.name).with_name("history.jsonl")
    noted = history.read_bytes()
    version, index = server.versions[1], server.shop.index_folder
    with pytest.raises(DeploymentRefused, match=f"not deployed.*{before.model_version} goes on serving"):
        deploy(server.shop.settings, SPEC, bento, version=version.path, index=index, as_of=AS_OF, ask=never)
    assert (pointed(server), history.read_bytes()) == (before, noted)
    assert server.ready()["model_version"] == before.model_version


def test_what_answered_aside_and_not_in_its_place_is_put_back(server, bento):
    """The version is not blocked: another attempt may go well."""
    settings, index, version = server.shop.settings, server.shop.index_folder, server.versions[2]
    server.serve(0, deployment=940)
    before, rounds = pointed(server), []

    def once(asked):
        rounds.append(asked.version)
        return ask(asked) if len(rounds) == 1 else never(asked)

    with pytest.raises(DeploymentRefused, match=f"{before.model_version} was put back and serves"):
        deploy(settings, SPEC, bento, version=version.path, index=index, as_of=AS_OF, ask=once)
    assert rounds == [version.version, version.version], "asked aside, then in its place"
    assert pointed(server).model_version == server.ready()["model_version"] == before.model_version
    assert version.version not in {each.model_version for each in served_before(pointer_path(settings, SPEC.name))[-1:]}
    again = deploy(settings, SPEC, bento, version=version.path, index=index, as_of=AS_OF, ask=ask)
    assert again.version == version.version


def test_code_that_does_not_start_never_replaces_the_server_that_runs(server, bento, tmp_path):
    """The server of the new code is started aside first: the one that runs does not even restart."""
    settings, index = server.shop.settings, server.shop.index_folder
    server.serve(0, deployment=950)
    before, running = pointed(server), status(settings, SPEC.name)
    broken = tmp_path / bento.digest
    shutil.copytree(bento.path, broken)
    (broken / "src" / "serving" / "service.py").write_text("raise SystemExit('broken on purpose')\n")
    other = replace(bento, path=broken, code="other code")
    with pytest.raises(DeploymentRefused, match="goes on serving"):
        deploy(settings, SPEC, other, version=server.versions[1].path, index=index, as_of=AS_OF, ask=ask)
    assert pointed(server) == before
    assert status(settings, SPEC.name).pid == running.pid
    assert server.ready()["status"] == "ready"
