"""Bombs and killed decoders, as a client sees them: a reason, the next frame works, memory returns."""

import io
import os
import signal
import struct
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pydicom
import pytest
import requests
from files import part10, related
from pydicom.encaps import encapsulate
from servers import Server, running_server

from archive.instances import PixelFacts
from conformance.bench.processes import family, memory_bytes
from wado.pixels.encode import encode_frame
from wado.pixels.syntaxes import EXPLICIT_LE, HTJ2K_LOSSLESS, JPEG_2000_LOSSLESS, JPEG_LS

SIDE = 512
SYNTAXES = (JPEG_LS, JPEG_2000_LOSSLESS, HTJ2K_LOSSLESS)
NATIVE = {"Accept": f'multipart/related; type="application/octet-stream"; transfer-syntax={EXPLICIT_LE}'}
FACTS = PixelFacts(SIDE, SIDE, 1, "MONOCHROME2", 16, 12, 11, 0)
SAMPLES = (np.arange(SIDE * SIDE, dtype=np.uint32) * 2654435761 >> 20).astype(np.uint16).reshape(SIDE, SIDE)
RETURNED_BYTES = 100 << 20
"""What the processes may have grown by: each decoder keeps the samples of a frame or two."""


def instance(uid: str, frame: bytes, syntax: str, side: int = SIDE) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(part10(SOPInstanceUID=uid)))
    dataset.Rows = dataset.Columns = side
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].is_undefined_length = True
    dataset["PixelData"].VR = "OB"
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def inflated(frame: bytes, syntax: str) -> bytes:
    """The frame, its code stream now saying 65535 × 65535."""
    changed = bytearray(frame)
    if syntax == JPEG_LS:
        struct.pack_into(">HH", changed, frame.index(b"\xff\xf7") + 5, 65535, 65535)
    else:
        struct.pack_into(">II", changed, frame.index(b"\xff\x51") + 6, 65535, 65535)
    return bytes(changed)


def address(server: Server, uid: str) -> str:
    return f"{server.dicomweb}/studies/1.2.3/series/1.2.3.4/instances/{uid}"


@pytest.fixture(scope="module")
def frames() -> dict[str, bytes]:
    return {syntax: encode_frame(SAMPLES, FACTS, syntax) for syntax in SYNTAXES}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with running_server(tmp_path / "data") as running:
        yield running


def store(server: Server, files: list[bytes]) -> dict[str, str]:
    headers = {"Authorization": f"Bearer {server.token('admin')}"}
    body, content_type = related(files)
    answer = requests.post(
        f"{server.dicomweb}/studies", data=body, headers=headers | {"Content-Type": content_type}, timeout=60
    )
    assert answer.status_code == 200, answer.text
    return headers | NATIVE


def test_bombs_are_refused_with_a_reason_and_cost_no_memory(server: Server, frames: dict[str, bytes]) -> None:
    files = []
    for number, syntax in enumerate(SYNTAXES):
        bomb = inflated(frames[syntax], syntax)
        files.append(instance(f"1.2.8.{number}.1", frames[syntax], syntax))
        files.append(instance(f"1.2.8.{number}.2", bomb, syntax))
        files.append(instance(f"1.2.8.{number}.3", bomb, syntax, side=65535))
    headers = store(server, files)
    roots = [server.process.pid]
    before = 0
    for _ in range(3):
        for number in range(len(SYNTAXES)):
            for uid in (f"1.2.8.{number}.2", f"1.2.8.{number}.3"):
                for path in ("/frames/1", "/rendered"):
                    accept = headers if path == "/frames/1" else headers | {"Accept": "image/jpeg"}
                    started_s = time.monotonic()
                    refused = requests.get(address(server, uid) + path, headers=accept, timeout=60)
                    if uid.endswith(".3") and path == "/frames/1":  # never offered decoded: too large
                        assert (refused.status_code, refused.json()["code"]) == (406, "not-acceptable")
                    else:
                        assert (refused.status_code, refused.json()["code"]) == (422, "unprocessable")
                        assert "65535" in refused.text or "too large" in refused.text
                    assert time.monotonic() - started_s < 20
            sound = requests.get(address(server, f"1.2.8.{number}.1") + "/frames/1", headers=headers, timeout=60)
            assert SAMPLES.tobytes() in sound.content
        before = before or memory_bytes(roots)
    assert memory_bytes(roots) - before < RETURNED_BYTES
    assert before < 1 << 30


def test_decoders_that_are_killed_at_work_cost_nobody_an_answer(server: Server, frames: dict[str, bytes]) -> None:
    count = 40
    frame = frames[JPEG_2000_LOSSLESS]
    headers = store(server, [instance(f"1.2.9.{number}", frame, JPEG_2000_LOSSLESS) for number in range(count)])
    warm = requests.get(address(server, "1.2.9.0") + "/frames/1", headers=headers, timeout=60)
    assert warm.status_code == 200
    killed = threading.Event()

    def ask(number: int) -> bool:
        answer = requests.get(address(server, f"1.2.9.{number}") + "/frames/1", headers=headers, timeout=60)
        if number == count // 4 and not killed.is_set():
            killed.set()
            for decoder in family([server.process.pid]) - {server.process.pid}:
                os.kill(decoder, signal.SIGKILL)
        return answer.status_code == 200 and SAMPLES.tobytes() in answer.content

    with ThreadPoolExecutor(6) as threads:
        assert all(threads.map(ask, range(1, count)))
    assert killed.is_set()
