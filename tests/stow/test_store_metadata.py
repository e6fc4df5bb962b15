"""Metadata and bulk data in one request: what pydicom reads from the stored file is what was sent."""

import base64
import hashlib
import json
import warnings
from collections.abc import AsyncIterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient
from databases import at
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import get_frame
from pytest_aiohttp.plugin import AiohttpClient

from archive.database.engine import migrate, open_database
from archive.dicom.xml_model import to_xml
from archive.dicomweb.problems import setup_problems
from archive.ingest import Ingest, IngestLimits
from archive.resources import INGEST
from archive.store.files import FileStore
from stow.metadata_parts import MetadataLimits
from stow.routes import AUTHORIZE, METADATA_LIMITS, routes

StowClient = TestClient[web.Request, web.Application]
JSON, XML, OCTETS = "application/dicom+json", "application/dicom+xml", "application/octet-stream"
Part = tuple[str, str, bytes]
"""Content-Type, Content-Location, content."""


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "store")


@pytest.fixture
async def stow(tmp_path: Path, store: FileStore, aiohttp_client: AiohttpClient) -> AsyncIterator[StowClient]:
    migrate(at(tmp_path / "index.sqlite"))
    database = open_database(at(tmp_path / "index.sqlite"))
    ingest = Ingest(store, database, IngestLimits())
    app = web.Application()
    setup_problems(app)
    app[INGEST] = ingest
    app[AUTHORIZE] = lambda request: "test"
    app[METADATA_LIMITS] = MetadataLimits(metadata_bytes=1 << 18, folder=str(tmp_path))
    app.add_routes(routes("/dicom-web"))
    yield await aiohttp_client(app)
    await ingest.close()
    await database.close()


async def post(stow: StowClient, kind: str, parts: Sequence[Part], path: str = "/studies") -> ClientResponse:
    body = b""
    for content_type, location, content in parts:
        place = f"Content-Location: {location}\r\n" if location else ""
        body += f"--B\r\nContent-Type: {content_type}\r\n{place}\r\n".encode() + content + b"\r\n"
    headers = {"Content-Type": f'multipart/related; type="{kind}"; boundary=B'}
    return await stow.post(f"/dicom-web{path}", data=body + b"--B--\r\n", headers=headers)


async def reasons(response: ClientResponse) -> list[int]:
    module = await response.json(content_type=None)
    items = [*module.get("00081198", {}).get("Value", []), *module.get("0008119A", {}).get("Value", [])]
    return [item["00081197"]["Value"][0] for item in items]


def read_back(store: FileStore) -> Dataset:
    (digest,) = store.digests()
    with store.contents(digest) as data, warnings.catch_warnings():
        warnings.simplefilter("error")
        content = bytes(data)
    assert hashlib.sha256(content).hexdigest() == digest
    return dcmread(BytesIO(content))


def as_json(dataset: Dataset) -> dict[str, Any]:
    return json.loads(dataset.to_json())  # type: ignore[no-any-return]  # an object


def metadata_of(dataset: Dataset, uri: str = "bulk/1") -> dict[str, Any]:
    """The dataset's JSON with its pixel data as a BulkDataURI."""
    found = as_json(dataset)
    found["7FE00010"] = {"vr": found.get("7FE00010", {}).get("vr", "OW"), "BulkDataURI": uri}
    return found


def example(name: str = "CT_small.dcm") -> Dataset:
    return dcmread(str(get_testdata_file(name)))


def same(one: Dataset, other: Dataset) -> bool:
    """Equal as DICOM JSON, but for the text coding and what files are free to leave out."""
    left, right = as_json(one), as_json(other)
    for tag in ("00080005", "7FE00010"):
        left.pop(tag, None)
        right.pop(tag, None)
    return left == right


@pytest.mark.parametrize("kind", [JSON, XML])
@pytest.mark.parametrize("bulk_first", [False, True])
async def test_metadata_and_pixel_data_become_the_same_instance(
    stow: StowClient, store: FileStore, kind: str, bulk_first: bool
) -> None:
    dataset = example()
    metadata = metadata_of(dataset)
    document = json.dumps([metadata]).encode() if kind == JSON else to_xml(metadata)
    parts = [(kind, "", document), (OCTETS, "bulk/1", dataset.PixelData)]
    response = await post(stow, kind, parts[::-1] if bulk_first else parts)
    assert response.status == 200, await response.text()
    stored = read_back(store)
    assert stored.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert same(stored, dataset)
    assert np.array_equal(stored.pixel_array, dataset.pixel_array)


@pytest.mark.parametrize(
    "name", ["CT_small.dcm", "rtplan.dcm", "reportsi.dcm", "priv_SQ.dcm", "chrH31.dcm", "chrX1.dcm"]
)
async def test_every_attribute_of_real_files_survives(stow: StowClient, store: FileStore, name: str) -> None:
    path = get_testdata_file(name) or next(Path(str(get_testdata_file("CT_small.dcm"))).parents[1].glob(f"**/{name}"))
    dataset = dcmread(str(path))
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        if keyword not in dataset:
            setattr(dataset, keyword, "1.2.3.4")
    if "SOPClassUID" not in dataset:
        dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    parts: list[Part] = [
        (JSON, "", json.dumps([metadata_of(dataset)]).encode()),
        (OCTETS, "bulk/1", dataset.get("PixelData", b"\0\0")),
    ]
    if "PixelData" not in dataset:
        parts = [(JSON, "", dataset.to_json().encode())]
    response = await post(stow, JSON, parts)
    assert response.status == 200, await response.text()
    assert same(read_back(store), dataset)


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("JPEG2000.dcm", "image/jp2"),
        ("MR_small_jpeg_ls_lossless.dcm", "image/jls"),
        ("SC_rgb_jpeg_gdcm.dcm", "image/jpeg"),
        ("JPGExtended.dcm", "image/jpeg"),
    ],
)
async def test_a_compressed_image_fills_the_image_pixel_macro_in(
    stow: StowClient, store: FileStore, name: str, media_type: str
) -> None:
    dataset = example(name)
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    metadata = metadata_of(dataset)
    for tag in [tag for tag in metadata if tag.startswith("0028")]:
        del metadata[tag]
    response = await post(stow, JSON, [(JSON, "", json.dumps([metadata]).encode()), (media_type, "bulk/1", frame)])
    assert response.status == 200, await response.text()
    stored = read_back(store)
    assert stored.file_meta.TransferSyntaxUID == dataset.file_meta.TransferSyntaxUID
    for keyword in ("Rows", "Columns", "SamplesPerPixel", "BitsStored", "PhotometricInterpretation"):
        assert stored[keyword].value == dataset[keyword].value, keyword
    assert get_frame(stored.PixelData, 0, number_of_frames=1).rstrip(b"\0") == frame.rstrip(b"\0")


async def test_frames_of_a_compressed_object_come_one_a_part(stow: StowClient, store: FileStore) -> None:
    frames = []
    for shade in (10, 200):
        buffer = BytesIO()
        Image.new("L", (40, 30), shade).save(buffer, "JPEG")
        frames.append(buffer.getvalue())
    metadata = metadata_of(secondary_capture())
    metadata["00280008"] = {"vr": "IS", "Value": [2]}
    parts = [(JSON, "", json.dumps([metadata]).encode()), *(("image/jpeg", "bulk/1", frame) for frame in frames)]
    assert (await post(stow, JSON, parts)).status == 200
    stored = read_back(store)
    assert (stored.Rows, stored.Columns, stored.file_meta.TransferSyntaxUID) == (30, 40, "1.2.840.10008.1.2.4.50")
    assert [int(frame.mean()) for frame in stored.pixel_array] == [10, 200]
    assert await reasons(await post(stow, JSON, parts[:2])) == [0xC000]


def secondary_capture(**attributes: object) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    dataset.SOPInstanceUID, dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3", "1.2.1", "1.2.2"
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


async def test_a_pdf_document_is_stored_with_its_type(stow: StowClient, store: FileStore) -> None:
    dataset = secondary_capture()
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.104.1"
    metadata = {**as_json(dataset), "00420011": {"vr": "OB", "BulkDataURI": "doc"}}
    parts = [(JSON, "", json.dumps([metadata]).encode()), ("application/pdf", "doc", b"%PDF-1.7 odd")]
    assert (await post(stow, JSON, parts)).status == 200
    stored = read_back(store)
    assert stored.MIMETypeOfEncapsulatedDocument == "application/pdf"
    assert stored.EncapsulatedDocumentLength == 12
    assert stored.EncapsulatedDocument == b"%PDF-1.7 odd"


async def test_text_beyond_ascii_is_kept_and_its_coding_said(stow: StowClient, store: FileStore) -> None:
    dataset = secondary_capture(PatientName="Yamada^Tarou=山田^太郎=やまだ^たろう", PatientComments="Grüße")
    metadata = as_json(dataset)
    metadata["00080005"] = {"vr": "CS", "Value": ["ISO_IR 100"]}
    assert (await post(stow, JSON, [(JSON, "", json.dumps([metadata]).encode())])).status == 200
    stored = read_back(store)
    assert stored.SpecificCharacterSet == "ISO_IR 192"
    assert str(stored.PatientName) == "Yamada^Tarou=山田^太郎=やまだ^たろう"
    assert stored.PatientComments == "Grüße"


async def test_one_bad_object_fails_alone(stow: StowClient, store: FileStore) -> None:
    good, bad = as_json(secondary_capture()), as_json(secondary_capture(SOPInstanceUID="1.2.4"))
    bad["00280010"] = {"vr": "US", "Value": ["many"]}
    response = await post(stow, JSON, [(JSON, "", json.dumps([bad, good]).encode())])
    assert response.status == 202
    module = await response.json(content_type=None)
    (failed,) = module["00081198"]["Value"]
    assert (failed["00081155"]["Value"], failed["00081197"]["Value"]) == (["1.2.4"], [0xC000])
    assert read_back(store).SOPInstanceUID == "1.2.3"


async def test_missing_bulk_data_is_a_failure_that_says_so(stow: StowClient) -> None:
    metadata = metadata_of(secondary_capture(), "file:///etc/passwd")
    response = await post(stow, JSON, [(JSON, "", json.dumps([metadata]).encode()), (OCTETS, "bulk/1", b"\0\0")])
    assert response.status == 409
    assert await reasons(response) == [0xA922]


DEEP = as_json(secondary_capture())
for _ in range(80):
    DEEP = {**as_json(secondary_capture()), "00081140": {"vr": "SQ", "Value": [DEEP]}}


@pytest.mark.parametrize(
    "change",
    [
        {"00080018": {"vr": "UI", "Value": ["../../x"]}},
        {"00080018": {"vr": "UI"}},
        {"00080016": None},
        {"00100010": {"vr": "PN", "Value": ["no object"]}},
        {"00100020": {"vr": "LO", "Value": [["list"]]}},
        {"00100020": {"vr": "XX", "Value": ["a"]}},
        {"00100020": {"vr": "LO", "Value": ["a\\b"]}},
        {"00100020": {"vr": "LO", "Value": "text"}},
        {"00100020": "text"},
        {"0020001": {"vr": "LO", "Value": ["a"]}},
        {"FFFEE000": {"vr": "UN"}},
        {"0020ZZZZ": {"vr": "LO", "Value": ["a"]}},
        {"00080008": {"vr": "SQ", "Value": "x"}},
        {"00081140": {"vr": "SQ", "Value": ["x"]}},
        {"00280010": {"vr": "US", "Value": [70000]}},
        {"00280010": {"vr": "US", "Value": [1.5]}},
        {"00281050": {"vr": "DS", "Value": [True]}},
        {"00180050": {"vr": "FD", "Value": ["x"]}},
        {"00091010": {"vr": "OB", "InlineBinary": "###"}},
        {"00091010": {"vr": "OB", "InlineBinary": 5}},
        {"00091010": {"vr": "OB", "BulkDataURI": 5}},
        {"00091010": {"vr": "AT", "Value": ["xyz"]}},
        {"00081140": {"vr": "SQ", "Value": [DEEP]}},
    ],
)
async def test_an_object_that_cannot_be_expressed_is_refused_without_repeating_its_values(
    stow: StowClient, store: FileStore, change: Mapping[str, Any]
) -> None:
    metadata = {**as_json(secondary_capture()), **change}
    response = await post(stow, JSON, [(JSON, "", json.dumps([metadata]).encode())])
    assert response.status in (400, 409), await response.text()
    assert list(store.digests()) == []


@pytest.mark.parametrize(
    ("kind", "document", "status"),
    [
        (JSON, b"not json", 400),
        (JSON, b"[1]", 400),
        (JSON, b'"text"', 400),
        (JSON, b"[]", 400),
        (JSON, b"[" * 100_000, 400),
        (JSON, b"[" + b" " * (1 << 19) + b"]", 413),
        (XML, b"<a/>", 400),
        (XML, b"<", 400),
        (XML, b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><NativeDicomModel>&b;</NativeDicomModel>', 400),
    ],
)
async def test_metadata_that_cannot_be_read_is_refused(
    stow: StowClient, kind: str, document: bytes, status: int
) -> None:
    response = await post(stow, kind, [(kind, "", document)])
    assert response.status == status
    assert "root:" not in await response.text()


async def test_bulk_data_alone_is_400(stow: StowClient) -> None:
    assert (await post(stow, JSON, [(OCTETS, "a", b"x")])).status == 400


async def test_an_object_of_another_study_fails(stow: StowClient) -> None:
    parts = [(JSON, "", json.dumps([as_json(secondary_capture())]).encode())]
    response = await post(stow, JSON, parts, path="/studies/9.9")
    assert (response.status, await reasons(response)) == (409, [0xA900])


async def test_numbers_keep_their_value_in_decimal_strings(stow: StowClient, store: FileStore) -> None:
    metadata = as_json(secondary_capture())
    metadata["00280030"] = {"vr": "DS", "Value": [0.1234567890123456789, "1.10"]}
    metadata["00200013"] = {"vr": "IS", "Value": [7.0]}
    metadata["00091001"] = {"vr": "UV", "Value": ["18446744073709551615"]}
    metadata["00090010"] = {"vr": "LO", "Value": ["TEST"]}
    metadata["00091002"] = {"vr": "UN", "InlineBinary": base64.b64encode(b"odd").decode()}
    assert (await post(stow, JSON, [(JSON, "", json.dumps([metadata]).encode())])).status == 200
    stored = read_back(store)
    assert float(stored.PixelSpacing[0]) == pytest.approx(0.12345678901234)
    assert str(stored.PixelSpacing[1]) == "1.10"
    assert stored.InstanceNumber == 7
    assert stored[0x00091001].value == 18446744073709551615
    assert stored[0x00091002].value == b"odd\0"
