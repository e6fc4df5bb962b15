"""A share without a name: however one asks, no answer says who the patient is or names the originals."""

import io
import re
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydicom
import pytest
import requests
from files import part10
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import generate_uid
from servers import Server, lightbox, running_server

from archive.app import build_app
from archive.config import Settings

READY_S = 30.0
DICOM_JSON = {"Accept": "application/dicom+json"}
IDENTITY = {
    "PatientName": "Quixotte^Zenobia",
    "PatientID": "PID-77-ZQ",
    "PatientBirthDate": "19411231",
    "AccessionNumber": "ACC4242ZQ",
    "InstitutionName": "Hospital Zurbaran",
    "ReferringPhysicianName": "Mordecai^Ezra",
    "StudyDescription": "CT of Zenobia",
    "StudyDate": "20240229",
    "Manufacturer": "Scanner of PID-77-ZQ",
}
SECRETS = (b"Quixotte", b"Zenobia", b"PID-77-ZQ", b"19411231", b"1941-12-31", b"ACC4242ZQ", b"Zurbaran", b"Mordecai")
ORIGINALS = "1.2.276.0.7230010.3.1.4242"
"""What every original UID begins with."""


@dataclass(slots=True)
class Site:
    """A server, a share without a name that has been opened, and its ticket."""

    server: Server
    token: str
    share_id: str = ""
    secret: str = ""
    ticket: str = ""
    session: requests.Session = field(default_factory=requests.Session)

    @property
    def root(self) -> str:
        return f"{self.server.base}/s/{self.share_id}/dicom-web"

    def get(self, path: str, **more: Any) -> requests.Response:
        url = path if path.startswith("http") else self.root + path
        headers = {"Accept-Encoding": "identity"} | more.pop("headers", {})
        return self.session.get(url, headers=headers, timeout=60, **more)

    def as_admin(self, path: str, method: str = "GET", **more: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token}"} | more.pop("headers", {})
        return requests.request(method, self.server.dicomweb + path, headers=headers, timeout=60, **more)

    def store(self, data: bytes) -> requests.Response:
        return self.as_admin("/studies", "POST", data=data, headers={"Content-Type": "application/dicom"} | DICOM_JSON)

    def instances(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("/instances?includefield=all", headers=DICOM_JSON).json()
        return found

    def wait_for(self, count: int) -> list[dict[str, Any]]:
        """The share's instances, when there are so many."""
        deadline = time.monotonic() + READY_S
        while len(found := self.instances()) != count:
            assert time.monotonic() < deadline, f"{len(found)} instances instead of {count}"
            time.sleep(0.1)
        return found


def made(number: int, **values: object) -> bytes:
    uids = {
        "StudyInstanceUID": f"{ORIGINALS}.1",
        "SeriesInstanceUID": f"{ORIGINALS}.2",
        "SOPInstanceUID": f"{ORIGINALS}.3.{number}",
        "FrameOfReferenceUID": f"{ORIGINALS}.4",
    }
    reference = Dataset()
    reference.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    reference.ReferencedSOPInstanceUID = f"{ORIGINALS}.3.1"
    dataset = pydicom.dcmread(io.BytesIO(part10(**IDENTITY | uids | values)))
    dataset.ReferencedImageSequence = Sequence([reference])
    block = dataset.private_block(0x0009, "ZENOBIA INC", create=True)
    block.add_new(0x01, "OB", b"Quixotte" * 400)
    dataset.TextValue = "Zenobia Quixotte " * 8000  # long enough to be bulk data
    dataset.Rows = dataset.Columns = 64
    dataset.PixelData = bytes(range(256)) * 16
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_server(tmp_path_factory.mktemp("nameless") / "data") as server:
        site = Site(server, server.token("admin"))
        for number in (1, 2, 3):
            assert site.store(made(number)).status_code == 200
        us = {"Modality": "US", "SeriesInstanceUID": f"{ORIGINALS}.5", "SOPInstanceUID": f"{ORIGINALS}.6"}
        assert site.store(made(4, **us)).status_code == 200
        sr = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.11", "Modality": "SR"}
        sr |= {"SeriesInstanceUID": f"{ORIGINALS}.7", "SOPInstanceUID": f"{ORIGINALS}.8"}
        assert site.store(made(5, **sr)).status_code == 200
        link = server.share(f"{ORIGINALS}.1", "--without-name")
        match = re.search(r"/s/(\w+)#(\w+)", link)
        assert match is not None
        site.share_id, site.secret = match.groups()
        opened = site.session.post(
            f"{server.base}/api/s/{site.share_id}/open", json={"secret": site.secret}, timeout=30
        )
        assert opened.json()["next"] == "none"
        site.wait_for(3)
        made_ticket = site.session.post(f"{server.base}/api/s/{site.share_id}/tickets", json={}, timeout=30)
        site.ticket = made_ticket.json()["ticket"]
        assert ORIGINALS not in made_ticket.text
        yield site


def routes(tmp_path: Path) -> list[str]:
    """Every route that a share or a ticket can be asked by."""
    found = set()
    for route in build_app(Settings(data=tmp_path)).router.routes():
        info = route.get_info()
        path = info.get("path") or info.get("formatter") or ""
        if route.method in ("GET", "*") and path.startswith(("/s/", "/t/", "/wado", "/dicom-web", "/api/s/")):
            found.add(path)
    return sorted(found)


def filled(path: str, uids: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)[^}]*\}", lambda name: uids.get(name[1], "1"), path)


def unpacked(answer: requests.Response) -> bytes:
    """The raw bytes of an answer, with what is in it where it is a ZIP."""
    content = answer.content + str(answer.headers).encode()
    if answer.headers.get("Content-Type", "").startswith("application/zip"):
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            content += b"".join(name.encode() + archive.read(name) for name in archive.namelist())
    return content


def says_nothing(content: bytes, what: object) -> None:
    for secret in (*SECRETS, ORIGINALS.encode(), b"20240229"):
        assert secret.lower() not in content.lower(), (what, secret)


def test_no_route_of_the_share_says_who_the_patient_is(site: Site, tmp_path: Path) -> None:
    first = site.instances()[0]
    uids = {
        "study": first["0020000D"]["Value"][0],
        "series": first["0020000E"]["Value"][0],
        "instance": first["00080018"]["Value"][0],
        "share_id": site.share_id,
        "ticket": site.ticket,
    }
    accepts = ("*/*", "application/zip", "application/dicom", "application/dicom+xml", "image/png", "text/html")
    bearer = {"Authorization": f"Bearer {site.ticket}"}
    good = 0
    for path in routes(tmp_path):
        query = ""
        if path.endswith("/wado") or path == "/wado":
            query = (
                f"?requestType=WADO&studyUID={uids['study']}&seriesUID={uids['series']}&objectUID={uids['instance']}"
            )
        for accept in accepts:
            answer = site.get(
                f"{site.server.base}{filled(path, uids)}{query}",
                headers={"Accept": accept} | (bearer if path.startswith(("/dicom-web", "/wado")) else {}),
                allow_redirects=False,
            )
            assert answer.status_code != 500, (path, accept)
            says_nothing(unpacked(answer), (path, accept))
            good += answer.status_code == 200
    assert good > 100
    with pytest.raises(AssertionError):  # the same look at the originals finds them
        says_nothing(site.as_admin(f"/studies/{ORIGINALS}.1/metadata").content, "control")


def test_the_originals_are_not_there_for_the_share(site: Site) -> None:
    study, series, uid = f"{ORIGINALS}.1", f"{ORIGINALS}.2", f"{ORIGINALS}.3.1"
    for path in (
        f"/studies/{study}",
        f"/studies/{study}/metadata",
        f"/studies/{study}/series/{series}/instances/{uid}",
        f"/studies/{study}/series/{series}/instances/{uid}/bulkdata/0040A160",
        f"/studies/{study}/series/{series}/instances/{uid}/rendered",
    ):
        assert site.get(path).status_code == 404
    copy = site.instances()[0]
    root = f"/studies/{copy['0020000D']['Value'][0]}/series/{copy['0020000E']['Value'][0]}"
    assert site.get(f"{root}/instances/{uid}").status_code == 404


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("PatientName", "Quixotte*"),
        ("PatientName", "*zenobia*"),
        ("PatientID", "PID-77-ZQ"),
        ("PatientBirthDate", "19411231"),
        ("AccessionNumber", "ACC4242ZQ"),
        ("StudyDate", "20240229"),
        ("StudyDescription", "*Zenobia*"),
        ("ReferringPhysicianName", "Mordecai*"),
        ("StudyInstanceUID", f"{ORIGINALS}.1"),
    ],
)
def test_a_search_for_who_it_is_finds_nothing(site: Site, key: str, value: str) -> None:
    for level in ("studies", "series", "instances"):
        for fuzzy in ("false", "true"):
            answer = site.get(f"/{level}", params={key: value, "fuzzymatching": fuzzy}, headers=DICOM_JSON)
            assert answer.json() == []


def test_the_new_uids_are_accepted_everywhere_and_consistent(site: Site) -> None:
    files = [
        pydicom.dcmread(io.BytesIO(site.get(uri, headers={"Accept": "application/dicom"}).content))
        for uri in (one["00081190"]["Value"][0] for one in site.instances())
    ]
    assert len({str(one.StudyInstanceUID) for one in files}) == len({str(one.SeriesInstanceUID) for one in files}) == 1
    uids = {str(one.SOPInstanceUID) for one in files}
    assert {str(one.ReferencedImageSequence[0].ReferencedSOPInstanceUID) for one in files} <= uids
    assert all(one.PatientIdentityRemoved == "YES" for one in files)
    assert all(one.PixelData == bytes(range(256)) * 16 for one in files)
    found = site.get("/instances", params={"SOPInstanceUID": sorted(uids)[0]}, headers=DICOM_JSON).json()
    assert len(found) == 1


def test_what_cannot_be_cleaned_is_counted_nowhere_and_the_page_says_so(site: Site) -> None:
    (study,) = site.get("/studies", headers=DICOM_JSON).json()
    assert (study["00201206"]["Value"], study["00201208"]["Value"]) == ([1], [3])
    assert study["00080061"]["Value"] == ["CT"]
    page = site.get(f"{site.server.base}/s/{site.share_id}/images?lang=en", headers={"Accept": "text/html"}).text
    assert "Left out, because a name may be written into the picture: 1." in page
    assert "Left out, because a report or document may name the patient: 1." in page
    says_nothing(page.encode(), "page")


def test_the_archive_itself_does_not_show_the_copies(site: Site) -> None:
    copy = site.instances()[0]
    uids = [one["0020000D"]["Value"][0] for one in site.as_admin("/studies", headers=DICOM_JSON).json()]
    assert uids == [f"{ORIGINALS}.1"]
    assert len(site.as_admin("/instances", headers=DICOM_JSON).json()) == 5
    path = copy["00081190"]["Value"][0].partition("/dicom-web")[2]
    for tail in ("", "/metadata", "/rendered", "/frames/1"):
        assert site.as_admin(path + tail).status_code == 404


def test_a_copy_that_comes_back_is_refused_and_cannot_be_shared(site: Site) -> None:
    copy = site.instances()[0]
    data = site.get(copy["00081190"]["Value"][0], headers={"Accept": "application/dicom"}).content
    assert site.store(data).status_code == 409
    dataset = pydicom.dcmread(io.BytesIO(data))
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    assert site.store(buffer.getvalue()).status_code == 409
    with pytest.raises(AssertionError, match="no such study"):
        site.server.share(str(dataset.StudyInstanceUID))


def test_two_shares_of_a_study_show_unlike_uids_and_what_is_deleted_or_ended_goes(site: Site) -> None:
    assert site.store(made(9)).status_code == 200
    site.wait_for(4)
    path = f"/studies/{ORIGINALS}.1/series/{ORIGINALS}.2/instances/{ORIGINALS}.3.9"
    assert site.as_admin(path, "DELETE").status_code == 200
    site.wait_for(3)
    data = site.server.data
    blobs = len(list((data / "store").rglob("*")))
    link = site.server.share(f"{ORIGINALS}.1", "--without-name")
    match = re.search(r"/s/(\w+)#(\w+)", link)
    assert match is not None
    other = Site(site.server, site.token, *match.groups())
    other.session.post(f"{other.server.base}/api/s/{other.share_id}/open", json={"secret": other.secret}, timeout=30)
    uids = {one["00080018"]["Value"][0] for one in other.wait_for(3)}
    assert uids.isdisjoint({one["00080018"]["Value"][0] for one in site.instances()})
    lightbox("share", "revoke", "--data", str(data), other.share_id)
    deadline = time.monotonic() + READY_S
    while len([path for path in (data / "store").rglob("*") if path.is_file()]) > blobs:
        assert time.monotonic() < deadline, "The copies of a share that has ended are still there."
        time.sleep(0.1)
    assert lightbox("verify", "--data", str(data))


def test_wado_uri_de_identifies_a_file_and_refuses_what_it_cannot_clean(site: Site) -> None:
    def ask(series: str, uid: str, **more: str) -> requests.Response:
        query = {"requestType": "WADO", "studyUID": f"{ORIGINALS}.1", "seriesUID": series, "objectUID": uid}
        return site.as_admin("/wado", params=query | {"contentType": "application/dicom", "anonymize": "yes"} | more)

    answer = ask(f"{ORIGINALS}.2", f"{ORIGINALS}.3.1")
    assert answer.status_code == 200
    says_nothing(answer.content, "wado")
    dataset = pydicom.dcmread(io.BytesIO(answer.content))
    assert dataset.SOPInstanceUID.startswith("2.25.")
    assert dataset.SOPInstanceUID not in {one["00080018"]["Value"][0] for one in site.instances()}
    assert answer.content == ask(f"{ORIGINALS}.2", f"{ORIGINALS}.3.1").content
    assert ask(f"{ORIGINALS}.5", f"{ORIGINALS}.6").status_code == 403
    assert ask(f"{ORIGINALS}.7", f"{ORIGINALS}.8").status_code == 403
    assert ask(f"{ORIGINALS}.2", f"{ORIGINALS}.3.1", contentType="image/png").status_code == 400
    assert ask(f"{ORIGINALS}.2", f"{ORIGINALS}.3.1", anonymize="maybe").status_code == 400
    assert ask(f"{ORIGINALS}.2", f"{ORIGINALS}.3.1", transferSyntax="1.2.840.10008.1.2.5").status_code == 406
