"""How long a frame takes while one client uploads as much as it can: `python -m tests.fairness`."""

import asyncio
import io
import sys
import tempfile
import time
from pathlib import Path

import aiohttp
import pydicom
from pydicom.data import get_testdata_file

sys.path.insert(0, str(Path(__file__).resolve().parent))

from files import related
from servers import running_server

PUSHERS, REQUESTS, INSTANCES_A_REQUEST, SECONDS = 8, 24, 50, 10.0


def copies(number: int) -> tuple[bytes, str]:
    """The body of a store request of a CT's copies, and its media type."""
    dataset = pydicom.dcmread(str(get_testdata_file("CT_small.dcm")))
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.9", "1.2.9.9"
    files = []
    for instance in range(INSTANCES_A_REQUEST):
        uid = f"1.2.9.{number}.{instance}"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
        file = io.BytesIO()
        dataset.save_as(file)
        files.append(file.getvalue())
    return related(files)


async def read(session: aiohttp.ClientSession, url: str, what: str) -> None:
    """Read a frame again and again, and print how long that took."""
    took_ms = []
    ends_s = time.monotonic() + SECONDS
    while time.monotonic() < ends_s:
        began_s = time.monotonic()
        async with session.get(url) as answer:
            await answer.read()
            assert answer.status == 200
        took_ms.append((time.monotonic() - began_s) * 1000)
        await asyncio.sleep(0.01)
    took_ms.sort()
    middle, late = took_ms[len(took_ms) // 2], took_ms[int(len(took_ms) * 0.99)]
    print(f"{what}: {len(took_ms)} frames, p50 {middle:.1f} ms, p99 {late:.1f} ms, longest {took_ms[-1]:.1f} ms")


async def measure(base: str, token: str) -> None:
    path = str(get_testdata_file("CT_small.dcm"))
    dataset = pydicom.dcmread(path)
    url = f"{base}/studies/{dataset.StudyInstanceUID}/series/{dataset.SeriesInstanceUID}"
    url += f"/instances/{dataset.SOPInstanceUID}/frames/1"
    bodies = [copies(number) for number in range(REQUESTS)]
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session:

        async def store(body: bytes, content_type: str) -> None:
            async with session.post(f"{base}/studies", data=body, headers={"Content-Type": content_type}) as answer:
                assert answer.status == 200, answer.status

        async def push() -> None:
            while bodies:
                await store(*bodies.pop())

        await store(Path(path).read_bytes(), "application/dicom")
        await read(session, url, "alone")
        pushing = [asyncio.create_task(push()) for _ in range(PUSHERS)]
        await read(session, url, f"beside {PUSHERS} uploads")
        print(f"of {REQUESTS} uploads {len(bodies)} had not begun by then")
        await asyncio.gather(*pushing)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, running_server(Path(folder) / "data", is_program=True) as server:
        asyncio.run(measure(server.dicomweb, server.token("admin")))
