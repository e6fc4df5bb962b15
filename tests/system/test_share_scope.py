"""Inside a share: dicomweb-client works, and no search, whatever its key, returns anything but what is shared."""

import io
import re
import time
from typing import Any

import pydicom
import pytest
import requests
from dicomweb_client.api import DICOMwebClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from servers import lightbox

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
KEYS = ("PatientID", "PatientName", "StudyDate", "AccessionNumber", "ModalitiesInStudy", "StudyInstanceUID", "00100020")
VALUES = ("*", "", "?*", "*a*", "*1*", "19000101-20991231", "CT", "MR", "OT", "1.2.3")
LEVELS = ("studies", "series", "instances")


def plain_images(filled: Any, study_uid: str) -> list[tuple[str, str]]:
    """The members of a study with one native frame, too long to be held in the metadata: series and instance UID."""
    images = []
    for series_uid, uid in sorted(filled.studies[study_uid]):
        dataset = pydicom.dcmread(io.BytesIO(filled.stored[uid]))
        is_native = not dataset.file_meta.TransferSyntaxUID.is_encapsulated
        if is_native and int(dataset.get("NumberOfFrames", 1)) == 1 and len(dataset.get("PixelData", b"")) > 1 << 14:
            images.append((series_uid, uid))
    return images


class Share:
    """An opened share: its root, its cookies, what is in it and what is not."""

    def __init__(self, filled: Any) -> None:
        largest = sorted(filled.studies, key=lambda uid: -len(filled.studies[uid]))
        self.study_uid = next(uid for uid in largest if plain_images(filled, uid))
        self.foreign_uid = next(uid for uid in largest if uid != self.study_uid)
        self.members = filled.studies[self.study_uid]
        self.image = plain_images(filled, self.study_uid)[0]
        self.foreign = sorted(filled.studies[self.foreign_uid])[0]
        self.base = filled.server.base
        link = filled.server.share(self.study_uid)
        match = re.fullmatch(rf"{self.base}/s/([0-9A-Z]+)#([0-9A-Z]+)", link)
        assert match is not None, link
        self.share_id, self.secret = match.groups()
        self.root = f"{self.base}/s/{self.share_id}/dicom-web"
        self.session = requests.Session()

    def open(self) -> None:
        answer = self.session.post(f"{self.base}/api/s/{self.share_id}/open", json={"secret": self.secret}, timeout=30)
        assert answer.json()["next"] == "none"

    def get(self, path: str, **query: str) -> requests.Response:
        return self.session.get(f"{self.root}{path}", params=query, timeout=60)


@pytest.fixture(scope="module")
def share(filled: Any) -> Share:
    opened = Share(filled)
    opened.open()
    return opened


def test_before_it_is_opened_a_share_gives_nothing(filled: Any) -> None:
    closed = Share(filled)
    for path in ("/studies", f"/studies/{closed.study_uid}", f"/studies/{closed.study_uid}/metadata"):
        assert closed.get(path).status_code == 401


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(LEVELS), st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES), max_size=3))
def test_every_search_returns_only_the_shared_study(share: Share, level: str, query: dict[str, str]) -> None:
    answer = share.get(f"/{level}", **query, limit="1000")
    assert answer.status_code in (200, 400)
    rows = answer.json() if answer.status_code == 200 else []
    assert {row["0020000D"]["Value"][0] for row in rows} <= {share.study_uid}


def test_counts_in_a_share_are_those_of_the_shared_study(share: Share) -> None:
    (study,) = share.get("/studies").json()
    assert study["00201208"]["Value"] == [len(share.members)]
    assert study["00201206"]["Value"] == [len({series_uid for series_uid, _ in share.members})]


def test_a_foreign_study_is_answered_exactly_as_one_that_does_not_exist(share: Share) -> None:
    series_uid, uid = share.foreign
    for tail in (
        "",
        "/metadata",
        "/rendered",
        "/thumbnail",
        "/bulkdata",
        "/pixeldata",
        f"/series/{series_uid}",
        f"/series/{series_uid}/metadata",
        f"/series/{series_uid}/instances/{uid}",
        f"/series/{series_uid}/instances/{uid}/metadata",
        f"/series/{series_uid}/instances/{uid}/frames/1",
        f"/series/{series_uid}/instances/{uid}/bulkdata/7FE00010",
    ):
        foreign = share.get(f"/studies/{share.foreign_uid}{tail}")
        unknown = share.get(f"/studies/1.2.3.99{tail}")
        assert foreign.status_code == unknown.status_code == 404, tail
        assert _without_id(foreign) == _without_id(unknown)


def test_uids_of_two_studies_do_not_make_a_chain(share: Share) -> None:
    series_uid, uid = share.foreign
    answer = share.get(f"/studies/{share.study_uid}/series/{series_uid}/instances/{uid}")
    assert answer.status_code == 404


def test_a_share_can_neither_store_nor_reach_the_staff_root(share: Share) -> None:
    stored = share.session.post(
        f"{share.root}/studies", data=b"", headers={"Content-Type": "application/dicom"}, timeout=30
    )
    assert stored.status_code == 403
    assert share.session.get(f"{share.base}/dicom-web/studies", timeout=30).status_code == 401


def test_dicomweb_client_searches_and_retrieves_inside_a_share(share: Share) -> None:
    client = DICOMwebClient(share.root, session=share.session)
    assert len(client.search_for_studies()) == 1
    series = client.search_for_series(share.study_uid)
    assert {one["0020000E"]["Value"][0] for one in series} == {series_uid for series_uid, _ in share.members}
    series_uid, uid = share.image
    metadata = client.retrieve_instance_metadata(share.study_uid, series_uid, uid)
    assert metadata["00080018"]["Value"] == [uid]
    uri = metadata["7FE00010"]["BulkDataURI"]
    assert uri.startswith(share.root)
    (value,) = client.retrieve_bulkdata(uri)
    (frame,) = client.retrieve_instance_frames(share.study_uid, series_uid, uid, [1])
    assert value == frame
    assert str(client.retrieve_instance(share.study_uid, series_uid, uid).SOPInstanceUID) == uid


def test_dicomweb_client_works_with_a_machine_s_token(filled: Any) -> None:
    client = filled.client()
    study_uid, members = sorted(filled.studies.items())[0]
    (study,) = client.search_for_studies(search_filters={"StudyInstanceUID": study_uid})
    assert study["00201208"]["Value"] == [len(members)]
    assert len(client.retrieve_study_metadata(study_uid)) == len(members)
    assert len(client.search_for_instances(study_uid)) == len(members)


def test_a_revoked_share_is_dead_within_two_seconds(filled: Any) -> None:
    doomed = Share(filled)
    doomed.open()
    assert doomed.get("/studies").status_code == 200
    lightbox("share", "revoke", "--data", str(filled.server.data), doomed.share_id)
    deadline = time.monotonic() + 2.0
    while doomed.get("/studies").status_code != 401:
        assert time.monotonic() < deadline
    again = requests.post(f"{doomed.base}/api/s/{doomed.share_id}/open", json={"secret": doomed.secret}, timeout=30)
    assert again.status_code == 410


def _without_id(answer: requests.Response) -> dict[str, Any]:
    body = answer.json()
    body.pop("request_id")
    return dict(body)
