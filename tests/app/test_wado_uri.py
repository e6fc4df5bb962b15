"""WADO-URI: one instance by its UIDs in the query."""

import io
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pydicom
import pytest
import requests
from files import part10
from PIL import Image
from pydicom.data import get_testdata_file

RLE = "1.2.840.10008.1.2.5"
EXPLICIT = "1.2.840.10008.1.2.1"


def keys(dataset: pydicom.Dataset, **more: object) -> dict[str, object]:
    uids = {
        "requestType": "WADO",
        "studyUID": dataset.StudyInstanceUID,
        "seriesUID": dataset.SeriesInstanceUID,
        "objectUID": dataset.SOPInstanceUID,
    }
    return uids | more


def stored(served: Any, name: str) -> pydicom.Dataset:
    served.samples(name)
    path = get_testdata_file(name)
    assert isinstance(path, str)
    return pydicom.dcmread(path)


def ask(served: Any, query: dict[str, object], root: str = "", accept: str = "*/*", **more: Any) -> requests.Response:
    path = f"{root or served.server.dicomweb}/wado?{urlencode(query)}"
    answer: requests.Response = served.ask(path, accept=accept, **more)
    return answer


def picture(answer: requests.Response) -> Image.Image:
    assert answer.status_code == 200, answer.text
    return Image.open(io.BytesIO(answer.content))


@pytest.fixture(scope="module")
def image(served: Any) -> pydicom.Dataset:
    return stored(served, "CT_small.dcm")


def test_an_image_is_a_jpeg_unless_something_else_is_asked(served: Any, image: pydicom.Dataset) -> None:
    for root in ("", served.server.base):
        answer = ask(served, keys(image), root)
        assert answer.headers["Content-Type"] == "image/jpeg"
        assert picture(answer).size == (128, 128)
    for media_type, form in (("image/png", "PNG"), ("image/gif", "GIF"), ("image/jp2", "JPEG2000")):
        assert picture(ask(served, keys(image, contentType=media_type))).format == form
    assert picture(ask(served, keys(image), accept="image/png")).format == "PNG"
    assert ask(served, keys(image, contentType="image/bmp")).status_code == 406
    assert ask(served, keys(image, contentType="text/html")).status_code == 406


def test_a_file_comes_as_stored_or_in_the_syntax_that_is_named(served: Any, image: pydicom.Dataset) -> None:
    path = get_testdata_file("CT_small.dcm")
    assert isinstance(path, str)
    answer = ask(served, keys(image, contentType="application/dicom"))
    assert answer.content == Path(path).read_bytes()
    assert answer.headers["Content-Location"].startswith(f"{served.server.dicomweb}/studies/")
    beside = ask(served, keys(image, contentType="application/dicom"), served.server.base)
    assert beside.headers["Content-Location"] == answer.headers["Content-Location"]
    compressed = stored(served, "SC_rgb_rle.dcm")
    for syntax, more in ((EXPLICIT, {}), (RLE, {"transferSyntax": RLE}), (EXPLICIT, {"transferSyntax": EXPLICIT})):
        answer = ask(served, keys(compressed, contentType="application/dicom", **more))
        assert pydicom.dcmread(io.BytesIO(answer.content)).file_meta.TransferSyntaxUID == syntax
    other = keys(compressed, contentType="application/dicom", transferSyntax="1.2.840.10008.1.2.4.91")
    assert ask(served, other).status_code == 406


def test_size_region_window_and_quality_shape_the_picture(served: Any, image: pydicom.Dataset) -> None:
    png = {"contentType": "image/png"}
    whole = np.asarray(picture(ask(served, keys(image, **png))))
    assert picture(ask(served, keys(image, rows=64, columns=32, **png))).size == (32, 32)
    assert picture(ask(served, keys(image, rows=64, **png))).size == (64, 64)
    quarter = np.asarray(picture(ask(served, keys(image, region="0.5,0,1,0.5", **png))))
    assert np.array_equal(quarter, whole[:64, 64:])
    windowed = np.asarray(picture(ask(served, keys(image, windowCenter=0, windowWidth=100, **png))))
    assert not np.array_equal(windowed, whole)
    sizes = [len(ask(served, keys(image, imageQuality=quality)).content) for quality in (5, 95)]
    assert sizes[0] < sizes[1]
    assert not np.array_equal(np.asarray(picture(ask(served, keys(image, annotation="patient", **png)))), whole)


def test_a_frame_is_chosen_by_its_number(served: Any) -> None:
    frames = stored(served, "rtdose.dcm")
    first, last = (
        np.asarray(picture(ask(served, keys(frames, contentType="image/png", frameNumber=number))))
        for number in (1, 15)
    )
    assert not np.array_equal(first, last)
    assert np.array_equal(first, np.asarray(picture(ask(served, keys(frames, contentType="image/png")))))
    assert ask(served, keys(frames, frameNumber=16)).status_code == 404
    assert picture(ask(served, keys(frames, contentType="image/gif"))).n_frames == 15  # type: ignore[attr-defined]  # GIF


def test_reports_are_html_and_what_cannot_be_shown_is_a_file(served: Any) -> None:
    report = stored(served, "reportsi.dcm")
    assert ask(served, keys(report)).headers["Content-Type"].startswith("text/html")
    plan = stored(served, "rtplan.dcm")
    assert ask(served, keys(plan)).headers["Content-Type"].startswith("application/dicom")


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("requestType", ""),
        ("requestType", "wado"),
        ("studyUID", ""),
        ("seriesUID", "1..2"),
        ("objectUID", "x"),
        ("frameNumber", "0"),
        ("frameNumber", "a"),
        ("rows", "-1"),
        ("columns", "9000"),
        ("region", "0,0,2,1"),
        ("region", "0,0,nan,1"),
        ("region", "0.5"),
        ("windowWidth", "0"),
        ("imageQuality", "101"),
        ("charset", "latin-1"),
        ("anonymize", "yes"),
        ("presentationSeriesUID", "1..2"),
        ("transferSyntax", "*"),
    ],
)
def test_what_is_wrong_is_400_and_named(served: Any, image: pydicom.Dataset, parameter: str, value: str) -> None:
    more = {"windowCenter": "40"} if parameter == "windowWidth" else {}
    if parameter == "transferSyntax":
        more["contentType"] = "application/dicom"
    answer = ask(served, keys(image, **more) | {parameter: value})
    assert answer.status_code == 400
    assert answer.json()["parameter"] == parameter


def test_missing_keys_are_named_and_unknown_ones_ignored(served: Any, image: pydicom.Dataset) -> None:
    for name in ("requestType", "studyUID", "seriesUID", "objectUID"):
        answer = ask(served, {key: value for key, value in keys(image).items() if key != name})
        assert (answer.status_code, answer.json()["parameter"]) == (400, name)
    assert ask(served, keys(image, windowCenter=40)).json()["parameter"] == "windowWidth"
    assert ask(served, keys(image, colour="blue")).status_code == 200


def test_the_uids_are_one_chain(served: Any, image: pydicom.Dataset) -> None:
    for name in ("studyUID", "seriesUID", "objectUID"):
        assert ask(served, keys(image) | {name: "1.2.3.99"}).status_code == 404


def test_nobody_and_a_share_of_another_study_see_nothing(served: Any, image: pydicom.Dataset) -> None:
    for root in ("", served.server.base):
        assert ask(served, keys(image), root, token=None).status_code == 401
    uid = "1.2.91"
    own = part10(StudyInstanceUID=uid, SeriesInstanceUID="1.2.91.1", SOPInstanceUID="1.2.91.2")
    assert served.store(own).status_code == 200
    share, _, secret = served.server.share(uid).partition("#")
    session = requests.Session()
    session.post(f"{served.server.base}/api/s/{share.rpartition('/')[2]}/open", json={"secret": secret}, timeout=30)
    query = {"requestType": "WADO", "studyUID": uid, "seriesUID": "1.2.91.1", "objectUID": "1.2.91.2"}
    mine = session.get(f"{share}/dicom-web/wado?{urlencode(query)}", timeout=30)
    assert (mine.status_code, mine.headers["Content-Type"]) == (200, "image/jpeg")
    assert mine.headers["Content-Location"].startswith(f"{share}/dicom-web/")
    assert session.get(f"{share}/dicom-web/wado?{urlencode(keys(image))}", timeout=30).status_code == 404
    assert session.get(f"{served.server.base}/wado?{urlencode(query)}", timeout=30).status_code == 401
