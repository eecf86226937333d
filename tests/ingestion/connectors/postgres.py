"""A private Postgres server on a free port of this machine, thrown away afterwards."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

PASSWORD = "p@ss:w/rd"
URL_PASSWORD = "p%40ss%3Aw%2Frd"


class Postgres:
    """The server and how to reach it."""

    def __init__(self, binaries: Path) -> None:
        self.binaries, self.folder = binaries, Path(tempfile.mkdtemp(prefix="pg-"))
        self.user = "postgres" if os.geteuid() == 0 else None  # Postgres refuses to run as root
        if self.user is not None:
            os.chown(self.folder, pwd.getpwnam(self.user).pw_uid, -1)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self._run("initdb", "-D", self.data, "-U", "shop", "-A", "scram-sha-256", "--pwfile", secret, "--no-sync")
        self.start()

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def address(self) -> str:
        return f"postgresql+psycopg://shop:{URL_PASSWORD}@127.0.0.1:{self.port}/postgres?connect_timeout=5"

    def start(self) -> None:
        options = f"-c listen_addresses=127.0.0.1 -p {self.port} -c unix_socket_directories={self.folder} -c fsync=off"
        self._run("pg_ctl", "start", "-w", "-D", self.data, "-o", options, "-l", self.folder / "log")

    def stop(self) -> None:
        self._run("pg_ctl", "stop", "-m", "immediate", "-D", self.data)

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, name: str, *arguments: object) -> None:
        command = [str(self.binaries / name), *(str(each) for each in arguments)]
        environment = {**os.environ, "TZ": "UTC"}
        subprocess.run(
            command, check=True, user=self.user, cwd=self.folder, env=environment, timeout=60,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(0)


def binaries() -> Path:
    """Where Postgres is installed; skips the test where it is not."""
    pytest.importorskip("psycopg", reason="psycopg is not installed (extra `postgres`)")
    config = shutil.which("pg_config")
    told = [Path(subprocess.check_output([config, "--bindir"], text=True).strip())] if config else []
    known = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = next((folder for folder in [*known, *told] if (folder / "initdb").exists()), None)
    if found is None:
        pytest.skip("Postgres is not installed here (no initdb in pg_config --bindir or /usr/lib/postgresql/*/bin)")
    return found
