"""Model swaps under load: the changes, the clients that ask meanwhile, and what counts as a wrong answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import httpx
import numpy as np

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.registry.history import write_pointer
from ml_assets.registry.pointer import Pointer, pointer_path, require_pointer
from ml_assets.registry.release import Release, Stage, release_path, write_release

K = 5
SHARES = (0.3, 0.7)

Expected = Mapping[tuple[str, str], tuple[list[str], list[float]]]
"""Products and scores of each (version, customer)."""


@dataclass(frozen=True)
class State:
    """What pointer and release say: the version that serves and the release beside it."""

    champion: Pointer
    release: Release | None = None

    def version(self, customer: str) -> str:
        """The version that answers a customer."""
        release = self.release
        if release and release.stage is Stage.CANARY and release.place(customer) < release.share:
            return release.model_version
        return self.champion.model_version


@dataclass
class Lasted:
    """A state, when it was written, and when the next one was seen to serve (`time.perf_counter`)."""

    state: State
    since: float
    until: float = float("inf")


@dataclass
class Account:
    """What was swapped and what the clients got meanwhile: when, who asked, which version answered."""

    moves: int = 0
    releases: int = 0
    lasted: list[Lasted] = field(default_factory=list)
    asked: list[tuple[float, float, str, str]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def mixed(self) -> list[str]:
        """Answers whose version no state at their time could have given."""
        wrong = []
        for began, ended, customer, version in self.asked:
            at_that_time = [each for each in self.lasted if each.since <= ended and each.until >= began]
            possible = {each.state.version(customer) for each in at_that_time}
            if version not in possible:
                wrong.append(f"{customer}: {version}, possible {sorted(possible)}")
        return wrong

    @property
    def text(self) -> str:
        """One line for people."""
        waited = np.array([ended - began for began, ended, *_ in self.asked]) * 1000
        versions = len({version for *_, version in self.asked})
        return (
            f"{self.moves} model swaps and {self.releases} changes of releases under load: {len(self.asked)} answers "
            f"of {versions} versions, {len(self.failures)} failed, {len(self.mixed())} mixed; "
            f"p50 {np.percentile(waited, 50):.1f} ms, p99 {np.percentile(waited, 99):.1f} ms"
        )


class Client(threading.Thread):
    """Asks for one customer after the other and checks each answer against its version's own scores."""

    def __init__(self, url: str, route: str, customers: Sequence[str], expected: Expected, account: Account) -> None:
        super().__init__(daemon=True)
        self._url, self._route, self._customers = url, route, customers
        self._expected, self._account = expected, account
        self.ending = threading.Event()

    def run(self) -> None:
        """Ask until told to end."""
        with httpx.Client(base_url=self._url, trust_env=False, timeout=20) as client:
            while not self.ending.is_set():
                for customer in self._customers:
                    self._ask(client, customer)

    def _ask(self, client: httpx.Client, customer: str) -> None:
        began = time.perf_counter()
        try:
            answer = client.post(self._route, json={"customer": customer, "k": K})
            said = answer.json()
            if answer.status_code != 200 or said["degraded"]:
                raise ValueError(f"status {answer.status_code}: {answer.text[:200]}")
            products, scores = self._expected[said["model_version"], customer]
            if said["products"] != products or not np.allclose(said["scores"], scores, atol=1e-6):
                raise ValueError(f"not the scores of version {said['model_version']}")
        except Exception as error:
            self._account.failures.append(f"{customer}: {error!r}")
            return
        self._account.asked.append((began, time.perf_counter(), customer, said["model_version"]))


def swap_under_load(
    settings: Settings,
    url: str,
    spec: ModelSpec,
    pointers: Sequence[Pointer],
    customers: Sequence[str],
    *,
    moves: int,
    clients: int,
) -> Account:
    """Swap pointers and releases under load and return what the clients got.

    Args:
        settings: where the server's pointer and release lie.
        url: the server, of one worker.
        spec: the model it serves.
        pointers: at least two versions on the same index and "now".
        customers: who asks; known to the index, not in a holdback.
        moves: how often the pointer moves, with a release between two of three moves.
        clients: connections.
    """
    account, expected = Account(), own_scores(pointers, spec.feature_service, customers)
    threads = [
        Client(url, spec.serving.route, customers[number::clients], expected, account) for number in range(clients)
    ]
    with httpx.Client(base_url=url, trust_env=False, timeout=20) as asking:
        for possible in states(pointers):
            lasted, now = account.lasted, time.perf_counter()
            before = len(lasted)
            lasted += [Lasted(state, now) for state in possible]
            apply(settings, spec.name, possible[-1], account)
            wait_for(asking, possible[-1])
            for each in lasted[:-1]:
                each.until = min(each.until, time.perf_counter())
            if before == 0:
                for thread in threads:
                    thread.start()
            if account.moves > moves:  # the first one was before anybody asked
                break
        account.moves -= 1
    release_path(settings, spec.name).unlink(missing_ok=True)
    for thread in threads:
        thread.ending.set()
        thread.join(20)
    return account


def states(pointers: Sequence[Pointer]) -> Iterator[tuple[State, ...]]:
    """Without end: a move of the pointer, then a release that is promoted or rolled back, and again.

    Yields:
        What is to serve, after what may serve on the way there.
    """
    deployment, champion = 0, 0
    while True:
        champion = (champion + 1) % len(pointers)
        deployment += 1
        serving = _deployed(pointers[champion], deployment)
        yield (State(serving),)
        challenger = (champion + 1 + deployment % 2) % len(pointers)
        release = _release(serving, pointers[challenger], deployment)
        yield (State(serving, release),)
        for share in SHARES:
            yield (State(serving, release.model_copy(update={"stage": Stage.CANARY, "share": share})),)
        if deployment % 2:
            champion, deployment = challenger, deployment + 1
            yield State(serving), State(_deployed(pointers[champion], deployment))
        else:
            yield (State(serving),)


def _deployed(pointer: Pointer, deployment: int) -> Pointer:
    return pointer.model_copy(update={"deployed_at": pointer.deployed_at + timedelta(seconds=deployment)})


def _release(champion: Pointer, challenger: Pointer, number: int) -> Release:
    return Release(
        release_id=f"{challenger.model_version}-{number}",
        model_name=champion.model_name or "",
        champion_version=champion.model_version,
        model_version=challenger.model_version,
        model_path=challenger.model_path,
        model_sha256=challenger.model_sha256,
        stage=Stage.SHADOW,
        share=0.0,
        started_at=champion.deployed_at,
        changed_at=champion.deployed_at,
    )


def apply(settings: Settings, model: str, state: State, account: Account) -> None:
    """Write what differs: a promotion moves the pointer first, a rollback removes the release and no more."""
    path, release = pointer_path(settings, model), release_path(settings, model)
    if not path.exists() or require_pointer(path) != state.champion:
        write_pointer(path, state.champion)
        account.moves += 1
    if state.release:
        write_release(release, state.release)
        account.releases += 1
    elif release.exists():
        release.unlink()
        account.releases += 1


def wait_for(client: httpx.Client, state: State, seconds: float = 30.0) -> None:
    """Wait until the server serves a state.

    Raises:
        TimeoutError: when it does not; the text is its last word.
    """
    release = state.release
    shown = {"model_version", "stage", "share"}
    wanted = release.model_dump(mode="json", include=shown) if release else None
    deadline = time.monotonic() + seconds
    while True:
        said = client.get("/readyz").json()
        deployed = said.get("deployed_at") == state.champion.deployed_at.isoformat()
        if deployed and said["release"] == wanted and said["release_problem"] is None:
            return
        if time.monotonic() >= deadline:
            raise TimeoutError(f"the server does not serve {state} but says {said}")
        time.sleep(0.01)


def own_scores(pointers: Sequence[Pointer], feature_service: str, customers: Sequence[str]) -> Expected:
    """What each version answers each customer, scored here."""
    from serving.model.loader import load
    from serving.model.scorer import score
    from serving.schemas import RecommendRequest

    expected = {}
    for pointer in pointers:
        loaded = load(pointer, feature_service, feature_timeout_ms=5000)
        for customer in customers:
            answer = score(loaded, RecommendRequest(customer=customer), K)
            expected[pointer.model_version, customer] = (answer.products, answer.scores.tolist())
    return expected
