"""What the codecs alone decode in a second on all cores: the limit of a server that decodes frames."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import imagecodecs
from pydicom import dcmread
from pydicom.encaps import generate_frames
from pydicom.filebase import DicomBytesIO

from conformance.bench.corpus import SYNTAXES, picture, template

SECONDS = 0.4
_DECODERS: dict[str, Callable[[bytes], Any]] = {
    "J2K": partial(imagecodecs.jpeg2k_decode, numthreads=1),
    "JPEG-LS": imagecodecs.jpegls_decode,
    "HTJ2K": imagecodecs.htj2k_decode,
}


def codec_rate(name: str) -> float | None:
    """Frames of the corpus in a second, one thread on each core; None for a syntax that no library decodes alone."""
    decode = _DECODERS.get(name)
    if decode is None:
        return None
    file = dcmread(DicomBytesIO(template(picture(), SYNTAXES[name]).content))
    frame = next(generate_frames(file.PixelData, number_of_frames=1))
    cores = os.cpu_count() or 1
    until_s = time.perf_counter() + SECONDS

    def count(_core: int) -> int:
        found = 0
        while time.perf_counter() < until_s:
            decode(frame)  # without the interpreter's lock
            found += 1
        return found

    with ThreadPoolExecutor(cores) as threads:
        return sum(threads.map(count, range(cores))) / SECONDS
