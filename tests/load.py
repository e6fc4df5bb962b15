"""Mixed load for a while, and what it leaves: `python -m tests.load --minutes 30`.

64 readers that take their answer drop by drop, downloads that are abandoned 200 at a time, one client that stores
without a pause, and viewers that search and show. Beside all of them somebody, in a process of their own, asks for
`/health/ready`: printed is how long that took, and how many descriptors, threads and bytes of memory of their own the
server's processes had, minute by minute and when the load was over.
"""

import argparse
import asyncio
import io
import itertools
import multiprocessing
import os
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import numpy as np
import pydicom
from pydicom.data import get_testdata_file

sys.path.insert(0, str(Path(__file__).resolve().parent))

from files import related
from servers import running_server

SLOW_READERS, ABANDONED, ABANDONED_A_SECOND = 64, 200, 20
DROP_BYTES, DROP_EVERY_S = 4096, 0.25
STUDY, SERIES = "1.2.826.0.1.3680043.8.498.77", "1.2.826.0.1.3680043.8.498.77.1"
SLICES, EDGE = 100, 512
SETTLE_S = 30.0
MIB = 1 << 20


@dataclass(slots=True)
class Health:
    """How long `/health/ready` took, in ms, and how often it failed."""

    took_ms: list[float] = field(default_factory=list)
    failed: int = 0

    def hear(self, asked: "Connection[Any, Any]") -> None:
        """Take what the process that asks has told meanwhile."""
        while asked.poll():
            took_ms, is_good = asked.recv()
            self.took_ms.append(took_ms)
            self.failed += not is_good

    def told(self) -> str:
        ordered = sorted(self.took_ms) or [0.0]
        at = [ordered[min(len(ordered) - 1, int(len(ordered) * part))] for part in (0.5, 0.99)]
        return f"p50 {at[0]:.1f} ms, p99 {at[1]:.1f} ms, longest {ordered[-1]:.1f} ms, {self.failed} failed"


@dataclass(frozen=True, slots=True)
class Held:
    """What the processes of a server hold: descriptors, threads, memory that they share with nobody."""

    descriptors: int
    threads: int
    own_bytes: int

    @classmethod
    def by(cls, group: int) -> "Held":
        totals = [0, 0, 0]
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if os.getpgid(int(folder.name)) != group:
                    continue
                totals[0] += len(list((folder / "fd").iterdir()))
                totals[1] += len(list((folder / "task").iterdir()))
                lines = (folder / "smaps_rollup").read_text().splitlines()
            except (FileNotFoundError, ProcessLookupError):
                continue
            totals[2] += sum(int(line.split()[1]) for line in lines if line.startswith("Anonymous:")) << 10
        return cls(*totals)

    def told(self) -> str:
        return f"{self.descriptors} descriptors, {self.threads} threads, {self.own_bytes / MIB:.0f} MiB"


def ask(base: str, told: "Connection[Any, Any]") -> None:
    """Ask for the server's health ten times a second, until this process is ended."""
    while True:
        began_s = time.monotonic()
        try:
            with urllib.request.urlopen(f"{base}/health/ready", timeout=30) as answer:
                is_good = answer.status == 200
        except (urllib.error.URLError, OSError):
            is_good = False
        told.send(((time.monotonic() - began_s) * 1000, is_good))
        time.sleep(0.1)


def slices(study: str, series: str, count: int, edge: int) -> tuple[bytes, str]:
    """The body of a store request of a generated series, and its media type."""
    dataset = pydicom.dcmread(str(get_testdata_file("CT_small.dcm")))
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.Rows, dataset.Columns = study, series, edge, edge
    noise = np.random.default_rng(edge)
    files = []
    for number in range(count):
        uid = f"{series}.{number + 1}"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
        dataset.InstanceNumber = number + 1
        dataset.PixelData = noise.integers(0, 2000, (edge, edge), np.int16).tobytes()
        file = io.BytesIO()
        dataset.save_as(file)
        files.append(file.getvalue())
    return related(files)


class Load:
    """All who ask something of one server."""

    def __init__(self, session: aiohttp.ClientSession, base: str, token: str) -> None:
        self._session, self._base, self._token = session, base, token
        self._dicomweb = f"{base}/dicom-web"
        self._series = f"{self._dicomweb}/studies/{STUDY}/series/{SERIES}"
        self._numbers = itertools.count()
        self.stored = self.abandoned = self.shown = 0

    async def prepare(self) -> None:
        await self._store(*slices(STUDY, SERIES, SLICES, EDGE))

    def everybody(self) -> list[Callable[[], Awaitable[None]]]:
        return [*([self.read_slowly] * SLOW_READERS), self.abandon, self.store, self.look]

    async def read_slowly(self) -> None:
        """Take the whole series in drops; after a while go away, and come anew."""
        place = urlsplit(self._series)
        reader, writer = await asyncio.open_connection(place.hostname, place.port, limit=DROP_BYTES)
        head = f"GET {place.path} HTTP/1.1\r\nHost: {place.netloc}\r\nAuthorization: Bearer {self._token}\r\n"
        writer.write(f'{head}Accept: multipart/related; type="application/dicom"\r\n\r\n'.encode())
        try:
            for _ in range(240):
                if not await reader.read(DROP_BYTES):
                    break
                await asyncio.sleep(DROP_EVERY_S)
        finally:
            writer.transport.abort()

    async def abandon(self) -> None:
        async def one() -> None:
            async with self._session.get(self._series) as answer:
                await answer.content.readany()
                answer.close()
                self.abandoned += 1

        for _ in range(0, ABANDONED, ABANDONED_A_SECOND):
            second = asyncio.create_task(asyncio.sleep(1))
            await asyncio.gather(*(one() for _ in range(ABANDONED_A_SECOND)))
            await second

    async def store(self) -> None:
        series = f"{STUDY}9.{next(self._numbers)}"
        body, content_type = await asyncio.to_thread(slices, f"{STUDY}9", series, 10, 128)
        await self._store(body, content_type)
        self.stored += 10

    async def look(self) -> None:
        """A viewer: search, metadata, a frame, a picture."""
        one = f"{self._series}/instances/{SERIES}.{next(self._numbers) % SLICES + 1}"
        for url in (
            f"{self._dicomweb}/studies?PatientName=C*",
            f"{self._series}/metadata",
            f"{one}/frames/1",
            f"{one}/rendered?viewport=256,256",
        ):
            async with self._session.get(url) as answer:
                await answer.read()
                assert answer.status == 200, (answer.status, url)
        self.shown += 1

    async def _store(self, body: bytes, content_type: str) -> None:
        async with self._session.post(
            f"{self._dicomweb}/studies", data=body, headers={"Content-Type": content_type}
        ) as answer:
            assert answer.status == 200, answer.status


async def again_and_again(work: Callable[[], Awaitable[None]], until_s: float) -> None:
    while time.monotonic() < until_s:
        await work()


async def measure(base: str, token: str, group: int, seconds: float) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(headers=headers, connector=connector, read_bufsize=DROP_BYTES) as session:
        load = Load(session, base, token)
        await load.prepare()
        await load.look()
        print(f"before: {Held.by(group).told()}")
        health, (asked, telling) = Health(), multiprocessing.Pipe(duplex=False)
        asking = multiprocessing.Process(target=ask, args=(base, telling), daemon=True)
        asking.start()
        began_s = time.monotonic()
        tasks = [asyncio.create_task(again_and_again(work, began_s + seconds)) for work in load.everybody()]
        everything = asyncio.gather(*tasks)
        while not everything.done():
            await asyncio.wait([everything], timeout=60)
            health.hear(asked)
            minutes = (time.monotonic() - began_s) / 60
            print(f"{minutes:5.1f} min: {Held.by(group).told()}; health {health.told()}", flush=True)
        asking.kill()
        await everything
        print(f"stored {load.stored} instances, abandoned {load.abandoned} downloads, showed {load.shown} pictures")
    await asyncio.sleep(SETTLE_S)
    print(f"{SETTLE_S:.0f} s after the load: {Held.by(group).told()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    minutes = parser.parse_args().minutes
    with tempfile.TemporaryDirectory() as folder, running_server(Path(folder) / "data", is_program=True) as server:
        asyncio.run(measure(server.base, server.token("admin"), server.process.pid, minutes * 60))


if __name__ == "__main__":
    main()
