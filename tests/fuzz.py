"""Everything that reads what strangers send, given damaged input: it reads or refuses, quickly, and nothing else.

    python -m tests.fuzz [--seconds 60] [--seed 1] [TARGET...]

A fault prints the input as a line for `tests/fuzzing/regressions.json`, which every `make test` runs again.
"""

import argparse
import asyncio
import base64
import contextlib
import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pydicom

from archive.dicom.extract import parse_instance
from archive.dicom.part10 import read_file_meta
from archive.dicom.xml_model import parse_xml, to_xml
from archive.dicomweb.header_values import MediaType
from archive.dicomweb.media_types import Offer, negotiate
from archive.dicomweb.multipart import MultipartLimits, MultipartReader, RelatedType
from archive.dicomweb.ranges import parse_range
from archive.errors import LightboxError
from archive.index.query import Level
from archive.instances import FrameLayout, Span
from qido.parameters import Resource, parse_pairs, parse_search
from stow.dataset_encoder import Bulk, encode_file

SLOWEST_S = 1.0
EXPLICIT = "1.2.840.10008.1.2.1"
PIECES = [
    b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0", b"\x7f\xff\xff\xff", b"\r\n",
    b"\r\n--b", b"--", b"%", b"%00", b"*", b";", b",", b'"', b"\\", b"q=1e999", b"q=nan", b"1" * 40, b"-1", b"[" * 300,
    b'{"Value":[' * 60, b"<!DOCTYPE a>", b"<Item number='1'>" * 60, b"&amp;", b"\xed\xa0\x80", b"\\ud800", b"null",
]  # fmt: skip
MULTIPART = (
    b"preamble\r\n--b\r\nContent-Type: application/dicom\r\n\r\nabc\r\n"
    b"--b\r\nContent-Type: application/octet-stream\r\nContent-Location: u\r\n\r\n\x00\xff\r\n--b--\r\nepilogue"
)


def multipart(data: bytes) -> None:
    """The first byte says in which sizes the body comes."""
    size = data[0] % 64 + 1 if data else 1
    body = data[1:]

    async def chunks():
        for start in range(0, len(body), size):
            yield body[start : start + size]

    async def read() -> None:
        async for part in MultipartReader(chunks(), "b", MultipartLimits(parts=50)):
            part.content_type  # noqa: B018 - it parses
            async for _ in part.chunks():
                pass

    asyncio.run(read())


def accept(data: bytes) -> None:
    text = data.decode("latin-1")
    offers = [
        Offer("application/dicom", EXPLICIT, multipart=True),
        Offer("application/dicom+json"),
        Offer("image/jpeg"),
    ]
    with contextlib.suppress(LightboxError):
        RelatedType.parse(text)
    with contextlib.suppress(ValueError):
        MediaType.parse(text)
    assert negotiate([text], [], offers) in offers


def search(data: bytes) -> None:
    pairs = parse_pairs(data.decode("latin-1"))
    for level in Level:
        parse_search(Resource(level), pairs)


def part10(data: bytes) -> None:
    read_file_meta(data)
    parsed = parse_instance(data)
    orjson.loads(parsed.metadata)


def frames(data: bytes) -> None:
    """Every span of every frame lies within the file, whatever offset tables and lengths say."""
    index = parse_instance(data).frames
    if index.layout not in (FrameLayout.WHOLE, FrameLayout.NONE):
        spans = (span for number in range(min(index.count, 50)) for span in index.spans_of(number))
        assert all(0 <= span.offset <= span.offset + span.length_bytes <= len(data) for span in spans)


def dicom_json(data: bytes) -> None:
    dataset = orjson.loads(data)
    if isinstance(dataset, dict):  # all that its caller hands on
        encode_file(dataset, EXPLICIT, lambda _uri: Bulk((Span(0, 4),)))


def dicom_xml(data: bytes) -> None:
    encode_file(parse_xml(data), EXPLICIT, lambda _uri: Bulk((Span(0, 4),)))


def byte_range(data: bytes) -> None:
    found = parse_range(data.decode("latin-1"), 1000)
    assert found is None or 0 <= found.length_bytes <= 1000


TARGETS: dict[str, Callable[[bytes], None]] = {
    "multipart": multipart,
    "accept": accept,
    "search": search,
    "part10": part10,
    "frames": frames,
    "json": dicom_json,
    "xml": dicom_xml,
    "range": byte_range,
}
REFUSALS: dict[str, tuple[type[Exception], ...]] = {"json": (orjson.JSONDecodeError,)}
"""What a target may raise beside LightboxError, as its caller catches it."""


def seeds(target: str) -> list[bytes]:
    """Good input of a target."""
    if target == "frames":
        names = ("SC_rgb_rle_2frame.dcm", "MR_small_RLE.dcm", "JPEG2000.dcm")
        whole = [Path(str(pydicom.data.get_testdata_file(name))).read_bytes() for name in names]
        return [data for data in whole if len(data) < 300_000]
    if target == "part10":
        names = ("CT_small.dcm", "MR_small_bigendian.dcm", "MR_small_RLE.dcm", "image_dfl.dcm", "test-SR.dcm")
        return [Path(str(pydicom.data.get_testdata_file(name)))
                .read_bytes()[:40_000] for name in names]  # fmt: skip
    dataset = pydicom.dcmread(str(pydicom.data.get_testdata_file("test-SR.dcm")), force=True).to_json_dict()
    kinds = {
        "multipart": [b"\x10" + MULTIPART, b"\x00" + MULTIPART],
        "accept": [b'multipart/related; type="application/dicom"; transfer-syntax=*;q=0.5, */*;q=0.1', b"image/jpeg"],
        "search": [
            b"PatientName=A*&StudyDate=20200101-&fuzzymatching=true&limit=5&offset=2",
            b"00100010=%5EX&includefield=all",
        ],
        "json": [orjson.dumps(dataset)[:200_000]],
        "xml": [to_xml(dataset)],
        "range": [b"bytes=0-99", b"bytes=-5", b"bytes=1-2, 4-5"],
    }  # fmt: skip
    return kinds[target]


def damaged(seed: bytes, chance: random.Random) -> bytes:
    """A seed with one to six changes."""
    data = bytearray(seed)
    for _ in range(chance.randint(1, 6)):
        place = chance.randrange(len(data) + 1)
        what = chance.randrange(5)
        if what == 0:
            data[place : place + 1] = bytes([chance.randrange(256)])
        elif what == 1:
            data[place:place] = chance.choice(PIECES)
        elif what == 2:
            piece = chance.choice(PIECES)
            data[place : place + len(piece)] = piece
        elif what == 3:
            del data[place : place + chance.randrange(1, 40)]
        else:
            start = chance.randrange(len(data) + 1)
            data[place:place] = data[start : start + chance.randrange(1, 200)]
    return bytes(data)


def fault_of(target: str, data: bytes) -> str:
    """What is wrong with how a target takes an input; "" where it reads or refuses it."""
    began_s = time.process_time()
    try:
        TARGETS[target](data)
    except (LightboxError, *REFUSALS.get(target, ())):
        pass
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the find
        return f"{type(error).__name__}: {str(error)[:200]}"
    elapsed_s = time.process_time() - began_s
    return f"took {elapsed_s:.1f} s" if elapsed_s > SLOWEST_S else ""


def faults(target: str, seconds: float, seed: int) -> Iterator[tuple[bytes, str]]:
    """Faults of a target found within a time."""
    chance = random.Random(seed)
    good = seeds(target)
    ends_s = time.monotonic() + seconds
    while time.monotonic() < ends_s:
        data = damaged(chance.choice(good), chance)
        if fault := fault_of(target, data):
            yield data, fault


def main() -> int:
    """Look for faults; 1 when one was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="time for each target")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    options = parser.parse_args()
    known: set[str] = set()
    for target in options.targets or TARGETS:
        for data, fault in faults(target, options.seconds, options.seed):
            if f"{target} {fault}" not in known:
                known.add(f"{target} {fault}")
                print(fault, json.dumps([target, base64.b64encode(data).decode()]), flush=True)
        print(f"{target}: done (seed {options.seed})", file=sys.stderr, flush=True)
    return 1 if known else 0


if __name__ == "__main__":
    sys.exit(main())
