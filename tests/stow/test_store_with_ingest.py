"""Real DICOM files through the store service into a real store and index."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from databases import at
from dicomweb_client import DICOMwebClient
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pytest_aiohttp.plugin import AiohttpClient

from archive.database.engine import migrate, open_database
from archive.dicomweb.problems import setup_problems
from archive.identifiers import Digest
from archive.ingest import Ingest, IngestLimits
from archive.resources import INGEST
from archive.store.files import FileStore
from stow.routes import AUTHORIZE, routes

StowClient = TestClient[web.Request, web.Application]
NAMES = (
    "CT_small.dcm",
    "MR_small.dcm",
    "JPEG2000.dcm",
    "reportsi.dcm",
    "image_dfl.dcm",
    "liver_1frame.dcm",
    "ExplVR_BigEnd.dcm",
)


def contents(name: str) -> bytes:
    return Path(str(get_testdata_file(name))).read_bytes()


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
    app.add_routes(routes("/dicom-web"))
    yield await aiohttp_client(app)
    await ingest.close()
    await database.close()


async def test_what_is_stored_is_on_the_disk_byte_for_byte(stow: StowClient, store: FileStore) -> None:
    files = [contents(name) for name in NAMES]
    body = b"".join(b"--B\r\nContent-Type: application/dicom\r\n\r\n" + file + b"\r\n" for file in files) + b"--B--"
    headers = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=B'}
    response = await stow.post("/dicom-web/studies", data=body, headers=headers)
    module: dict[str, Any] = await response.json(content_type=None)
    assert response.status == 200, module
    expected = [dcmread(str(get_testdata_file(name)), stop_before_pixels=True).SOPInstanceUID for name in NAMES]
    assert [item["00081155"]["Value"][0] for item in module["00081199"]["Value"]] == expected
    for file in files:
        digest = Digest(hashlib.sha256(file).hexdigest())
        with store.contents(digest) as data:
            assert bytes(data) == file


async def test_dicomweb_client_stores_datasets_and_is_told_about_a_changed_duplicate(stow: StowClient) -> None:
    client = DICOMwebClient(str(stow.make_url("/dicom-web")).rstrip("/"))
    dataset = dcmread(str(get_testdata_file("CT_small.dcm")))
    stored: Dataset = await asyncio.to_thread(client.store_instances, [dataset])
    assert [item.ReferencedSOPInstanceUID for item in stored.ReferencedSOPSequence] == [dataset.SOPInstanceUID]
    again = await asyncio.to_thread(client.store_instances, [dataset])
    assert "FailedSOPSequence" not in again
    dataset.PatientComments = "changed"
    mixed = await asyncio.to_thread(client.store_instances, [dataset, dcmread(str(get_testdata_file("MR_small.dcm")))])
    assert mixed.FailedSOPSequence[0].FailureReason == 0x0111
    assert len(mixed.ReferencedSOPSequence) == 1


async def test_a_file_cut_in_its_pixel_data_is_refused_and_its_study_mismatch_is_named(stow: StowClient) -> None:
    file = contents("CT_small.dcm")
    cut = await stow.post("/dicom-web/studies", data=file[:-1000], headers={"Content-Type": "application/dicom"})
    assert cut.status == 400
    other = await stow.post("/dicom-web/studies/1.2.3", data=file, headers={"Content-Type": "application/dicom"})
    assert other.status == 409
    module = await other.json(content_type=None)
    (failed,) = module["00081198"]["Value"]
    assert failed["00081197"]["Value"] == [0xA900]
    assert failed["00081155"]["Value"] == [dcmread(str(get_testdata_file("CT_small.dcm"))).SOPInstanceUID]
