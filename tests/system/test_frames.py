"""Frames retrieved as Explicit VR Little Endian are pydicom's own decoded array, sample for sample."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import requests
from files import real_files
from pydicom.uid import ExplicitVRLittleEndian

pytestmark = pytest.mark.filterwarnings("ignore")  # pydicom, on the oddities of real files
MOST_FRAMES = 8
NATIVE = 'multipart/related; type="application/octet-stream"'


def native_samples(dataset: pydicom.Dataset) -> np.ndarray[Any, Any] | None:
    """pydicom's array as (frames, …), or None where pydicom cannot decode the file."""
    try:
        array = dataset.pixel_array
    except Exception:  # noqa: BLE001 - whatever it is, there is nothing to compare with
        return None
    return array if int(dataset.get("NumberOfFrames") or 1) > 1 else array[np.newaxis]


def get(filled: Any, url: str, accept: str) -> requests.Response:
    return requests.get(url, headers={"Authorization": f"Bearer {filled.token}", "Accept": accept}, timeout=120)


def parts_of(answer: requests.Response) -> list[bytes]:
    boundary = answer.headers["Content-Type"].rpartition("boundary=")[2].encode()
    return [part.split(b"\r\n\r\n", 1)[1][:-2] for part in answer.content.split(b"--" + boundary)[1:-1]]


def as_sent(array: np.ndarray[Any, Any], dataset: pydicom.Dataset, *, native: bool) -> bytes:
    """The samples in the order in which Explicit VR Little Endian has them."""
    if array.ndim == 3 and native and dataset.get("PlanarConfiguration") == 1:
        array = np.moveaxis(array, -1, 0)
    return array.astype(array.dtype.newbyteorder("<")).tobytes()


def test_every_frame_that_pydicom_decodes_is_decoded_alike(filled: Any) -> None:
    compared = 0
    for path in real_files():
        if path in filled.refused:
            continue
        dataset = pydicom.dcmread(path)
        samples = native_samples(dataset) if "Rows" in dataset else None
        native = not dataset.file_meta.TransferSyntaxUID.is_compressed
        if samples is None or (native and dataset.PhotometricInterpretation == "YBR_FULL_422"):
            continue  # native 4:2:2 is sent as it is stored; pydicom's array has it unpacked
        url = (
            f"{filled.server.dicomweb}/studies/{dataset.StudyInstanceUID}/series/{dataset.SeriesInstanceUID}"
            f"/instances/{dataset.SOPInstanceUID}"
        )
        numbers = range(1, min(len(samples), MOST_FRAMES) + 1)
        answer = get(filled, f"{url}/frames/{','.join(map(str, numbers))}", NATIVE)
        assert answer.status_code == 200, (path.name, answer.text)
        parts = parts_of(answer)
        for frame, part in zip(samples, parts, strict=False):
            if dataset.BitsAllocated == 1:
                continue  # bits packed across frame borders: tests/pixels has them
            assert part == as_sent(frame, dataset, native=native), path.name
            compared += 1
    assert compared > 60


def test_whole_instances_in_explicit_vr_are_read_alike_by_pydicom(filled: Any) -> None:
    compared = 0
    for path in real_files():
        if path in filled.refused:
            continue
        stored = pydicom.dcmread(path)
        url = (
            f"{filled.server.dicomweb}/studies/{stored.StudyInstanceUID}/series/{stored.SeriesInstanceUID}"
            f"/instances/{stored.SOPInstanceUID}"
        )
        answer = get(filled, url, "application/dicom")
        if answer.status_code == 406:
            continue  # video and what cannot be decoded
        assert answer.status_code == 200, (path.name, answer.text)
        sent = pydicom.dcmread(BytesIO(answer.content))
        assert sent.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian, path.name
        assert sent.SOPInstanceUID == stored.SOPInstanceUID
        samples = native_samples(stored) if "Rows" in stored else None
        if samples is not None:
            again = native_samples(sent)
            assert again is not None, path.name
            assert np.array_equal(samples, again), path.name
            compared += 1
    assert compared > 60


def test_a_frame_past_the_end_is_404_and_some_past_the_end_are_206(filled: Any, tmp_path: Path) -> None:
    study_uid, members = next(iter(filled.studies.items()))
    for series_uid, uid in sorted(members):
        url = f"{filled.server.dicomweb}/studies/{study_uid}/series/{series_uid}/instances/{uid}/frames"
        if get(filled, f"{url}/1", NATIVE).status_code == 200:
            assert get(filled, f"{url}/9999", NATIVE).status_code == 404
            partial = get(filled, f"{url}/1,9999", NATIVE)
            assert partial.status_code == 206
            assert partial.headers["Warning"].startswith("299")
            assert get(filled, f"{url}/0", NATIVE).status_code == 400
            return
    pytest.fail("No instance with frames was found.")
