"""Delete, reject, restore and purge: what everyone sees of it."""

import os
from pathlib import Path
from typing import Any

import pytest
import requests
from files import part10
from pydicom.uid import generate_uid
from servers import Server, lightbox


def study_of(*modalities: str) -> tuple[str, list[bytes], list[tuple[str, str]]]:
    """A new study with one series of two instances for each modality: its UID, files, and UIDs of the instances."""
    study = generate_uid()
    files, uids = [], []
    for modality in modalities:
        series = generate_uid()
        for number in (1, 2):
            uid = generate_uid()
            uids.append((series, uid))
            files.append(
                part10(
                    StudyInstanceUID=study,
                    SeriesInstanceUID=series,
                    SOPInstanceUID=uid,
                    Modality=modality,
                    InstanceNumber=number,
                    PatientID=f"P{study[-8:]}",
                )
            )
    return study, files, uids


@pytest.fixture
def study(served: Any) -> tuple[str, list[bytes], list[tuple[str, str]]]:
    made = study_of("CT", "MR")
    assert served.store(*made[1]).status_code == 200
    return made


def found_study(served: Any, study: str) -> dict[str, Any] | None:
    answer = served.ask(f"/studies?StudyInstanceUID={study}", accept="application/dicom+json")
    return answer.json()[0] if answer.json() else None


def counts(found: dict[str, Any]) -> tuple[list[str], int, int]:
    return found["00080061"]["Value"], found["00201206"]["Value"][0], found["00201208"]["Value"][0]


def is_consistent(server: Server) -> bool:
    return "wrong counters" not in lightbox("verify", "--data", str(server.data), "--quick")


def test_a_deleted_study_is_gone_from_every_read(served: Any, study: Any) -> None:
    uid, _, instances = study
    series, instance = instances[0]
    link = served.server.share(uid)
    answer = served.ask(f"/studies/{uid}", "DELETE")
    assert (answer.status_code, answer.json()) == (200, {"deleted": 4, "restorable": True})
    base = f"/studies/{uid}"
    below = ("", f"/series/{series}", f"/series/{series}/instances/{instance}")
    for path in (*below, *(f"{one}/metadata" for one in below), *(f"{one}/bulkdata" for one in below)):
        assert served.ask(base + path).status_code == 410, path
    assert served.ask(f"{base}{below[2]}/frames/1").status_code == 410
    assert found_study(served, uid) is None
    for path in (f"{base}/series", f"{base}/instances", f"/instances?SOPInstanceUID={instance}"):
        assert served.ask(path).json() == []
    assert served.ask(base, "DELETE").status_code == 410
    assert served.ask("/studies/1.9.9.9", "DELETE").status_code == 404
    assert served.ask("/studies/1.9.9.9").status_code == 404
    assert link
    assert is_consistent(served.server)


def test_a_deleted_series_leaves_the_rest_with_right_counts(served: Any, study: Any) -> None:
    uid, _, instances = study
    assert counts(found_study(served, uid) or {}) == (["CT", "MR"], 2, 4)
    assert served.ask(f"/studies/{uid}/series/{instances[0][0]}", "DELETE").json()["deleted"] == 2
    assert counts(found_study(served, uid) or {}) == (["MR"], 1, 2)
    one = instances[2]
    assert served.ask(f"/studies/{uid}/series/{one[0]}/instances/{one[1]}", "DELETE").json()["deleted"] == 1
    assert counts(found_study(served, uid) or {}) == (["MR"], 1, 1)
    assert len(served.ask(f"/studies/{uid}/metadata").json()) == 1
    assert len(served.ask(f"/studies/{uid}/series").json()) == 1
    assert is_consistent(served.server)


def test_restore_brings_everything_back_byte_for_byte(served: Any, study: Any) -> None:
    uid, files, instances = study
    before = served.ask(f"/studies/{uid}/metadata").json(), found_study(served, uid)
    served.ask(f"/studies/{uid}", "DELETE")
    answer = served.ask(f"/studies/{uid}/restore", "POST")
    assert answer.json() == {"restored": 4}
    assert (served.ask(f"/studies/{uid}/metadata").json(), found_study(served, uid)) == before
    for (series, instance), file in zip(instances, files, strict=True):
        path = f"/studies/{uid}/series/{series}/instances/{instance}"
        assert served.ask(path, accept="application/dicom").content == file
    assert served.ask(f"/studies/{uid}/restore", "POST").status_code == 404
    assert is_consistent(served.server)


def test_the_same_bytes_sent_again_restore_and_others_are_refused(served: Any, study: Any) -> None:
    uid, files, instances = study
    served.ask(f"/studies/{uid}", "DELETE")
    other = part10(
        StudyInstanceUID=uid, SeriesInstanceUID=instances[0][0], SOPInstanceUID=instances[0][1], PatientComments="new"
    )
    refused = served.store(other)
    assert refused.status_code == 409
    assert refused.json()["00081198"]["Value"][0]["00081197"]["Value"] == [0x0111]
    assert served.store(files[0]).status_code == 200
    assert counts(found_study(served, uid) or {}) == (["CT"], 1, 1)
    assert served.ask(f"/studies/{uid}/restore", "POST").json() == {"restored": 3}


def test_what_was_rejected_is_not_taken_again_until_it_is_restored(served: Any, study: Any) -> None:
    uid, files, _ = study
    assert served.ask(f"/studies/{uid}/reject", "POST").json()["deleted"] == 4
    assert served.store(files[0]).status_code == 409
    assert served.ask(f"/studies/{uid}").status_code == 410
    assert served.ask(f"/studies/{uid}/restore", "POST").json() == {"restored": 4}
    assert served.store(files[0]).status_code == 200


def blob_of(served: Any, file: bytes) -> Path | None:
    store = served.server.data / "store"
    return next((path for path in store.rglob("*") if path.is_file() and path.read_bytes() == file), None)


def test_purging_removes_the_files_and_ends_the_way_back(served: Any, study: Any) -> None:
    uid, files, _ = study
    for file in files:
        blob = blob_of(served, file)
        assert blob is not None
        os.utime(blob, (1, 1))  # no store request can be under way
    assert served.ask(f"/studies/{uid}?purge=perhaps", "DELETE").status_code == 400
    assert served.ask(f"/studies/{uid}?purge=yes", "DELETE").json() == {"deleted": 4, "restorable": False}
    assert all(blob_of(served, file) is None for file in files)
    assert served.ask(f"/studies/{uid}/restore", "POST").status_code == 404
    assert served.ask(f"/studies/{uid}").status_code == 404
    assert served.store(*files).status_code == 200


def test_only_an_administrator_may(served: Any, study: Any) -> None:
    uid = study[0]
    link = served.server.share(uid).partition("#")[0]
    reader, sender = served.server.token("read"), served.server.token("store")
    for token in (reader, sender):
        assert served.ask(f"/studies/{uid}", "DELETE", token=token).status_code == 403
        assert served.ask(f"/studies/{uid}/restore", "POST", token=token).status_code == 403
    assert served.ask(f"/studies/{uid}", "DELETE", token=None).status_code == 401
    assert served.ask(f"{link}/dicom-web/studies/{uid}", "DELETE").status_code in (401, 403, 405)
    assert found_study(served, uid) is not None


def test_gone_is_told_only_to_whom_the_study_was_shared(served: Any, study: Any) -> None:
    uid = study[0]
    other = study_of("CT")
    assert served.store(*other[1]).status_code == 200
    link = served.server.share(other[0])
    share, _, secret = link.partition("#")
    session = requests.Session()
    opened = session.post(
        f"{served.server.base}/api/s/{share.rpartition('/')[2]}/open", json={"secret": secret}, timeout=30
    )
    assert opened.status_code == 200, opened.text
    served.ask(f"/studies/{uid}", "DELETE")
    assert session.get(f"{share}/dicom-web/studies/{uid}/metadata", timeout=30).status_code == 404
    served.ask(f"/studies/{other[0]}", "DELETE")
    assert session.get(f"{share}/dicom-web/studies/{other[0]}/metadata", timeout=30).status_code == 410


def test_the_commands_delete_and_restore_too(served: Any, study: Any) -> None:
    uid, _, instances = study
    data = str(served.server.data)
    assert lightbox("delete", "--data", data, "--series", instances[0][0], uid) == "2 instances deleted.\n"
    assert counts(found_study(served, uid) or {}) == (["MR"], 1, 2)
    assert lightbox("delete", "--data", data, "--reject", uid) == "2 instances deleted.\n"
    assert served.ask(f"/studies/{uid}").status_code == 410
    assert lightbox("restore", "--data", data, uid) == "4 instances restored.\n"
    assert counts(found_study(served, uid) or {}) == (["CT", "MR"], 2, 4)
    trail = lightbox("audit", "export", "--data", data)
    assert "restore" in trail


def test_a_frame_and_metadata_that_were_read_before_are_gone_as_soon_as_they_are_deleted(
    served: Any, study: Any
) -> None:
    uid, _, instances = study
    series, instance = instances[0]
    paths = (
        f"/studies/{uid}/series/{series}/instances/{instance}/frames/1",
        f"/studies/{uid}/series/{series}/metadata",
    )
    for path in paths * 2:
        assert served.ask(path).status_code == 200
    served.ask(f"/studies/{uid}", "DELETE")
    for path in paths:
        assert served.ask(path).status_code == 410
