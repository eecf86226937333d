"""Killed at any step: the pointer is the old or the new one, and the same again makes it the new one, told once."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from killed_at import killed_at_each_step

from ml_assets.config.settings import Settings
from ml_assets.registry.back import roll_back
from ml_assets.registry.history import deployments, history_problems, write_pointer
from ml_assets.registry.pointer import Pointer, make_pointer, pointer_path, require_pointer
from ml_assets.registry.versions import list_versions, load_version, publish_version
from ml_assets.storage import journal

AT = datetime(2026, 3, 2, tzinfo=UTC)


class Lives:
    """A home for every moment, with one deployed version and another one that may follow."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def begin(self, moment: int) -> None:
        self.settings = Settings(home=self.folder / str(moment), shop="simulated")
        self.path = pointer_path(self.settings, "ranker")
        self.settings.online_store.parent.mkdir(parents=True)
        self.settings.online_store.touch()
        self.publish("a")
        self.old, self.new = self.pointer("a"), self.pointer("b" if self.publish("b") else "")
        write_pointer(self.path, self.old)

    def publish(self, text: str) -> str:
        return publish_version(
            self.settings, "ranker", text, "run", features=("f",), params={}, training_set="t", metrics={},
            created_from={},
        ).version  # fmt: skip

    def pointer(self, text: str) -> Pointer:
        index = self.settings.model_home("ranker") / "indexes" / "i"
        index.mkdir(parents=True, exist_ok=True)
        (index / "arrays").write_text("i")
        version = self.publish(text)
        return make_pointer(
            model_name="ranker", model_version=version,
            version_folder=self.settings.model_home("ranker") / "versions" / version, index_folder=index,
            online_store=self.settings.online_store, as_of=AT, deployed_at=AT,
        )  # fmt: skip

    @property
    def serves(self) -> str:
        return require_pointer(self.path).model_version

    @property
    def served(self) -> list[str]:
        return [each.pointer.model_version for each in deployments(self.path)]


def test_a_deployment(tmp_path: Path) -> None:
    lives = Lives(tmp_path)
    for moment in killed_at_each_step(lives.begin, lambda: write_pointer(lives.path, lives.new)):
        old, new = lives.old.model_version, lives.new.model_version
        assert (lives.serves, lives.served) in ((old, [old]), (new, [old, new])), moment
        if lives.serves == old:
            write_pointer(lives.path, lives.new)
        assert (lives.serves, lives.served) == (new, [old, new]), moment
        assert history_problems(lives.path) == [], moment
    assert moment > 5


def test_a_rollback(tmp_path: Path) -> None:
    lives = Lives(tmp_path)

    def begin(moment: int) -> None:
        lives.begin(moment)
        write_pointer(lives.path, lives.new)

    for moment in killed_at_each_step(begin, lambda: roll_back(lives.path, "by hand")):
        old, new = lives.old.model_version, lives.new.model_version
        assert lives.serves in {old, new}, moment
        if lives.serves == new:
            roll_back(lives.path, "by hand")
        assert lives.served == [old, new, old], moment
        assert history_problems(lives.path) == [], moment
    assert moment > 5


def test_a_version(tmp_path: Path) -> None:
    lives = Lives(tmp_path)
    for moment in killed_at_each_step(lives.begin, lambda: lives.publish("c")):
        before = {path.name for path in list_versions(lives.settings, "ranker")}
        version = lives.publish("c")
        assert before <= {lives.old.model_version, lives.new.model_version, version}, moment
        folders = list_versions(lives.settings, "ranker")
        assert [load_version(folder).version for folder in folders] == [folder.name for folder in folders], moment
        assert len(folders) == 3, moment
    assert moment > 5


def test_a_journal(tmp_path: Path) -> None:
    def begin(moment: int) -> None:
        journal.append(tmp_path / str(moment), {"event": "first"})
        lives.append(tmp_path / str(moment))

    lives: list[Path] = []
    for moment in killed_at_each_step(begin, lambda: journal.append(lives[-1], {"event": "second"})):
        told = [line["event"] for line in journal.read(lives[-1])]
        assert told in (["first"], ["first", "second"]), moment
    assert moment >= 1
