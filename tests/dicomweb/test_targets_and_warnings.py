"""Paths and values, public roots, Warning headers."""

import pytest

from archive.dicomweb.targets import (
    BulkdataTarget,
    FramesTarget,
    InstanceTarget,
    PublicRoot,
    SeriesTarget,
    StudyTarget,
    origin_of,
    parse_frame_numbers,
)
from archive.dicomweb.warnings import remaining_warning, warning_value, warning_values
from archive.errors import BadRequestError

UIDS = {"study": "1.2.3", "series": "1.2.4", "instance": "1.2.5"}


def test_a_target_says_the_path_it_was_read_from() -> None:
    assert StudyTarget.parse(UIDS).path() == "/studies/1.2.3"
    assert SeriesTarget.parse(UIDS).path() == "/studies/1.2.3/series/1.2.4"
    assert InstanceTarget.parse(UIDS).path() == "/studies/1.2.3/series/1.2.4/instances/1.2.5"
    frames = FramesTarget.parse({**UIDS, "frames": "3,1,3"})
    assert frames.frame_numbers == (3, 1, 3)
    assert frames.path() == "/studies/1.2.3/series/1.2.4/instances/1.2.5/frames/3,1,3"
    assert frames.frame_path(3).endswith("/frames/3")
    bulk = BulkdataTarget.parse({**UIDS, "path": "0040a730/1/00420011"})
    assert bulk.path() == "/studies/1.2.3/series/1.2.4/instances/1.2.5/bulkdata/0040A730/1/00420011"


@pytest.mark.parametrize("variable", ["study", "series", "instance"])
@pytest.mark.parametrize("text", ["", "..", "1.2/..", "1.2.a", "1" * 65, "1.2%2e", "１.2", "1.2\n"])
def test_what_is_no_uid_is_a_bad_request_that_names_the_parameter(variable: str, text: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        InstanceTarget.parse({**UIDS, variable: text})
    assert caught.value.parameter is not None
    assert caught.value.parameter.lower().startswith(variable if variable != "instance" else "sop")
    assert not text or text not in caught.value.message


@pytest.mark.parametrize(
    "text", ["0", "1.5", "a", "", "1,", ",1", "1,,2", "-1", "+1", " 1", "1_0", "²", "1" * 11, "1," * 10_000 + "1"]
)
def test_what_is_no_list_of_frames_is_a_bad_request(text: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        parse_frame_numbers(text)
    assert caught.value.parameter == "frames"


@pytest.mark.parametrize(
    "text", ["", "7FE0001", "7FE00010/", "7FE00010/1", "../7FE00010", "7FE00010/1/7FE0001G", "00080000/1" * 70]
)
def test_what_is_no_bulk_path_is_a_bad_request(text: str) -> None:
    with pytest.raises(BadRequestError):
        BulkdataTarget.parse({**UIDS, "path": text})


@pytest.mark.parametrize(
    ("path", "base", "uri"),
    [
        ("/dicom-web/studies", "https://a.example", "https://a.example/dicom-web/studies/1.2.3"),
        ("/dicom-web", "https://a.example/", "https://a.example/dicom-web/studies/1.2.3"),
        (
            "/s/abc/dicom-web/studies/1",
            "https://a.example/pacs",
            "https://a.example/pacs/s/abc/dicom-web/studies/1.2.3",
        ),
        ("/s/abc/dicom-web/x/dicom-web/y", "", "/s/abc/dicom-web/studies/1.2.3"),
        ("/studies", "https://a.example", "https://a.example/studies/1.2.3"),
        ("/dicom-webs/studies", "", "/studies/1.2.3"),
    ],
)
def test_uris_lie_under_the_root_the_request_came_by(path: str, base: str, uri: str) -> None:
    root = PublicRoot.of(path, base)
    assert root.uri("/studies/1.2.3") == uri
    assert uri == f"{root}/studies/1.2.3"


def test_a_host_header_that_is_none_gives_no_origin() -> None:
    assert origin_of("https", "a.example:8042") == "https://a.example:8042"
    assert origin_of("http", "[::1]:80") == "http://[::1]:80"
    for host in ("a b/<>", "", "a.example/x", "a@b", 'x"y', "a:port"):
        assert origin_of("http", host) == ""


def test_a_warning_has_the_form_of_the_standard() -> None:
    assert warning_value("https://a.example/dicom-web", "Attribute X is not supported.") == (
        "299 https://a.example/dicom-web: Attribute X is not supported."
    )
    assert remaining_warning("/dicom-web", 7) == "299 /dicom-web: There are 7 additional results that can be requested"


def test_a_warning_is_safe_in_a_header() -> None:
    value = warning_value("/dicom-web\r\nX: y", "Line\r\nSet-Cookie: a=b \x00\x7f Müller 漢" + "x" * 5000)
    assert value.isascii()
    assert value.isprintable()
    assert len(value) < 1100


def test_many_warnings_become_few_values() -> None:
    values = warning_values("/dicom-web", [f"w{i}" for i in range(100)])
    assert len(values) == 21
    assert values[-1] == "299 /dicom-web: There are 80 more warnings."
