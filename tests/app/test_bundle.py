"""A study as an offline bundle: what is in it, that other programs read it, and who may not have it."""

import hashlib
import io
import re
import shutil
import subprocess
import time
import zipfile
from pathlib import Path
from typing import Any

import pydicom
import pytest
import requests
from databases import at
from files import part10
from pydicom.dataset import Dataset
from pydicom.fileset import FileSet
from pydicom.sequence import Sequence
from pydicom.uid import (
    BasicTextSRStorage,
    EncapsulatedPDFStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    KeyObjectSelectionDocumentStorage,
    RTStructureSetStorage,
    TwelveLeadECGWaveformStorage,
)
from servers import run_lightbox

from archive.database.engine import open_database
from archive.identifiers import StudyUID
from auth.factors import Passwords
from auth.shares import NewShare, create_share

STUDY = "1.2.91"
FILE_ID = re.compile(r"[A-Z0-9_]{1,8}(/[A-Z0-9_]{1,8}){0,7}")


def instance(number: int, series: int = 1, **values: object) -> bytes:
    uids = {"SeriesInstanceUID": f"{STUDY}.{series}", "SOPInstanceUID": f"{STUDY}.{series}.{number}"}
    common = {"StudyInstanceUID": STUDY, "InstanceNumber": number, "SeriesNumber": series}
    return part10(**common, **uids, **values)


def without_pixels(series: int, sop_class_uid: str, **values: object) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(instance(1, series, SOPClassUID=sop_class_uid)))
    for keyword in ("PixelData", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"):
        delattr(dataset, keyword)
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


def code(meaning: str) -> Sequence:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "1", "99TEST", meaning
    return Sequence([item])


PDF = b"%PDF-1.4\n<script>alert(1)</script>\n%%EOF\n"
FILES = [
    *(instance(number, PatientName="Müller^Ünal", SpecificCharacterSet="ISO_IR 192") for number in (3, 1, 2)),
    without_pixels(2, BasicTextSRStorage, Modality="SR", ConceptNameCodeSequence=code("Findings <b>")),
    without_pixels(
        3, EncapsulatedPDFStorage, EncapsulatedDocument=PDF, EncapsulatedDocumentLength=len(PDF), DocumentTitle="Letter"
    ),
    without_pixels(4, GrayscaleSoftcopyPresentationStateStorage, Modality="PR"),
    without_pixels(5, KeyObjectSelectionDocumentStorage, Modality="KO"),
    without_pixels(6, RTStructureSetStorage, Modality="RTSTRUCT"),
    without_pixels(7, TwelveLeadECGWaveformStorage, Modality="ECG"),
    instance(11, 9).replace(b"IS\x02\x0011", b"IS\x02\x001A"),  # a number that is none
    without_pixels(8, "1.2.826.0.1.3680043.9.9999.1", Modality="OT"),
]


@pytest.fixture(scope="module")
def bundle(served: Any) -> zipfile.ZipFile:
    assert served.store(*FILES).status_code == 200
    answer = served.ask(f"/studies/{STUDY}/bundle")
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/zip"
    return zipfile.ZipFile(io.BytesIO(answer.content))


@pytest.fixture(scope="module")
def unpacked(bundle: zipfile.ZipFile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    bundle.extractall(folder)
    return folder


def test_it_holds_every_file_as_it_was_sent_under_names_that_media_allow(bundle: zipfile.ZipFile) -> None:
    assert bundle.testzip() is None
    names = [name for name in bundle.namelist() if name.startswith("DICOM/")]
    assert sorted(map(bundle.read, names)) == sorted(FILES)
    assert all(FILE_ID.fullmatch(name) for name in names)
    assert {name for name in bundle.namelist() if "/" not in name} == {
        "README.TXT", "DICOMDIR", "INDEX.HTM", "SHA256.TXT",
    }  # fmt: skip
    assert "ller" not in "".join(bundle.namelist())


def test_the_checksums_are_those_of_every_other_file(bundle: zipfile.ZipFile) -> None:
    lines = bundle.read("SHA256.TXT").decode("ascii").split("\r\n")[:-1]
    said = {name: digest for digest, name in (line.split("  ") for line in lines)}
    assert said == {
        name: hashlib.sha256(bundle.read(name)).hexdigest() for name in bundle.namelist() if name != "SHA256.TXT"
    }


def test_pydicom_finds_each_instance_once_by_the_directory(unpacked: Path) -> None:
    directory = FileSet(unpacked / "DICOMDIR")
    directory._stage["t"].cleanup()  # pydicom leaves that to the end of the process
    found = list(directory)
    uids = [pydicom.dcmread(io.BytesIO(file)).SOPInstanceUID for file in FILES]
    assert sorted(one.SOPInstanceUID for one in found) == sorted(uids)
    assert all(pydicom.dcmread(one.path).SOPInstanceUID == one.SOPInstanceUID for one in found)
    kinds = {str(one.node.record_type) for one in found}
    assert kinds >= {"IMAGE", "SR DOCUMENT", "ENCAP DOC", "PRESENTATION", "KEY OBJECT DOC"}
    assert kinds >= {"RT STRUCTURE SET", "WAVEFORM"}
    assert {str(one.PatientName) for one in found} == {"Müller^Ünal"}


def test_images_come_in_the_order_of_their_numbers(bundle: zipfile.ZipFile) -> None:
    first_series = [pydicom.dcmread(io.BytesIO(bundle.read(f"DICOM/ST000001/SE000001/IM00000{n}"))) for n in (1, 2, 3)]
    assert [one.InstanceNumber for one in first_series] == [1, 2, 3]


def test_dcmtk_reads_the_directory_and_adds_to_it(unpacked: Path, tmp_path: Path) -> None:
    dumped = subprocess.run(["dcmdump", unpacked / "DICOMDIR"], capture_output=True, text=True, check=True)
    assert dumped.stdout.count("ReferencedFileID") == len(FILES)
    assert "E:" not in dumped.stderr
    copy = tmp_path / "medium"
    shutil.copytree(unpacked, copy)
    (copy / "DICOM" / "MORE").write_bytes(instance(9))
    command = ["dcmmkdir", "--append", "--invent", "DICOM/MORE"]
    added = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    assert added.returncode == 0, added.stderr  # it takes a directory apart, which goes well if every offset is right
    again = subprocess.run(["dcmdump", copy / "DICOMDIR"], capture_output=True, text=True, check=True)
    assert again.stdout.count("ReferencedFileID") == len(FILES) + 1


def test_the_page_shows_pictures_and_reports_and_runs_nothing(bundle: zipfile.ZipFile) -> None:
    page = bundle.read("INDEX.HTM").decode()
    shown = set(re.findall(r'(?:src|href)="([^"]+)"', page))
    assert shown == {name for name in bundle.namelist() if name.startswith("IHE_PDI/")}
    assert bundle.read("IHE_PDI/SE000001/IM000001.JPG").startswith(b"\xff\xd8")
    assert bundle.read("IHE_PDI/SE000003/IM000001.PDF") == PDF
    assert "Findings &lt;b&gt;" in bundle.read("IHE_PDI/SE000002/IM000001.HTM").decode()
    assert "<script" not in page


def test_previews_can_be_left_out_and_the_page_speaks_the_language_asked_for(served: Any, bundle: Any) -> None:
    bare = zipfile.ZipFile(io.BytesIO(served.ask(f"/studies/{STUDY}/bundle?previews=no").content))
    assert {name.split("/")[0] for name in bare.namelist()} == {"README.TXT", "DICOMDIR", "DICOM", "SHA256.TXT"}
    german = zipfile.ZipFile(io.BytesIO(served.ask(f"/studies/{STUDY}/bundle?lang=de").content))
    assert 'lang="de"' in german.read("INDEX.HTM").decode()
    assert served.ask(f"/studies/{STUDY}/bundle?previews=maybe").status_code == 400


def test_a_study_that_is_not_there_has_no_bundle(served: Any) -> None:
    assert served.ask("/studies/1.2.92/bundle").status_code == 404
    assert served.ask(f"/studies/{STUDY}/bundle", token=None).status_code == 401
    assert requests.head(f"{served.server.dicomweb}/studies/{STUDY}/bundle", timeout=30).status_code == 401


async def test_a_link_for_looking_gets_no_bundle(served: Any, bundle: Any) -> None:
    database = open_database(at(served.server.data / "lightbox.sqlite"))
    new = NewShare((StudyUID(STUDY),), may_download=False)
    link = await create_share(database, Passwords(), new, time.time_ns() // 1_000_000)
    await database.close()
    with requests.Session() as session:
        opened = session.post(
            f"{served.server.base}/api/s/{link.share_id}/open", json={"secret": link.secret}, timeout=30
        )
        assert opened.status_code == 200
        answer = session.get(f"{served.server.base}/s/{link.share_id}/dicom-web/studies/{STUDY}/bundle", timeout=30)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_the_command_writes_what_a_second_archive_takes_in_whole(served: Any, bundle: Any, tmp_path: Path) -> None:
    target, other = tmp_path / "images.zip", tmp_path / "other"
    written = run_lightbox("export", "--data", str(served.server.data), "--to", str(target), "--lang", "fr", STUDY)
    assert written.returncode == 0, written.stderr
    archive = zipfile.ZipFile(target)
    assert 'lang="fr"' in archive.read("INDEX.HTM").decode()
    assert archive.namelist() == bundle.namelist()
    archive.extractall(tmp_path / "medium")
    assert run_lightbox("import", "--data", str(other), str(tmp_path / "medium" / "DICOM")).returncode == 0
    again = tmp_path / "again.zip"
    assert run_lightbox("export", "--data", str(other), "--to", str(again), "--no-previews", STUDY).returncode == 0
    kept = zipfile.ZipFile(again)
    assert sorted(kept.read(name) for name in kept.namelist() if name.startswith("DICOM/")) == sorted(FILES)
    refused = run_lightbox("export", "--data", str(other), "--to", str(again), STUDY)
    assert refused.returncode != 0
    assert "is there already" in refused.stderr
