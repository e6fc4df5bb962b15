"""Start the servers that are compared, on loopback, on new folders: Lightbox, Orthanc, and nginx as the limit.

Each is a program beside this one; nothing of Lightbox is imported.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from conformance.bench.client import fetch
from conformance.bench.processes import family
from conformance.bench.workloads import Server, Workload
from conformance.orthanc import orthanc

START_S = 120
_NGINX = """daemon off; worker_processes 2; pid {folder}/pid; error_log {folder}/error;
events {{ worker_connections 512; }}
http {{ access_log off; sendfile on; tcp_nodelay on; default_type application/octet-stream; keepalive_requests 1000000;
open_file_cache max=2000; client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
uwsgi_temp_path {folder}; scgi_temp_path {folder};
server {{ listen 127.0.0.1:{port}; root {folder}/files; }} }}
"""


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def lightbox(workers: int, data: str | None = None) -> Iterator[Server]:
    """Run Lightbox with a token that may read and store, on a new folder or on one that is filled already.

    One that is filled holds made-up instances: their files are not read in the background.
    """
    command = (sys.executable, "-m", "archive.cli")
    port = free_port()
    with tempfile.TemporaryDirectory() as new_folder:
        folder = data or new_folder
        made = (*command, "token", "create", "--data", folder, "--role", "read", "--role", "store", "bench")
        token = subprocess.run(made, check=True, capture_output=True, text=True).stdout.split()[-1]  # noqa: S603 - our own command
        unread = ("/usr/bin/env", "LIGHTBOX_SCRUB_DAYS=0") if data else ()
        served = (*unread, *command, "serve", "--data", folder, "--port", str(port), "--workers", str(workers))
        with (Path(folder) / "log").open("wb") as log, _running(served, port, log.fileno()) as pid:
            yield Server("Lightbox", f"http://127.0.0.1:{port}/dicom-web", (pid,), token)


@contextmanager
def debian_orthanc() -> Iterator[Server]:
    """Run Orthanc as the conformance comparison does."""
    before = family([os.getpid()])
    with orthanc() as base:
        started = family([os.getpid()]) - before
        yield Server("Orthanc", base, tuple(sorted(started)))


@contextmanager
def nginx(files: Mapping[str, bytes]) -> Iterator[Server]:
    """Run nginx over files of these names."""
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    port = free_port()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "files").mkdir()
        for file_name, content in files.items():
            (folder / "files" / file_name).write_bytes(content)
        (folder / "nginx.conf").write_text(_NGINX.format(folder=folder, port=port), encoding="utf-8")
        with _running((program, "-c", f"{folder}/nginx.conf"), port, subprocess.DEVNULL) as pid:
            yield Server("nginx", f"http://127.0.0.1:{port}", (pid,))


def file_name(workload: Workload, path: str) -> str:
    """The name under which nginx has the answer to a request."""
    return hashlib.sha256(f"{workload.accept} {workload.coding} {path}".encode()).hexdigest()[:24]


def answers(server: Server, workloads: list[Workload], each: int) -> dict[str, bytes]:
    """Bodies of the answers of a server to what nginx is to send too; of each workload so many."""
    found: dict[str, bytes] = {}
    for workload in workloads:
        for path in workload.paths[:each] if workload.limited else ():
            name = file_name(workload, path)
            if name not in found:
                found[name] = fetch(server.address, server.get(path, workload.accept, workload.coding))[1]
    return found


@contextmanager
def _running(command: tuple[str, ...], port: int, output: int) -> Iterator[int]:
    process = subprocess.Popen(command, stdout=output, stderr=output)  # noqa: S603 - a program that was found above
    try:
        until = time.monotonic() + START_S
        while time.monotonic() < until and process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.2)
        else:
            raise SystemExit(f"{command[0]} did not start")
        yield process.pid
    finally:
        process.terminate()
        process.wait(timeout=START_S)
