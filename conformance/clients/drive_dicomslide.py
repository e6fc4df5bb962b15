"""dicomslide (PyPI) finding and reading a slide over DICOMweb. Runs in that client's environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from dicomslide import find_slides  # type: ignore[import-not-found]  # only there
from dicomweb_client.api import DICOMwebClient

from conformance.clients.task import Task, Wrong, run_steps, same

MOST_MEAN_DIFFERENCE = 2.0  # of 255: it takes colours through the slide's ICC profile
REGION = (60, 100, 200, 300)  # top, left, height, width: across many tiles


def find(task: Task) -> str:
    slide = _slide(task)
    columns, rows = task.slide["columns"], task.slide["rows"]
    got = [tuple(map(int, each)) for each in slide.total_pixel_matrix_dimensions]
    same("dimensions", got, [(rows, columns), (rows // 2, columns // 2)])
    return f"levels (rows, columns) {got}"


def read_region(task: Task) -> str:
    top, left, height, width = REGION
    region = _slide(task).get_image_region(offset=(top, left), level=0, size=(height, width))
    whole = np.frombuffer(Path(task.slide["picture"]).read_bytes(), dtype=np.uint8)
    whole = whole.reshape(task.slide["rows"], task.slide["columns"], 3)
    same("shape", region.shape, (height, width, 3))
    mean = float(np.abs(region.astype(int) - whole[top : top + height, left : left + width]).mean())
    if mean > MOST_MEAN_DIFFERENCE:
        raise Wrong(f"samples differ by {mean:.1f} in the mean")
    return f"{width}x{height}, samples differ by {mean:.2f} in the mean"


def _slide(task: Task) -> Any:
    client = DICOMwebClient(task.base, headers=task.headers)
    slides = find_slides(client, study_instance_uid=task.slide["study"])
    same("slides", len(slides), 1)
    return slides[0]


if __name__ == "__main__":
    run_steps({"find a slide": find, "read a region": read_region})
