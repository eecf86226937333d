"""What was rolled back stays back: the nightly deployment, the built-in version and the fallback after a restart."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from served_shop import AS_OF, SPEC, Served
from test_deployment import ask

from ml_assets.config.model_spec import ReleaseSpec
from ml_assets.registry.pointer import pointer_path, require_pointer
from ml_assets.registry.release import release_path
from ml_assets.registry.release_journal import release_journal
from ml_assets.registry.versions import VersionRef
from ml_assets.release import choose, control, roll_back, taken_back
from serving.config import ServiceConfig
from serving.deploy.build import build_bento
from serving.deploy.rollout import RolledOut, roll_out
from serving.model.hot_reloader import HotReloader

AT_ONCE = SPEC.model_copy(update={"release": ReleaseSpec(enabled=False)})


@pytest.fixture(autouse=True)
def clean(server: Served, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No registry that answers, and no release or block left behind for the next test."""
    monkeypatch.setattr(control, "pay", lambda settings, spec: None)
    server.serve(0, deployment=960)
    yield
    release_path(server.shop.settings, SPEC.name).unlink(missing_ok=True)
    release_journal(server.shop.settings, SPEC.name).unlink(missing_ok=True)
    pointer_path(server.shop.settings, SPEC.name).with_name("history.jsonl").unlink(missing_ok=True)


def nightly(server: Served, champion: VersionRef, spec=AT_ONCE) -> RolledOut:
    """What the assets `service` and `deployment` do with the champion that the gate's reference names."""
    settings, index = server.shop.settings, server.shop.index_folder
    built_in = choose(settings, spec.name, champion.path).version
    bento = build_bento(spec, built_in.path, settings, index_folder=index, as_of=AS_OF)
    return roll_out(settings, spec, bento, version=champion.path, index=index, as_of=AS_OF, ask=ask)


def pointed(server: Served) -> str:
    return require_pointer(pointer_path(server.shop.settings, SPEC.name)).model_version


def test_a_nightly_run_does_not_undo_a_rollback(server: Served) -> None:
    good, bad = server.versions[0], server.versions[1]
    assert nightly(server, bad).version == bad.version
    roll_back(server.shop.settings, AT_ONCE, "it recommends soap only")
    for _ in range(2):
        rolled = nightly(server, bad)
        assert rolled.version == server.ready()["model_version"] == pointed(server) == good.version
        assert rolled.refused is not None
        assert "it recommends soap only" in rolled.refused
    assert nightly(server, server.versions[2]).version == server.versions[2].version, "a new champion is no old one"


def test_what_was_taken_back_is_not_released_either(server: Served) -> None:
    good, bad = server.versions[0], server.versions[1]
    nightly(server, bad)
    roll_back(server.shop.settings, SPEC, "errors")
    rolled = nightly(server, bad, SPEC)
    assert (rolled.version, rolled.refused is None) == (good.version, False)
    assert not release_path(server.shop.settings, SPEC.name).exists()


def test_neither_history_nor_bento_bring_back_what_was_taken_back(server: Served, tmp_path: Path) -> None:
    """A bento from before the rollback has the bad version built in; there is no pointer when it starts."""
    good, bad = server.versions[0], server.versions[1]
    nightly(server, bad)
    settings = server.shop.settings
    roll_back(settings, AT_ONCE, "errors")

    def why(version: str) -> str | None:
        return taken_back(settings, SPEC.name, version)

    def started(pointer: Path) -> HotReloader:
        config = ServiceConfig(model_name=SPEC.name, feature_service=SPEC.feature_service, feature_timeout_ms=5000.0)
        built_in = server.shop.pointer(bad)
        made = HotReloader(pointer, release_path(settings, SPEC.name), config, built_in=built_in, taken_back=why)
        made.start()
        made.stop()
        return made

    with_history = started(pointer_path(settings, SPEC.name).with_name("gone.json")).serving.champion
    assert with_history is not None
    assert with_history.pointer.model_version == good.version
    without = started(tmp_path / "pointer.json")
    assert without.serving.champion is None
    assert "errors" in without.reason
