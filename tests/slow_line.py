"""What copies of frames save on a slow line, with and without in one run: `python -m tests.slow_line`.

A CT series in the full viewer, from a real server, in Chromium on a line that is slowed down. The slices are those of a
folder, again and again under UIDs of their own, or drawn ones. Told are the bytes of all frames, and when the last one
had come, the viewer itself included.
"""

import argparse
import asyncio
import io
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import pydicom
import requests

sys.path.insert(0, str(Path(__file__).resolve().parent))

from chromium import browser_page
from files import related
from servers import ROOT, SHARED_DATA, Server, lightbox, running_server

from archive.samples import head_phantom

STUDY, SERIES = "2.25.500", "2.25.501"
AT_ONCE = 25
GIVE_UP_S = 900.0
COME = """(() => {
  const frames = performance.getEntriesByType('resource').filter(one => one.name.includes('/frames/'));
  const sum = frames.reduce((total, one) => total + one.transferSize, 0);
  return [frames.length, sum, Math.max(0, ...frames.map(one => one.responseEnd))];
})()"""
"""How many frames have come, their bytes, and when the last one had come (ms)."""


def slices(folder: Path, count: int) -> Iterator[bytes]:
    """So many slices of 512 x 512 x 16 bit."""
    axial = [pydicom.dcmread(path) for path in sorted(folder.glob("**/*")) if path.is_file()]
    axial = [one for one in axial if (one.get("Rows"), one.get("Columns"), one.get("BitsAllocated")) == (512, 512, 16)]
    if not axial:
        print("There are no slices in the folder: they are drawn.")
        axial = [pydicom.dcmread(io.BytesIO(one)) for one in head_phantom(slices=30)]
    for number, dataset in enumerate(islice(cycle(axial), count), 1):
        uid = dataset.file_meta.MediaStorageSOPInstanceUID = f"{SERIES}.{number}"
        dataset.SOPInstanceUID, dataset.StudyInstanceUID, dataset.SeriesInstanceUID = uid, STUDY, SERIES
        dataset.InstanceNumber, dataset.ImagePositionPatient = number, [-250, -250, number]
        file = io.BytesIO()
        dataset.save_as(file)
        yield file.getvalue()


def store(server: Server, files: Iterator[bytes]) -> None:
    token = server.token("store")
    while some := list(islice(files, AT_ONCE)):
        body, content_type = related(some)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": content_type}
        requests.post(f"{server.dicomweb}/studies", data=body, headers=headers, timeout=60).raise_for_status()


async def look(server: Server, count: int, megabits: float, latency_ms: float) -> str:
    """Open the series in the full viewer, until its last frame has come."""
    link = server.share(STUDY)
    share_id = link.partition("#")[0].rpartition("/")[2]
    async with browser_page() as (page, _):
        await page.add_init_script("performance.setResourceTimingBufferSize(10000)")
        await page.goto(link)
        await page.locator("[data-action=open]").click()
        await page.wait_for_url("**/images*")
        devtools = await page.context.new_cdp_session(page)
        bytes_per_s = megabits * 1e6 / 8
        limits = {"latency": latency_ms, "downloadThroughput": bytes_per_s, "uploadThroughput": bytes_per_s}
        await devtools.send("Network.emulateNetworkConditions", {"offline": False, **limits})
        await page.goto(f"{server.base}/s/{share_id}/viewer?StudyInstanceUIDs={STUDY}")
        deadline_s, frames = time.monotonic() + GIVE_UP_S, [0.0, 0.0, 0.0]
        while frames[0] < count and time.monotonic() < deadline_s:
            await page.wait_for_timeout(500)
            frames = await page.evaluate(COME)
    return f"{frames[0]:.0f} frames, {frames[1] / 1e6:.1f} MB, the last after {frames[2] / 1000:.1f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=500)
    parser.add_argument("--files", type=Path, default=SHARED_DATA / "ct-phantom-philips")
    parser.add_argument("--megabits", type=float, default=10.0)
    parser.add_argument("--latency-ms", type=float, default=40.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        data.mkdir()
        (data / "viewer").symlink_to(ROOT / ".check" / "viewer")
        with running_server(data) as server:
            store(server, slices(given.files, given.slices))
            line = (given.slices, given.megabits, given.latency_ms)
            print("without copies:", asyncio.run(look(server, *line)), flush=True)
            began_s = time.monotonic()
            print(lightbox("transcode", "--data", str(data), "--to", "htj2k").strip(), end=" ")
            print(f"({time.monotonic() - began_s:.1f} s)")
            print("with copies:", asyncio.run(look(server, *line)), flush=True)


if __name__ == "__main__":
    main()
