"""A real S3 server for tests: SeaweedFS on loopback, telemetry off, its data in a folder of the test."""

import json
import signal
import socket
import subprocess
import sysconfig
import time
from dataclasses import dataclass
from pathlib import Path

import obstore
from obstore.exceptions import BaseError

from archive.store.objects import Bucket

START_LIMIT_S = 60.0
WEED = str(Path(sysconfig.get_path("scripts")) / "weed")
PORTS = ("master", "volume", "filer", "s3")


@dataclass(slots=True)
class ObjectServer:
    folder: Path
    ports: dict[str, int]
    process: subprocess.Popen[bytes] | None = None

    @property
    def bucket(self) -> Bucket:
        return Bucket(
            "s3://lightbox/archive", f"http://127.0.0.1:{self.ports['s3']}", access_key="key", secret_key="secret"
        )

    def environment(self) -> dict[str, str]:
        """Settings of a server that keeps its files here."""
        bucket = self.bucket
        return {
            "LIGHTBOX_STORE_URL": bucket.url,
            "LIGHTBOX_STORE_ENDPOINT": bucket.endpoint,
            "LIGHTBOX_STORE_ACCESS_KEY": bucket.access_key,
            "LIGHTBOX_STORE_SECRET_KEY": bucket.secret_key,
        }

    def start(self) -> None:
        """Start it and wait until the bucket can be written."""
        self.folder.mkdir(parents=True, exist_ok=True)
        identity = {"name": "test", "credentials": [{"accessKey": "key", "secretKey": "secret"}], "actions": ["Admin"]}
        (self.folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
        command = [
            WEED, "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
            f"-dir={self.folder}", "-filer", "-s3", f"-s3.config={self.folder / 's3.json'}", "-master.telemetry=false",
            "-s3.port.iceberg=0", "-s3.port.lance=0",
            *(f"-{name}.port={port}" for name, port in self.ports.items()), "-volume.max=20",
            "-master.volumeSizeLimitMB=64",
        ]  # fmt: skip
        log = (self.folder / "log").open("ab")
        self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, start_new_session=True)
        log.close()
        self._make_bucket()

    def _make_bucket(self) -> None:
        deadline = time.monotonic() + START_LIMIT_S
        while True:
            try:
                command = [WEED, "shell", f"-master=127.0.0.1:{self.ports['master']}"]
                made = b"s3.bucket.create -name lightbox\n"
                subprocess.run(command, input=made, capture_output=True, timeout=20, check=False)
                obstore.put(self.bucket.open(), "probe", b"probe")
                return
            except (BaseError, subprocess.TimeoutExpired):
                assert self.process is not None
                assert self.process.poll() is None, (self.folder / "log").read_text()[-2000:]
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def stop(self) -> None:
        """End it at once: its data is the test's, and it takes half a minute to say goodbye."""
        if self.process is not None and self.process.poll() is None:
            self.kill()


def object_server(folder: Path) -> ObjectServer:
    """A server that is not started yet. Each port is free, and so is the one 10,000 above: SeaweedFS takes it too."""
    ports: dict[str, int] = {}
    while len(ports) < len(PORTS):
        with socket.socket() as probe, socket.socket() as above:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
            try:
                above.bind(("127.0.0.1", port + 10_000))
            except (OSError, OverflowError):
                continue
            if port not in ports.values():
                ports[PORTS[len(ports)]] = port
    return ObjectServer(folder, ports)
