"""Several hosts behind nginx, on one PostgreSQL and one bucket: real processes on loopback addresses of their own."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from databases import PostgreSQL
from object_server import ObjectServer
from servers import ROOT, Server, free_port, lightbox, start_server

ADDRESSES = ("127.0.0.2", "127.0.0.3", "127.0.0.4")
START_S = 20.0


@dataclass(slots=True)
class Hosts:
    """The hosts, and the address at which nginx shares the requests out among them."""

    servers: list[Server]
    base: str
    environment: dict[str, str]

    @property
    def dicomweb(self) -> str:
        return f"{self.base}/dicom-web"

    def lightbox(self, *arguments: str) -> str:
        """A command on the first host."""
        verb = next((place for place, word in enumerate(arguments) if word.startswith("-")), len(arguments))
        data = str(self.servers[0].data)
        return lightbox(*arguments[:verb], "--data", data, *arguments[verb:])


@contextmanager
def hosts(folder: Path, database: PostgreSQL, objects: ObjectServer, count: int = 3) -> Iterator[Hosts]:
    """Start so many hosts: each has a data folder of its own, and they share database, bucket and key."""
    port = free_port()
    shared = {
        **objects.environment(),
        "LIGHTBOX_PUBLIC_BASE": f"http://127.0.0.1:{port}",
        "LIGHTBOX_DATABASE_URL": database.empty(f"hosts_{folder.name.lower().replace('-', '_')}"),
        "LIGHTBOX_KEY_FILE": str(folder / "secrets.key"),
        "LIGHTBOX_TRUSTED_PROXIES": '["127.0.0.1"]',
    }
    before = {name: os.environ.get(name) for name in shared}
    os.environ.update(shared)
    with ExitStack() as stack:
        stack.callback(_restore, before)
        servers: list[Server] = []
        for number, address in enumerate(ADDRESSES[:count]):
            server = start_server(folder / f"host{number}", "--host", address, host=address)
            stack.callback(_stop, server)
            servers.append(server)
        stack.enter_context(nginx_before(folder, port, servers))
        yield Hosts(servers, f"http://127.0.0.1:{port}", shared)


@contextmanager
def nginx_before(folder: Path, port: int, servers: Sequence[Server]) -> Iterator[None]:
    """Share what comes to the port out among these servers."""
    (folder / "nginx.conf").write_text(configuration(folder, port, servers))
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    nginx = subprocess.Popen([program, "-c", f"{folder}/nginx.conf", "-e", f"{folder}/first.log"])
    try:
        _wait_for(port)
        yield
    finally:
        nginx.terminate()
        nginx.wait(START_S)


def configuration(folder: Path, port: int, servers: Sequence[Server]) -> str:
    """The README's block with these hosts, in a whole file."""
    block = (ROOT / "README.md").read_text().split("<!-- hosts -->\n```nginx\n")[1].split("```\n<!-- /hosts -->")[0]
    lines = []
    for line in block.splitlines():
        if line.strip().startswith("server 10.0.0."):
            number = int(line.split("10.0.0.")[1].split(":")[0]) - 11
            if number >= len(servers):
                continue
            line = line.replace(f"10.0.0.{number + 11}:8042", f"{ADDRESSES[number]}:{servers[number].port}")
        lines.append(line.replace("listen 80;", f"listen 127.0.0.1:{port};"))
    temporary = " ".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    text = "\n".join(lines)
    return (
        f"daemon off; user root root; pid {folder}/pid; error_log {folder}/error.log; events {{}} "
        f"http {{ {temporary} access_log off;\n{text}\n}}"
    )


def _wait_for(port: int) -> None:
    deadline_s = time.monotonic() + START_S
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert time.monotonic() < deadline_s, "nginx did not start"
        time.sleep(0.05)


def _stop(server: Server) -> None:
    if server.process.poll() is None:
        server.stop()


def _restore(before: dict[str, str | None]) -> None:
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
