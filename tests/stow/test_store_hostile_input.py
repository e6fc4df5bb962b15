"""Whatever is sent is refused or stored, never a crash: codes of the 4xx family, errors of one class."""

import contextlib
import random
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import get_frame

from archive.errors import RefusedInstanceError
from archive.instances import Span
from stow.dataset_encoder import Bulk, encode_file
from stow.image_headers import read_image_header

StowClient = TestClient[web.Request, web.Application]
PART = b"--XX\r\nContent-Type: application/dicom\r\n\r\n1.1/1.2/1.3/1.9\r\n"
METADATA = b'--XX\r\nContent-Type: application/dicom+json\r\n\r\n[{"00080018":{"vr":"UI","Value":["1.2"]}}]\r\n'
PIECES = (b"--XX", b"--XX--", b"\r\n", b"\r", b"\n", b"\0", b"--", b": ", b"Content-Type", b"\xff", b";", b'"')


@pytest.mark.parametrize("kind", ["application/dicom", "application/dicom+json", "application/dicom+xml"])
async def test_a_thousand_damaged_bodies_get_no_5xx(stow: StowClient, kind: str) -> None:
    chance = random.Random(kind)
    headers = {"Content-Type": f'multipart/related; type="{kind}"; boundary=XX'}
    for _ in range(350):
        body = bytearray((PART + METADATA) * 2 + b"--XX--\r\n")
        for _ in range(chance.randrange(1, 6)):
            at = chance.randrange(len(body))
            body[at : at + chance.randrange(6)] = chance.choice(PIECES)
        response = await stow.post("/dicom-web/studies", data=bytes(body), headers=headers)
        assert response.status < 500, bytes(body)
        await response.read()


@pytest.mark.parametrize("name", ["Content-Type", "Accept", "Content-Encoding", "Expect"])
async def test_damaged_headers_get_no_5xx(stow: StowClient, name: str) -> None:
    chance = random.Random(name)
    characters = 'abc/+;="\\, *q.01multipart/related\u00e9'
    for _ in range(150):
        value = "".join(chance.choice(characters) for _ in range(chance.randrange(40)))
        headers = {"Content-Type": "application/dicom", name: value}
        response = await stow.post("/dicom-web/studies", data=b"1.1/1.2/1.3/1.9", headers=headers)
        assert response.status < 500, value
        await response.read()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
VRS = st.sampled_from(
    [
        "AE",
        "AS",
        "AT",
        "CS",
        "DA",
        "DS",
        "DT",
        "FD",
        "FL",
        "IS",
        "LO",
        "LT",
        "OB",
        "OD",
        "OF",
        "OL",
        "OV",
        "OW",
        "PN",
        "SH",
        "SL",
        "SQ",
        "SS",
        "ST",
        "SV",
        "TM",
        "UC",
        "UI",
        "UL",
        "UN",
        "UR",
        "US",
        "UT",
        "UV",
        "XX",
    ]
)
ENTRIES = st.fixed_dictionaries(
    {"vr": VRS},
    optional={"Value": VALUES | st.lists(VALUES, max_size=3), "InlineBinary": VALUES, "BulkDataURI": VALUES},
)
TAGS = st.sampled_from(["00100010", "00080005", "7FE00010", "00091001", "FFFEE000", "0008000G", "x"])


@given(st.dictionaries(TAGS, ENTRIES | VALUES, max_size=4))
@settings(max_examples=500, deadline=None)
def test_any_metadata_is_a_file_or_a_refusal(changes: dict[str, Any]) -> None:
    dataset = {
        "00080016": {"vr": "UI", "Value": ["1.2"]},
        "00080018": {"vr": "UI", "Value": ["1.3"]},
        **changes,
    }
    with contextlib.suppress(RefusedInstanceError):
        pieces = encode_file(dataset, "1.2.840.10008.1.2.1", lambda uri: Bulk((Span(0, 3),)) if uri else None)
        assert b"DICM" in bytes(pieces[0])  # type: ignore[arg-type]  # the first piece is the file meta information


def code_streams() -> list[bytes]:
    names = ("JPEG2000.dcm", "MR_small_jpeg_ls_lossless.dcm", "SC_rgb_jpeg_gdcm.dcm", "JPGExtended.dcm")
    datasets = [dcmread(str(get_testdata_file(name))) for name in names]
    return [get_frame(dataset.PixelData, 0, number_of_frames=1)[:2000] for dataset in datasets]


def test_any_damaged_image_header_is_read_or_refused() -> None:
    chance = random.Random(1)
    boxes = bytes.fromhex("0000000c6a5020200d0a870a")
    for stream in [*code_streams(), boxes + b"\0\0\0\x08jp2c", boxes + b"\0\0\0\x01jp2c" + bytes(8), boxes + bytes(8)]:
        for _ in range(400):
            damaged = bytearray(stream)
            for _ in range(chance.randrange(0, 5)):
                at = chance.randrange(len(damaged))
                damaged[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
            damaged = damaged[: chance.randrange(len(damaged) + 1)]
            try:
                header = read_image_header(bytes(damaged))
            except RefusedInstanceError:
                continue
            assert 0 < header.rows < 65536
            assert 0 < header.columns < 65536
