"""wsidicom (PyPI) reading a slide over DICOMweb. Runs in that client's environment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from dicomweb_client.api import DICOMwebClient
from wsidicom import WsiDicom, WsiDicomWebClient  # type: ignore[import-not-found]  # only there

from conformance.clients.task import Task, Wrong, run_steps, same

MOST_DIFFERENCE = 2  # of 255: decoders round differently
REGION = (100, 60, 300, 200)  # left, top, width, height: across many tiles


def open_slide(task: Task) -> str:
    with _slide(task) as slide:
        sizes = [(level.size.width, level.size.height) for level in slide.pyramids[0]]
    columns, rows = task.slide["columns"], task.slide["rows"]
    same("levels", sorted(sizes, reverse=True), [(columns, rows), (columns // 2, rows // 2)])
    return f"levels {sizes}"


def read_region(task: Task) -> str:
    left, top, width, height = REGION
    with _slide(task) as slide:
        region = np.asarray(slide.read_region((left, top), 0, (width, height)).convert("RGB"))
    whole = np.frombuffer(Path(task.slide["picture"]).read_bytes(), dtype=np.uint8)
    whole = whole.reshape(task.slide["rows"], task.slide["columns"], 3)
    most = int(np.abs(region.astype(int) - whole[top : top + height, left : left + width]).max())
    if most > MOST_DIFFERENCE:
        raise Wrong(f"samples differ by up to {most}")
    return f"{width}x{height}, samples differ by at most {most}"


def read_lower_level(task: Task) -> str:
    with _slide(task) as slide:
        region = np.asarray(slide.read_region((0, 0), 1, (task.slide["columns"] // 2, 64)).convert("RGB"))
    whole = np.frombuffer(Path(task.slide["picture"]).read_bytes(), dtype=np.uint8)
    whole = whole.reshape(task.slide["rows"], task.slide["columns"], 3)[:128:2, ::2]
    mean = float(np.abs(region.astype(int) - whole).mean())
    if mean > MOST_DIFFERENCE:
        raise Wrong(f"samples differ by {mean:.1f} in the mean")
    return f"samples differ by {mean:.1f} in the mean from the base level's"


@contextmanager
def _slide(task: Task) -> Iterator[Any]:
    client = WsiDicomWebClient(DICOMwebClient(task.base, headers=task.headers))
    slide = WsiDicom.open_web(client, task.slide["study"], task.slide["series"])
    try:
        yield slide
    finally:
        slide.close()


if __name__ == "__main__":
    run_steps(
        {
            "open a slide": open_slide,
            "read a region of the base level": read_region,
            "read a region of the lower level": read_lower_level,
        }
    )
