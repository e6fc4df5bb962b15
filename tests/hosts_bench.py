"""Searches, frames and stores with one, two and three hosts in one run: `python -m tests.hosts_bench`.

All run on this machine, with database, bucket, nginx and client: rates say little where these share two cores. The CPU
that a request takes of each part says which of them more hosts relieve.
"""

import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from databases import postgresql
from files import part10, related
from hosts import Hosts, hosts, nginx_before
from object_server import object_server
from servers import free_port

from conformance.bench.client import fetch, run_load
from conformance.bench.processes import cpu_s

ROUNDS, ROUND_S, CLIENTS = 3, 2.0, 8
STUDIES, EDGE = 300, 512
COUNTS = (1, 2, 3)


@dataclass
class Row:
    """What was measured of one workload with so many hosts."""

    rates: list[float] = field(default_factory=list)
    cpu_ms: dict[str, list[float]] = field(default_factory=dict)


class Bench:
    """The hosts, filled, and behind three addresses: the first of them, two, all."""

    def __init__(self, found: Hosts, ports: dict[int, int], pids: dict[str, list[int]]) -> None:
        self.hosts, self.ports, self.pids = found, ports, pids
        token = found.lightbox("token", "create", "--role", "admin", "bench").strip()
        self._head = f"Host: bench\r\nAuthorization: Bearer {token}\r\n"
        self._number = itertools.count()
        self.rows: dict[tuple[str, int], Row] = {}

    def get(self, path: str, accept: str = "application/dicom+json") -> bytes:
        return f"GET /dicom-web{path} HTTP/1.1\r\n{self._head}Accept: {accept}\r\n\r\n".encode()

    def post(self, *files: bytes) -> bytes:
        body, content_type = related(list(files))
        head = f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
        return f"POST /dicom-web/studies HTTP/1.1\r\n{self._head}{head}".encode() + body

    def fill(self) -> None:
        pixels = np.random.default_rng(1).integers(0, 4096, (EDGE, EDGE), np.uint16).tobytes()
        for number in range(STUDIES):
            uid = f"1.2.{number}"
            values = {"StudyInstanceUID": uid, "SeriesInstanceUID": f"{uid}.1", "PatientID": f"P{number}"}
            if number < 20:
                values |= {"Rows": EDGE, "Columns": EDGE, "PixelData": pixels}
            status, answer = fetch(
                ("127.0.0.1", self.ports[1]), self.post(part10(SOPInstanceUID=f"{uid}.1.1", **values))
            )
            assert status == 200, answer

    def searches(self) -> Iterator[bytes]:
        return (self.get(f"/studies?PatientID=P{next(self._number) % STUDIES}") for _ in itertools.count())

    def frames(self) -> Iterator[bytes]:
        accept = "application/octet-stream; transfer-syntax=*"
        for _ in itertools.count():
            uid = f"1.2.{next(self._number) % 20}"
            yield self.get(f"/studies/{uid}/series/{uid}.1/instances/{uid}.1.1/frames/1", accept)

    def stores(self) -> Iterator[bytes]:
        for _ in itertools.count():
            number = next(self._number)
            files = [
                part10(StudyInstanceUID=f"1.3.{number}", SeriesInstanceUID=f"1.3.{number}.1", PatientID=f"Q{number}")
                for _ in range(10)
            ]
            yield self.post(*files)

    def run(self, name: str, requests: Iterator[bytes]) -> None:
        for _ in range(ROUNDS):
            for count in COUNTS:
                before = {part: cpu_s(pids) for part, pids in self.pids.items()}
                until_s = time.monotonic() + ROUND_S
                load = run_load(
                    ("127.0.0.1", self.ports[count]),
                    requests,
                    CLIENTS,
                    lambda _took, end=until_s: time.monotonic() < end,
                )
                assert load.failed == 0, load.statuses
                row = self.rows.setdefault((name, count), Row())
                row.rates.append(load.requests / load.elapsed_s)
                for part, pids in self.pids.items():
                    spent = 1000 * (cpu_s(pids) - before[part]) / load.requests
                    row.cpu_ms.setdefault(part, []).append(spent)

    def table(self) -> str:
        parts = list(self.pids)
        lines = ["| workload | hosts | requests/s | " + " | ".join(f"CPU ms: {part}" for part in parts) + " |"]
        lines.append("|---|--:|--:|" + "--:|" * len(parts))
        for (name, count), row in self.rows.items():
            cpu = " | ".join(f"{statistics.median(row.cpu_ms[part]):.2f}" for part in parts)
            lines.append(f"| {name} | {count} | {statistics.median(row.rates):.0f} | {cpu} |")
        return "\n".join(lines)


def main() -> None:
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        objects = object_server(folder / "objects")
        objects.start()
        stack.callback(objects.stop)
        found = stack.enter_context(hosts(folder, postgresql(), objects))
        ports = {}
        for count in COUNTS:
            ports[count], place = free_port(), folder / f"nginx{count}"
            place.mkdir()
            stack.enter_context(nginx_before(place, ports[count], found.servers[:count]))
        assert postgresql().process is not None
        pids = {
            "hosts": [server.process.pid for server in found.servers],
            "PostgreSQL": [postgresql().process.pid],
            "bucket": [objects.process.pid] if objects.process is not None else [],
        }
        bench = Bench(found, ports, pids)
        bench.fill()
        bench.run("search by PatientID", bench.searches())
        bench.run("stored frame, 512 KB", bench.frames())
        bench.run("STOW, 10 small instances", bench.stores())
        print(bench.table())


if __name__ == "__main__":
    main()
