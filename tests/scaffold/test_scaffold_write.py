"""All files or none: names in use, files that are there, calls that die halfway."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tables import bare_project, events, scaffolded, tree, write_csv

from ml_assets.scaffold.command import scaffold
from ml_assets.scaffold.errors import ScaffoldError
from ml_assets.scaffold.write import ASIDE, next_port_offset


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return bare_project(tmp_path / "project")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "visits.csv", events())


def test_a_second_call_changes_nothing(project: Path, file: Path) -> None:
    _, written = scaffolded(project, file)
    before = tree(project)
    assert len(written) == 10
    assert scaffolded(project, file)[1] == []
    assert tree(project) == before


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"name": "rain"}, r"ml_assets/defs/models/rain/defs.yaml: there is a model rain already; take another --name"),
        ({"name": "rain"}, r"feature_repo/features/weather.yaml: there is a feature service rain already"),
        ({"source": "weather"}, r"sources/weather.yaml: there is a source weather already; take another --source"),
        ({"source": "stations"}, r"sources/weather.yaml: there is a table stations already"),
        ({"source": "orders"}, r"shops/corner.yaml: there is a table orders already"),
        ({"source": "staging"}, r"dbt_project/models/staging/: staging is a group of the graph"),
        ({"source": "rain"}, r"there is a model rain already; take another --source"),
        ({"name": "weather"}, r"there is a source weather already; take another --name"),
    ],
)
def test_a_name_in_use_is_refused_before_anything_is_written(
    project: Path, file: Path, given: dict[str, str], said: str
) -> None:
    before = tree(project)
    with pytest.raises(ScaffoldError, match=said):
        scaffolded(project, file, **given)
    assert tree(project) == before


def test_a_model_in_any_folder_has_its_name_and_its_port(project: Path, file: Path) -> None:
    models = project / "ml_assets/defs/models"
    models.rename(models.with_name("weather_team"))
    with pytest.raises(ScaffoldError, match=r"weather_team/rain/defs.yaml: there is a model rain already"):
        scaffolded(project, file, name="rain")
    assert next_port_offset(project, "lateness") == 13
    (models.with_name("weather_team") / "rain" / "defs.yaml").write_text("typ: ml_assets.components.TrainedModel")
    with pytest.raises(ScaffoldError, match=r"(?s)cannot be read:.*defs.yaml:1: typ: there is no such key; did you"):
        scaffolded(project, file, name="rain")


def test_an_entity_in_use_is_refused(project: Path, file: Path) -> None:
    (project / "feature_repo/entities.py").write_text('Entity(name="lateness_person")')
    with pytest.raises(ScaffoldError, match=r"entities\.py: there is a feature entity lateness_person already"):
        scaffolded(project, file)


def test_edited_files_are_kept_unless_told_otherwise(project: Path, file: Path) -> None:
    scaffolded(project, file)
    spine = project / "dbt_project/models/visits/mart_lateness_spine.sql"
    spine.write_text("select 'mine'")
    with pytest.raises(
        ScaffoldError, match=r"differ.*\n  dbt_project/models/visits/mart_lateness_spine.sql\n.*--force"
    ):
        scaffolded(project, file)
    assert spine.read_text() == "select 'mine'"
    assert scaffolded(project, file, force=True)[1] == [str(spine.relative_to(project))]


def test_a_model_of_ones_own_beside_them_is_no_stranger(project: Path, file: Path) -> None:
    scaffolded(project, file)
    (project / "dbt_project/models/visits/feat_mine.sql").write_text("select 1")
    assert scaffolded(project, file)[1] == []


def test_ports_differ_and_stay(project: Path, file: Path) -> None:
    assert next_port_offset(project, "lateness") == 13
    made, _ = scaffolded(project, file)
    assert made.port_offset == next_port_offset(project, "lateness") == 13
    assert next_port_offset(project, "another") == 14


def test_a_rename_that_fails_leaves_nothing(project: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, folders, done = tree(project), sorted(project.rglob("*")), []
    real = Path.replace

    def fails(self: Path, target: Path) -> Path:
        done.append(target)
        if len(done) == 5:
            raise KeyboardInterrupt
        return real(self, target)

    monkeypatch.setattr(Path, "replace", fails)
    with pytest.raises(KeyboardInterrupt):
        scaffolded(project, file)
    assert (tree(project), sorted(project.rglob("*"))) == (before, folders)


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tables import scaffolded
real, done = Path.replace, []
def dies(self, target):
    done.append(target)
    if len(done) == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(self, target)
Path.replace = dies
scaffolded(Path(sys.argv[2]), Path(sys.argv[3]))
"""


def test_a_killed_call_is_finished_by_the_next_one(project: Path, file: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(Path(__file__).parent), str(project), str(file)]
    killed = subprocess.run(command, env=os.environ, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(list(project.glob(f"{ASIDE}*"))) == 1
    assert len(scaffolded(project, file)[1]) == 7
    whole = bare_project(tmp_path / "other")
    scaffolded(whole, file)
    assert tree(project) == tree(whole)


def test_answers_come_from_the_terminal(project: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console
    from tables import flags

    answers = iter(["person", "", "nonsense", "late", "", ""])
    monkeypatch.setattr(Console, "input", lambda *_, **__: next(answers))
    given = flags(file, entity=None, time=None, label=None, task=None, name=None)
    made, paths = scaffold(given, project, Console(quiet=True))
    assert (made.model, made.time, made.label, made.task) == ("late", "at_value", "late", "binary")
    assert len(paths) == 10
