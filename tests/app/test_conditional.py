"""ETag, If-None-Match and Range on instances and frames."""

from typing import Any

import pytest
import requests

INSTANCE = "/studies/1.2.3/series/1.2.3.4"
MULTIPART = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'


@pytest.fixture(scope="module")
def instance(served: Any) -> str:
    (found,) = served.ask(f"{INSTANCE}/instances", accept="application/dicom+json").json()
    return f"{INSTANCE}/instances/{found['00080018']['Value'][0]}"


def get(served: Any, path: str, accept: str, **headers: str) -> requests.Response:
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    headers |= {"Authorization": f"Bearer {served.token}", "Accept": accept}
    return requests.get(served.server.dicomweb + path, headers=headers, timeout=30)


@pytest.mark.parametrize(
    ("tail", "accept"),
    [
        ("", 'multipart/related; type="application/dicom"; transfer-syntax=*'),
        ("", "application/dicom; transfer-syntax=*"),
        ("/frames/1", MULTIPART),
        ("/frames/1", "application/octet-stream"),
    ],
)
def test_what_the_client_has_is_not_sent_again(served: Any, instance: str, tail: str, accept: str) -> None:
    answer = get(served, instance + tail, accept)
    tag = answer.headers["ETag"]
    assert answer.status_code == 200
    assert tag.startswith("W/") == accept.startswith("multipart")
    again = get(served, instance + tail, accept, If_None_Match=tag)
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
    assert get(served, instance + tail, accept, If_None_Match='"other"').status_code == 200


def test_a_part_of_a_frame_is_a_range_of_it(served: Any, instance: str) -> None:
    path, accept = f"{instance}/frames/1", "application/octet-stream"
    whole = get(served, path, accept)
    assert (whole.content, whole.headers["Accept-Ranges"]) == (b"\1\2\3\4", "bytes")
    part = get(served, path, accept, Range="bytes=1-2")
    assert (part.status_code, part.content, part.headers["Content-Range"]) == (206, b"\2\3", "bytes 1-2/4")
    assert get(served, path, accept, Range="bytes=1-", If_Range=whole.headers["ETag"]).content == b"\2\3\4"
    assert get(served, path, accept, Range="bytes=1-", If_Range='"old"').content == whole.content
    beyond = get(served, path, accept, Range="bytes=4-")
    assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, "bytes */4")


def test_frames_with_some_missing_have_no_tag(served: Any, instance: str) -> None:
    answer = get(served, f"{instance}/frames/1,99", MULTIPART)
    assert answer.status_code == 206
    assert "ETag" not in answer.headers
