"""What goes over the wire is what the caller asked for, and an answer is read as it is."""

import pytest

from conformance.media_types import parse_media_type
from conformance.multipart import Part, build, parse, part
from conformance.wire import Request, Wire, show_request


def test_no_header_is_sent_that_was_not_asked_for(stub):
    Wire(stub.base_url).send(Request("GET", "/dicom-web/studies"))
    (_, _, headers, _) = stub.asked[0]
    assert set(headers) == {"host"}


def test_headers_of_the_run_are_sent_unless_a_request_has_its_own(stub):
    wire = Wire(stub.base_url, (("Authorization", "Bearer abc"), ("Accept", "x/y")))
    wire.send(Request("GET", "/dicom-web/studies", (("Accept", "application/dicom+json"),)))
    (_, _, headers, _) = stub.asked[0]
    assert headers["authorization"] == "Bearer abc"
    assert headers["accept"] == "application/dicom+json"


def test_a_chunked_body_arrives_whole(stub):
    body = bytes(range(256)) * 20
    Wire(stub.base_url).send(Request("POST", "/dicom-web/studies", (), body, is_chunked=True))
    assert stub.asked[0][3] == body


def test_a_request_that_waits_for_100_continue_is_sent_after_it(stub):
    request = Request("POST", "/dicom-web/studies", (), b"content", waits_for_continue=True)
    response = Wire(stub.base_url).send(request)
    assert response.saw_continue
    assert stub.asked[0][3] == b"content"


def test_a_report_never_shows_a_credential():
    shown = show_request(Request("GET", "/", (("Authorization", "Bearer secret"),)))
    assert "secret" not in shown


def test_parts_come_back_as_they_were_built():
    parts = [part(b"one\r\n--not the end", "a/b"), Part((), b"")]
    body = build(parts, "xyz", preamble=b"before", epilogue=b"after")
    found = parse(parse_media_type('multipart/related; boundary="xyz"'), body)
    assert [each.body for each in found] == [b"one\r\n--not the end", b""]
    assert found[0].media_type.essence == "a/b"


@pytest.mark.parametrize(
    "body", [b"--b\r\n\r\nno closing delimiter\r\n", b"--b\r\nNo blank line--b--", b"nothing at all"]
)
def test_a_broken_multipart_body_is_an_error(body):
    with pytest.raises(ValueError, match=r"delimiter|empty line|missing"):
        parse(parse_media_type("multipart/related; boundary=b"), body)


def test_quoted_and_unquoted_parameters_are_equal():
    quoted = parse_media_type('Multipart/Related; Type="application/dicom"; boundary="a;b"')
    assert quoted.essence == "multipart/related"
    assert quoted.parameter("type") == "application/dicom"
    assert quoted.parameter("boundary") == "a;b"
    assert parse_media_type("x/y;type=application/dicom").parameter("type") == "application/dicom"


def test_not_a_number_in_json_is_an_error(stub):
    stub.answer = lambda *_: (200, {"Content-Type": "application/dicom+json"}, b"[NaN]")
    response = Wire(stub.base_url).send(Request("GET", "/"))
    with pytest.raises(ValueError, match="NaN"):
        response.json()
