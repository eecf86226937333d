"""Several workers behind one port: each follows for itself, and any of them speaks for all."""

import json
import os
import subprocess
import sys
from collections import Counter, defaultdict

import httpx
import pytest
from log_lines import read_lines, wait_until
from served_shop import SPEC, copy_of

from ml_assets.registry.release import Stage, write_release
from ml_assets.storage.log_layout import log_folder
from serving.deploy.build import build_bento
from serving.deploy.process import start, stop, wait_ready
from serving.http.workers import Workers


@pytest.fixture(scope="module")
def shop(parts, tmp_path_factory):
    return copy_of(parts, tmp_path_factory.mktemp("two"))


@pytest.fixture(scope="module")
def two(shop):
    """A server of two workers and the versions it may be told to serve."""
    versions = [shop.version(level) for level in range(3)]
    shop.point(shop.pointer(versions[0]))
    spec = SPEC.model_copy(update={"serving": SPEC.serving.model_copy(update={"workers": 2, "holdback": 0.0})})
    bento = build_bento(
        spec, versions[0].path, shop.settings, index_folder=shop.index_folder, as_of=shop.pointer(versions[0]).as_of
    )
    handle = start(shop.settings, bento, timeout=90)
    wait_ready(handle.url, versions[0].version, 60)
    yield handle.url, versions
    stop(shop.settings, SPEC.name)


def ask(url):
    """One answer over a connection of its own: whichever worker is free takes it."""
    answer = httpx.post(f"{url}/recommend", json={"customer": "u1", "k": 3}, trust_env=False, timeout=20)
    assert answer.status_code == 200
    return answer.json()


def lines(shop):
    return [line for line in read_lines(log_folder(shop.settings, SPEC.name)) if line["kind"] == "prediction"]


def test_once_ready_every_worker_answers_with_the_new_version(shop, two):
    url, versions = two
    for deployment, version in enumerate([versions[1], versions[2], versions[0]], 1):
        pointer = shop.pointer(version, deployment)
        shop.point(pointer)
        said = wait_ready(url, version.version, 30, pointer.deployed_at)
        assert len({each["pid"] for each in said["workers"]}) == 2
        assert {ask(url)["model_version"] for _ in range(12)} == {version.version}


def test_answers_lines_and_metrics_of_both_workers_add_up(shop, two):
    url, _ = two
    asked = set()

    def both_were_asked():
        asked.update(ask(url)["prediction_id"] for _ in range(10))
        return len({line["served_by"] for line in lines(shop)}) == 2

    wait_until(both_were_asked)
    wait_until(lambda: asked <= {line["prediction_id"] for line in lines(shop)})
    logged = lines(shop)
    served = Counter(line["served_by"] for line in logged)
    metrics = httpx.get(f"{url}/metrics", trust_env=False).text.splitlines()
    counted = {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in metrics if not line.startswith("#")}
    assert counted['recommend_requests_total{status="200"}'] == sum(served.values()) == len(logged)
    assert counted["recommend_seconds_count"] == len(logged)
    wait_until(lambda: f"prediction_log_lines_total {float(len(logged))}" in httpx.get(f"{url}/metrics").text)


def test_every_worker_takes_feedback_to_an_answer_of_another(shop, two):
    url, _ = two

    def crossed():
        """Whether a worker has logged what became of another's answer; all that is sent is taken."""
        said = ask(url)
        told = {name: said[name] for name in ("prediction_id", "feedback_token")}
        for _ in range(4):
            events = [{"product": said["products"][0], "event_type": "click"}]
            answer = httpx.post(f"{url}/feedback", json={**told, "events": events}, trust_env=False, timeout=20)
            assert answer.status_code == 202
        return any(len(workers) > 1 for workers in _who_logged(shop).values())

    wait_until(crossed)
    key = shop.settings.model_home(SPEC.name) / "serving" / "feedback.key"
    assert (key.stat().st_size, key.stat().st_mode & 0o777) == (32, 0o600)


def _who_logged(shop):
    """The processes that logged lines of each answer and of what became of it."""
    found = defaultdict(set)
    for segment in log_folder(shop.settings, SPEC.name).glob("*.jsonl"):
        for line in segment.read_bytes().split(b"\n")[:-1]:
            found[json.loads(line).get("prediction_id")].add(segment.stem.rpartition("-")[2])
    return found


def test_a_release_reaches_every_worker_and_ends_in_all_at_once(shop, two):
    url, versions = two
    shop.point(shop.pointer(versions[0], 100))
    wait_ready(url, versions[0].version, 30, shop.pointer(versions[0], 100).deployed_at)
    write_release(shop.release_file, shop.release(versions[0], versions[1], Stage.CANARY, share=1.0))

    def taken_up():
        said = httpx.get(f"{url}/readyz", trust_env=False).json()["workers"]
        return all((each["release"] or {}).get("share") == 1.0 for each in said)

    wait_until(taken_up)
    answers = {ask(url)["model_version"] for _ in range(12)}
    shop.release_file.unlink()
    after = {ask(url)["model_version"] for _ in range(12)}
    assert (answers, after) == ({versions[1].version}, {versions[0].version})
    text = httpx.get(f"{url}/metrics", trust_env=False).text
    assert f'recommend_answers_total{{arm="canary",version="{versions[1].version}"}} 12.0' in text


def test_only_living_workers_of_the_same_server_count(tmp_path):
    me = Workers(tmp_path)
    me.say({"model_version": "a"})
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    for pid, server in ((int(ended.stdout), os.getppid()), (1, os.getppid() + 1)):
        said = {"model_version": "b", "pid": pid, "server": server}
        (tmp_path / f"{pid}.json").write_text(json.dumps(said))
    (tmp_path / "7.json").write_bytes(b"{")
    assert [each["model_version"] for each in me.all()] == ["a"]
    me.leave()
    assert me.all() == []


ORPHAN = """
import os, sys, time
from pathlib import Path
from serving.http.workers import Workers
workers, folder = Workers(Path(sys.argv[1])), Path(sys.argv[1])
said = [workers.orphaned]
(folder / "ready").touch()
while workers.orphaned is None:
    time.sleep(0.05)
(folder / "aside").write_text(f"{said[0]} {workers.orphaned}")
(folder / "aside").rename(folder / "said")
"""
PARENT = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', *sys.argv[1:]]); sys.stdin.read()"


def test_a_worker_whose_server_was_killed_says_so(tmp_path):
    command = [sys.executable, "-c", PARENT, ORPHAN, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as server:
        wait_until((tmp_path / "ready").exists)
        server.kill()
    wait_until((tmp_path / "said").exists)
    said = (tmp_path / "said").read_text()
    assert said.startswith(f"None the server's first process ({server.pid}) is gone")
