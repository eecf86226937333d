"""The detached server: found again, restarted when it must be, never in a stranger's way."""

import dataclasses
import os
import signal
import socket
import subprocess
import sys
import time

import httpx
import psutil
import pytest

from ml_assets.config.settings import PROJECT
from ml_assets.storage.processes import still_runs
from serving.deploy import process
from serving.deploy.process import ServerError, start, status, stop, wait_ready


def test_a_server_of_the_same_code_is_left_running(server):
    newer = dataclasses.replace(server.shop.build(server.versions[0]), tag="ranker:newer", digest="newer")
    again = start(server.shop.settings, newer)
    assert (again.pid, again.started) == (server.handle.pid, False)


def test_status_knows_the_server(server):
    found = status(server.shop.settings, "ranker")
    assert (found.pid, found.url) == (server.handle.pid, server.handle.url)
    assert status(server.shop.settings, "no_such_model") is None


def test_a_port_taken_by_a_stranger_is_named_and_left_alone(server, shop):
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", shop.settings.port))
        stranger.listen()
        bento = server.shop.build(server.versions[0])
        with pytest.raises(ServerError, match=rf"port {shop.settings.port} .*ML_ASSETS_PORT"):
            start(shop.settings, bento)
    assert status(shop.settings, "ranker") is None


def test_waiting_for_what_never_comes_says_what_serves_instead(server):
    pointer = server.serve(1, deployment=600)
    with pytest.raises(ServerError, match=pointer.model_version):
        wait_ready(server.handle.url, "never", timeout=0.3)


def test_a_killed_worker_comes_back_and_serves_the_champion(server):
    pointer = server.serve(2, deployment=700)
    (worker,) = psutil.Process(server.handle.pid).children()
    worker.kill()
    said = wait_ready(server.handle.url, pointer.model_version, 60)
    assert said["pid"] != worker.pid
    answer = httpx.post(f"{server.handle.url}/recommend", json={"customer": "u1"}, trust_env=False)
    assert answer.json()["model_version"] == pointer.model_version


def started_by_somebody_who_is_killed(shop, bento):
    """A server that no file names: who started it is killed before the file is written."""
    child = os.fork()
    if child == 0:
        process.write_text_atomically = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        try:
            start(shop.settings, bento)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    named = (each for each in psutil.process_iter(["cmdline"]) if str(bento.path) in (each.info["cmdline"] or []))
    return next(named)


def test_the_whole_life_of_a_server(shop):
    version = shop.version(3)
    bento = shop.build(version)
    orphan = started_by_somebody_who_is_killed(shop, bento)
    scratch = process.scratch_of(orphan)
    assert scratch.is_dir()
    try:
        first = start(shop.settings, bento, timeout=90)
        assert not still_runs(orphan)
        assert not scratch.exists()
        said = wait_ready(first.url, version.version)
        assert said["built_in"], "nothing was deployed: the version in the bento serves"
        timed = httpx.post(f"{first.url}/recommend", json={"customer": "u1", "time": "2026-03-01"}, trust_env=False)
        assert "ML_ASSETS_REPLAY=true" in timed.text, "a live service takes no time"
        psutil.Process(first.pid).kill()  # its worker is orphaned and keeps the port
        while first.alive():
            time.sleep(0.05)
        second = start(shop.settings, bento, timeout=90)
        assert second.started
        assert second.pid != first.pid
        shown = command(shop, "status")
        assert (shown.returncode, second.url in shown.stdout) == (0, True)
        assert command(shop, "stop").returncode == 0
        assert not second.alive()
        assert command(shop, "status").returncode == 1
    finally:
        stop(shop.settings, "ranker")
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", shop.settings.port)) != 0


def command(shop, name):
    env = {"ML_ASSETS_HOME": str(shop.settings.home), "ML_ASSETS_SHOP": "simulated", "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        [sys.executable, "-m", "serving", name],
        cwd=PROJECT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
