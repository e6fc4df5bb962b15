"""WADO-URI (PS3.18 §9): one instance by its UIDs in a query string. A service of its own: it may be absent."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial

import numpy as np
import pydicom

from conformance.cases_rendered import linear
from conformance.corpus_rendered import ramp_pixels
from conformance.model import Case, Level, NotOffered, Service
from conformance.pictures import gif_head, jpeg_head, png_pixels
from conformance.probe import Probe, expect, expect_status, expect_type, query_of
from conformance.samples import Sample, new_uid
from conformance.wire import Response

OPT, INF = Level.OPTIONAL, Level.INFORMATIVE


def _get(probe: Probe, sample: Sample, accept: str | None = "*/*", **more: str) -> Response:
    keys = {
        "requestType": "WADO",
        "studyUID": sample.study_uid,
        "seriesUID": sample.series_uid,
        "objectUID": sample.sop_uid,
    }
    keys.update(more)
    for path in ("/wado", "", "/../wado"):
        where = path if path != "/../wado" else None
        response = _send(probe, where, query_of({key: value for key, value in keys.items() if value}), accept)
        if response.status not in (404, 405) or _is_there(probe, where):
            return response
    raise NotOffered("no WADO-URI service at /wado, at the base or beside it")


def _send(probe: Probe, path: str | None, query: str, accept: str | None) -> Response:
    if path is not None:
        return probe.get(path, accept, query)
    base = probe.session.wire.base_url.rstrip("/")
    return probe.get_url(f"{base.rpartition('/')[0]}/wado?{query}", accept)


def _is_there(probe: Probe, path: str | None) -> bool:
    """Tell whether the service answers for an instance that is there."""
    sample = probe.sample("ct1")
    query = query_of(
        {
            "requestType": "WADO",
            "studyUID": sample.study_uid,
            "seriesUID": sample.series_uid,
            "objectUID": sample.sop_uid,
            "contentType": "application/dicom",
        }
    )
    return _send(probe, path, query, "*/*").status == 200


def _dicom(name: str, probe: Probe) -> None:
    sample = probe.sample(name)
    response = _get(probe, sample, contentType="application/dicom")
    expect_status(response, 200)
    expect_type(response, "application/dicom")
    file = pydicom.dcmread(io.BytesIO(response.body))
    expect(str(file.SOPInstanceUID) == sample.sop_uid, "another instance came back")
    expect(
        str(file.file_meta.TransferSyntaxUID) not in ("1.2.840.10008.1.2", "1.2.840.10008.1.2.2"),
        "sent in a syntax that shall not be sent",
    )


def _default(probe: Probe) -> None:
    response = _get(probe, probe.sample("ramp"))
    expect_status(response, 200)
    expect_type(response, "image/jpeg")
    head = jpeg_head(response.body)
    expect((head.rows, head.columns) == (32, 32), f"a JPEG of {head.rows} x {head.columns}")


def _type(essence: str, probe: Probe) -> None:
    response = _get(probe, probe.sample("ramp"), contentType=essence)
    if response.status in (400, 406):
        raise NotOffered(f"status {response.status}")
    expect_status(response, 200)
    expect_type(response, essence)
    if essence == "image/png":
        png_pixels(response.body)
    elif essence == "image/gif":
        gif_head(response.body)


def _syntax(value: str, probe: Probe) -> None:
    response = _get(probe, probe.sample("rle-file"), contentType="application/dicom", transferSyntax=value)
    if response.status in (400, 406):
        raise NotOffered(f"status {response.status}")
    expect_status(response, 200)
    found = str(pydicom.dcmread(io.BytesIO(response.body)).file_meta.TransferSyntaxUID)
    if found != value and value != "1.2.840.10008.1.2.1":
        raise NotOffered(f"transferSyntax is not followed: {found}")
    expect(found == value, f"sent in {found}")


def _bad(keys: dict[str, str], allowed: tuple[int, ...], probe: Probe) -> None:
    sample = probe.sample("ct1")
    if not any(_is_there(probe, path) for path in ("/wado", "", None)):
        raise NotOffered("no WADO-URI service")
    filled = {key: new_uid() if value == "other" else value for key, value in keys.items()}
    expect_status(_get(probe, sample, **filled), *allowed)


def _picture(probe: Probe, **more: str) -> np.ndarray:
    response = _get(probe, probe.sample("ramp"), contentType="image/png", **more)
    if response.status in (400, 406):
        raise NotOffered(f"status {response.status}")
    expect_status(response, 200)
    picture = png_pixels(response.body).astype(np.int32)
    return picture if picture.ndim == 2 else picture[..., 0]


def _window(probe: Probe) -> None:
    plain = _picture(probe)
    picture = _picture(probe, windowCenter="300", windowWidth="200")
    if (picture == plain).all():
        raise NotOffered("the window changes nothing")
    worst = float(np.abs(picture - linear(ramp_pixels().astype(float), 300, 200)).max())
    expect(worst <= 2, f"a sample is off by {worst:.0f} of 255")


def _size(probe: Probe) -> None:
    picture = _picture(probe, rows="16", columns="16")
    if picture.shape == (32, 32):
        raise NotOffered("rows and columns change nothing")
    expect(picture.shape == (16, 16), f"the picture is {picture.shape}")


def _region(probe: Probe) -> None:
    picture = _picture(probe, region="0,0,0.5,0.5")
    if picture.shape == (32, 32) and (picture == _picture(probe)).all():
        raise NotOffered("region changes nothing")


def _frame(probe: Probe) -> None:
    greys = []
    for number in ("1", "3"):
        response = _get(probe, probe.sample("cine"), contentType="image/png", frameNumber=number)
        if response.status in (400, 406):
            raise NotOffered(f"status {response.status}")
        expect_status(response, 200)
        greys.append(int(png_pixels(response.body).mean()))
    if greys[0] == greys[1]:
        raise NotOffered("frameNumber changes nothing")
    expect(greys[0] <= 2 and greys[1] >= 253, f"the greys of frames 1 and 3 are {greys}")


def _quality(probe: Probe) -> None:
    sizes = [
        len(_get(probe, probe.sample("colour"), contentType="image/jpeg", imageQuality=q).body) for q in ("10", "95")
    ]
    if sizes[0] == sizes[1]:
        raise NotOffered("imageQuality changes nothing")
    expect(sizes[0] < sizes[1], f"imageQuality 10 gives {sizes[0]} bytes, 95 gives {sizes[1]}")


def _anonymize(probe: Probe) -> None:
    response = _get(probe, probe.sample("ct1"), contentType="application/dicom", anonymize="yes")
    if response.status in (400, 403, 406, 501):  # 403: it will not vouch for the image
        raise NotOffered(f"status {response.status}")
    expect_status(response, 200)
    file = pydicom.dcmread(io.BytesIO(response.body))
    if str(file.get("PatientID", "")) == probe.sample("ct1").study_uid or f"Muster{probe.corpus.token}" in str(
        file.get("PatientName", "")
    ):
        raise NotOffered("the instance comes with the patient's name")
    expect(probe.corpus.token not in str(file.get("PatientID", "")), "the patient's number is still there")
    expect(str(file.SOPInstanceUID) != probe.sample("ct1").sop_uid, "the de-identified object has the original's UID")


def _case(name: str, section: str, level: Level, requires: str, check: Callable[[Probe], None]) -> Case:
    return Case(name, Service.URI, section, level, requires, check)


LE, RLE = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.5"
CASES = (
    *(
        _case(
            f"U1-dicom-{name}", "9.4", OPT, "contentType=application/dicom gives the instance.", partial(_dicom, name)
        )
        for name in ("ct1", "jls", "implicit-le", "big-endian")
    ),
    _case("U2-default", "9.3", OPT, "Neither contentType nor a narrower Accept than */*: a JPEG.", _default),
    *(
        _case(
            f"U2-{essence.split('/')[1]}",
            "9.5.1.2.2",
            OPT,
            f"contentType={essence} gives such a picture.",
            partial(_type, essence),
        )
        for essence in ("image/jpeg", "image/png", "image/gif")
    ),
    *(
        _case(
            f"U3-syntax-{name}",
            "9.4.1.2.2",
            OPT,
            "transferSyntax chooses the syntax of the instance.",
            partial(_syntax, value),
        )
        for name, value in (("explicit", LE), ("stored", RLE))
    ),
    *(
        _case(f"U1-bad-{name}", "9.4.3", OPT, says, partial(_bad, keys, allowed))
        for name, keys, allowed, says in (
            ("no-object", {"objectUID": ""}, (400,), "A missing objectUID is refused with 400."),
            ("no-study", {"studyUID": ""}, (400,), "A missing studyUID is refused with 400."),
            ("request-type", {"requestType": "XYZ"}, (400,), "A requestType other than WADO is refused with 400."),
            ("not-found", {"objectUID": "other"}, (404,), "An instance that is not there is 404."),
            ("wrong-study", {"studyUID": "other"}, (404,), "An instance of another study is 404."),
            (
                "frame-word",
                {"frameNumber": "a", "contentType": "image/jpeg"},
                (400,),
                "A frameNumber that is a word is refused with 400.",
            ),
        )
    ),
    _case("U4-window", "9.5.1.2.4", OPT, "windowCenter and windowWidth are applied.", _window),
    _case("U4-size", "9.5.1.2.3", OPT, "rows and columns bound the picture.", _size),
    _case("U4-region", "9.5.1.2.3", OPT, "region takes a part of the image.", _region),
    _case("U4-frame", "9.5.1.2.5", OPT, "frameNumber chooses the frame.", _frame),
    _case("U4-quality", "9.5.1.2.6", OPT, "imageQuality sets how lossy the picture is.", _quality),
    _case("U5-anonymize", "9.4.1.2.1", OPT, "anonymize=yes takes the patient's identity away.", _anonymize),
)
