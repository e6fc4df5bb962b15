"""A real `lightbox serve` for tests: its own process, its own data, a free port."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from databases import at
from forking import Forked, fork_lightbox

START_LIMIT_S = 60.0
STOP_LIMIT_S = 40.0
ROOT = Path(__file__).resolve().parent.parent
SHARED_DATA = ROOT.parent / "shared" / "data"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(slots=True)
class Server:
    """A running server. `kill` is kill -9 of all its processes."""

    data: Path
    port: int
    process: subprocess.Popen[bytes] | Forked
    scheme: str = "http"
    host: str = "127.0.0.1"

    @property
    def base(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"

    @property
    def dicomweb(self) -> str:
        return f"{self.base}/dicom-web"

    def token(self, role: str) -> str:
        return lightbox("token", "create", "--data", str(self.data), "--role", role, f"test {role}").strip()

    def share(self, study_uid: str, *options: str) -> str:
        return lightbox("share", "create", "--data", str(self.data), *options, study_uid).strip()

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(STOP_LIMIT_S)

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(STOP_LIMIT_S)


def run_lightbox(*arguments: str, limit_s: float = 120) -> subprocess.CompletedProcess[str]:
    """Run a `lightbox` command to its end, however it ends."""
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        process = fork_lightbox(arguments, stdout.fileno(), stderr.fileno(), database_of(arguments))
        try:
            code = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        for output in (stdout, stderr):
            output.seek(0)
        return subprocess.CompletedProcess(arguments, code, stdout.read().decode(), stderr.read().decode())


def database_of(arguments: Sequence[str]) -> dict[str, str]:
    """The environment by which a command that names its data finds the database that the tests have chosen."""
    if "--data" not in arguments:
        return {}
    place = at(Path(arguments[list(arguments).index("--data") + 1]) / "lightbox.sqlite")
    return {} if isinstance(place, Path) else {"LIGHTBOX_DATABASE_URL": place}


def lightbox(*arguments: str) -> str:
    """Run a `lightbox` command to its end; its standard output. Fails the test when the command fails."""
    done = run_lightbox(*arguments)
    assert done.returncode == 0, f"lightbox {' '.join(arguments[:2])} failed: {done.stderr}"
    return done.stdout


def start_server(
    data: Path, *options: str, scheme: str = "http", host: str = "127.0.0.1", is_program: bool = False
) -> Server:
    """Start a server on `data` and wait until it is ready; `is_program` is the program itself, as it is installed."""
    port = free_port()
    arguments = ["serve", "--data", str(data), "--port", str(port), *options]
    with (data.parent / f"{data.name}.log").open("ab") as log:
        process: subprocess.Popen[bytes] | Forked
        if is_program:
            command = [sys.executable, "-m", "archive.cli", *arguments]
            environment = os.environ | database_of(arguments)
            process = subprocess.Popen(
                command, cwd=ROOT, stdout=log, stderr=log, env=environment, start_new_session=True
            )
        else:
            process = fork_lightbox(arguments, log.fileno(), log.fileno(), database_of(arguments))
    server = Server(data, port, process, scheme, host)
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        assert process.poll() is None, f"The server ended: {(data.parent / f'{data.name}.log').read_text()}"
        try:
            with urllib.request.urlopen(f"{server.base}/health/ready", timeout=5):
                return server
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
    raise TimeoutError("The server was not ready in time.")


@contextmanager
def running_server(data: Path, *options: str, is_program: bool = False) -> Iterator[Server]:
    """A server that is stopped at the end, whatever happens."""
    server = start_server(data, *options, is_program=is_program)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()
