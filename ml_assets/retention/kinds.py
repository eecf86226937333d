"""What is old enough to go, kind by kind: files and folders by their day or their last change."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from ml_assets.config.model_spec import model_specs
from ml_assets.config.settings import Settings
from ml_assets.prediction_log.daily_tables import predictions_home
from ml_assets.prediction_log.partitions import Kind, note_pruned, parts_home, ranges, unread, walk_parts
from ml_assets.prediction_log.segments import list_segments
from ml_assets.registry.pointer import pointer_path
from ml_assets.registry.release import read_release, release_path
from ml_assets.retention.needed import needed
from ml_assets.storage.file_lock import file_lock
from ml_assets.storage.log_layout import log_folder, server_log

DAY = re.compile(r"\d{4}-\d\d-\d\d")
BENTOS = "bentos"


@dataclass(frozen=True)
class Old:
    """Something of a kind that may go: its name for people, and the paths that go with it."""

    name: str
    paths: tuple[Path, ...]


@dataclass(frozen=True)
class FileKind:
    """A kind whose old things are files.

    Attributes:
        name: as in `Keep`.
        find: what is older than a moment, of a model, or of the shop when there is none.
        lock: held while it is looked for and taken away.
        note: told what goes, before it does, by those who keep books about it.
        of_models: whether `find` is asked for each model.
    """

    name: str
    find: Callable[[Settings, str, datetime], Iterator[Old]]
    lock: Callable[[Settings, str], AbstractContextManager[None]] = lambda settings, model: nullcontext()
    note: Callable[[Settings, str, Sequence[Old]], None] = lambda settings, model, old: None
    of_models: bool = True

    def owners(self, settings: Settings) -> list[str]:
        """The models that `find` is asked for; one empty name where it is asked once."""
        return (
            [spec.name for spec in model_specs() if settings.model_home(spec.name).is_dir()] if self.of_models else [""]
        )


def _changed(path: Path) -> datetime:
    return datetime.fromtimestamp(path.lstat().st_mtime, UTC)


def _older(paths: Iterable[Path], before: datetime) -> list[Path]:
    """What was last changed before, and is no file that is being written."""
    return sorted(path for path in paths if not path.name.startswith(".") and _changed(path) < before)


def _by_day(home: Path, pattern: str, before: datetime) -> Iterator[tuple[date, Path]]:
    """Files or folders of a day that was over before, and as old themselves; the newest day always stays."""
    found = [(date.fromisoformat(day[0]), path) for path in home.glob(pattern) if (day := DAY.search(path.name))]
    newest = max((day for day, _ in found), default=None)
    old = [(day, path) for day, path in found if day < before.date() and day != newest]
    yield from sorted((day, path) for day, path in old if _changed(path) < before)


def _unneeded(folder: str) -> Callable[[Settings, str, datetime], Iterator[Old]]:
    """What a model does not need of its folder of that name; its bentos are where BentoML has them."""

    def find(settings: Settings, model: str, before: datetime) -> Iterator[Old]:
        stay = needed(settings, model).folders
        home = settings.bentoml_home / folder / model if folder == BENTOS else settings.model_home(model) / folder
        for path in _older(home.glob("*/"), before):
            if path.name not in stay:
                yield Old(f"{model}/{folder}/{path.name}", (path,))

    return find


def _versions(settings: Settings, model: str, before: datetime) -> Iterator[Old]:
    home = settings.model_home(model)
    for old in _unneeded("versions")(settings, model, before):
        version = old.paths[0].name
        yield Old(old.name, (*old.paths, home / "evaluations" / version, home / "plots" / version))


def _segments(settings: Settings, model: str, before: datetime) -> Iterator[Old]:
    """Segments that are read to their end and have no bad line, and the parts of segments that are gone."""
    home, since = parts_home(settings, model), _released(settings, model, before)
    bad = {part.segment for part in walk_parts(home) if part.kind is Kind.BAD}
    there = {segment.name: segment for segment in list_segments(log_folder(settings, model))}
    for name in sorted({*there, *(path.name for path in home.glob("*/") if not path.name.startswith("."))}):
        segment, folder = there.get(name), home / name
        age = datetime.fromtimestamp(segment.changed, UTC) if segment else _changed(folder)
        whole = segment is None or (segment.ended and not unread(ranges(folder), segment.size) and name not in bad)
        if age < since and whole:
            yield Old(f"{model}/log/{name}", (*([segment.path] if segment else []), folder))


def _released(settings: Settings, model: str, before: datetime) -> datetime:
    """A release under way is judged by all that was logged since it began, and a day before."""
    release = read_release(release_path(settings, model))
    began = None if release is None else release.started_at - timedelta(days=1)
    return before if began is None else min(before, began if began.tzinfo else began.replace(tzinfo=UTC))


def _note_segments(settings: Settings, model: str, old: Sequence[Old]) -> None:
    note_pruned(parts_home(settings, model), [each.paths[-1].name for each in old])


def _predictions(settings: Settings, model: str, before: datetime) -> Iterator[Old]:
    home = predictions_home(settings, model)
    for day, link in _by_day(home, "event_day=*", before):
        yield Old(f"{model}/predictions/{day}", (link, home / ".versions" / link.name))


def _days_of(folder: str, pattern: str) -> Callable[[Settings, str, datetime], Iterator[Old]]:
    def find(settings: Settings, model: str, before: datetime) -> Iterator[Old]:
        for parent in sorted({path.parent for path in settings.model_home(model).glob(f"{folder}/{pattern}")}):
            for day, path in _by_day(parent, pattern.rpartition("/")[2], before):
                yield Old(f"{model}/{folder}/{day}", (path,))

    return find


def _logs(settings: Settings, model: str, before: datetime) -> Iterator[Old]:
    paths = [*settings.shop_home.glob("logs/*"), *(settings.shop_home / "dbt").glob("dbt.log.*")]
    rotated = [server_log(settings, spec.name).with_name("server.log.1") for spec in model_specs()]
    for path in _older((path for path in (*paths, *rotated) if path.is_file()), before):
        yield Old(f"logs/{path.name}", (path,))


def _pointer_lock(settings: Settings, model: str) -> AbstractContextManager[None]:
    return file_lock(pointer_path(settings, model).with_name(".pointer.lock"))


def _log_lock(settings: Settings, model: str) -> AbstractContextManager[None]:
    return file_lock(parts_home(settings, model) / ".lock")


FILE_KINDS = (
    FileKind("prediction_log", _segments, _log_lock, _note_segments),
    FileKind("predictions", _predictions, lambda s, model: file_lock(predictions_home(s, model) / ".lock")),
    FileKind("batch_predictions", _days_of("batch_predictions", "event_day=*")),
    FileKind("reports", _days_of("monitoring", "*/*")),
    FileKind("versions", _versions, _pointer_lock),
    FileKind("training_sets", _unneeded("training_sets"), _pointer_lock),
    FileKind("indexes", _unneeded("indexes"), _pointer_lock),
    FileKind("bentos", _unneeded(BENTOS), _pointer_lock),
    FileKind("trials", _unneeded("tuning")),
    FileKind("logs", _logs, of_models=False),
)
"""Kinds in the order in which they go: versions before what they need."""
