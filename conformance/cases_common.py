"""HTTP as PS3.18 §8 and RFC 9110 want it of every resource."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from xml.etree import ElementTree

from conformance.dataset_json import datasets, first, matches, uids
from conformance.model import Case, Level, NotApplicable, NotOffered, Service
from conformance.probe import DICOM, JSON, XML, Probe, expect, expect_status, expect_type, offered
from conformance.samples import new_uid
from conformance.wire import Request, Response

REQ, REC, OPT, INF = Level.REQUIRED, Level.RECOMMENDED, Level.OPTIONAL, Level.INFORMATIVE
LEAKS = (
    "Traceback (most recent",
    "\tat java.",
    "at org.",
    "Exception in thread",
    'File "/',
    "/usr/lib/",
    "System.Exception",
)


def _unknown_parameter(resource: str, probe: Probe) -> None:
    sample = probe.sample("ct1")
    if resource == "search":
        response = probe.search("/studies", {"StudyInstanceUID": sample.study_uid, "conformance-unknown": "1"})
        expect(uids(matches(response), "StudyInstanceUID") == [sample.study_uid], "the match is missing")
    else:
        response = probe.get(f"{sample.path}/metadata", JSON, "conformance-unknown=1")
        expect_status(response, 200)
        expect(uids(datasets(response), "SOPInstanceUID") == [sample.sop_uid], "not the instance asked for")


def _accept_parameter(probe: Probe) -> None:
    sample = probe.sample("ct1")
    response = probe.get(f"{sample.path}/metadata", XML, "accept=application/dicom%2Bjson")
    expect_status(response, 200)
    expect_type(response, JSON)


def _accept_parameter_rendered(probe: Probe) -> None:
    response = probe.get(f"{probe.sample('ramp').path}/rendered", "*/*", "accept=image/png")
    offered(response, 200)
    expect_type(response, "image/png")


def _charset(value: str, probe: Probe) -> None:
    response = probe.get(f"{probe.sample('ct1').path}/metadata", JSON, f"charset={value}")
    if value == "utf-8":
        expect_status(response, 200)
    else:
        expect_status(response, 400, 406)


def _accept_charset(probe: Probe) -> None:
    response = probe.get(f"{probe.sample('ct1').path}/metadata", JSON, headers={"Accept-Charset": "utf-8"})
    expect_status(response, 200)


def _no_accept(path: str, essences: tuple[str, ...], probe: Probe) -> None:
    response = probe.get(resource(probe, path))
    expect_status(response, 200, 406)
    if response.status == 200:
        expect_type(response, *essences)
        probe.note("no Accept was taken for the default type; the letter of §8.7.5 would also allow 406")


def resource(probe: Probe, path: str) -> str:
    sample = probe.sample("ct1")
    return path.format(study=sample.study_path, series=sample.series_path, instance=sample.path)


def _not_found(path: str, accept: str, probe: Probe) -> None:
    sample = probe.sample("ct1")
    response = probe.get(path.format(other=new_uid(), study=sample.study_uid, series=sample.series_uid), accept)
    expect_status(response, 404)


def _wrong_parent(probe: Probe) -> None:
    sample, other = probe.sample("ct1"), probe.sample("mr1")
    path = f"/studies/{sample.study_uid}/series/{other.series_uid}/instances/{sample.sop_uid}/metadata"
    expect_status(probe.get(path, JSON), 404)


def _malformed_uid(probe: Probe) -> None:
    response = probe.get("/studies/not-a-uid/metadata", JSON)
    expect_status(response, 400, 404)


def _traversal(probe: Probe) -> None:
    response = probe.get("/studies/..%2f..%2f..%2fetc%2fpasswd/metadata", JSON)
    expect_status(response, 400, 404)
    expect(b"root:" not in response.body, "a file of the server came back")


def _method(method: str, path: str, probe: Probe) -> None:
    response = probe.send(Request(method, probe.target(resource(probe, path)), (("Accept", JSON),)))
    expect_status(response, 405, 501)
    if response.status == 405:
        expect(response.header("Allow") is not None, "405 without Allow (RFC 9110 §15.5.6)")


def _unknown_path(probe: Probe) -> None:
    response = probe.get("/conformance-no-such-service", JSON)
    expect_status(response, 404, 400, 501)


def _workitems(probe: Probe) -> None:
    response = probe.get("/workitems", JSON)
    if response.status in (404, 501, 400, 405):
        raise NotOffered(f"UPS-RS is not there: status {response.status}")
    expect_status(response, 200, 204)


def _capabilities(accept: str, probe: Probe) -> Response:
    response = probe.send(Request("OPTIONS", probe.target("/"), (("Accept", accept),)))
    if response.status == 404:
        response = probe.send(Request("OPTIONS", probe.target(""), (("Accept", accept),)))
    return response


def _options(probe: Probe) -> None:
    response = _capabilities("application/vnd.sun.wadl+xml, application/json;q=0.5", probe)
    expect_status(response, 200)
    expect(b"studies" in response.body, "the answer to OPTIONS describes no resource “studies”")


def _wadl(probe: Probe) -> None:
    response = _capabilities("application/vnd.sun.wadl+xml", probe)
    if response.status != 200 or not response.body:
        raise NotOffered("no capabilities description")
    root = ElementTree.fromstring(response.body)  # noqa: S314 - expat bounds entity expansion; the server is chosen
    expect(root.tag.endswith("application"), f"the root element is {root.tag}")
    resources = [each for each in root if each.tag.endswith("resources")]
    expect(len(resources) == 1, f"{len(resources)} “resources” elements; Annex H wants one")
    expect(bool(resources[0].get("base")), "“resources” has no base")
    paths = [str(each.get("path")).strip("/") for each in resources[0] if each.tag.endswith("resource")]
    expect(any(path.startswith("studies") for path in paths), f"no resource “studies” among {paths}")


def _retrieve_urls(level: str, probe: Probe) -> None:
    sample = probe.sample("ct1")
    path, keys, accept = {
        "study": ("/studies", {"StudyInstanceUID": sample.study_uid}, DICOM),
        "series": (f"{sample.study_path}/series", {"SeriesInstanceUID": sample.series_uid}, DICOM),
        "instance": (f"{sample.series_path}/instances", {"SOPInstanceUID": sample.sop_uid}, DICOM),
    }[level]
    found = matches(probe.search(path, keys))
    expect(len(found) == 1, f"{len(found)} matches for one UID")
    url = first(found[0], "RetrieveURL")
    expect(isinstance(url, str), "no Retrieve URL (0008,1190)")
    expect_status(probe.get_url(url, accept), 200)


def _error_body(kind: str, probe: Probe) -> None:
    if kind == "404":
        response = probe.get(f"/studies/{new_uid()}/metadata", JSON)
    elif kind == "400":
        response = probe.get("/studies", JSON, "limit=abc")
    else:
        response = probe.get(f"{probe.sample('ct1').path}/metadata", "application/x-conformance")
    if response.status < 400:
        raise NotApplicable(f"the request is not refused: status {response.status}")
    text = response.body.decode("utf-8", "replace")
    leak = next((mark for mark in LEAKS if mark in text), None)
    expect(leak is None, f"the error body shows internals: {leak}")
    expect(len(response.body) < 8192, f"an error body of {len(response.body)} bytes")


def _deleted(probe: Probe) -> None:
    from conformance.cases_stow import fresh_instance, post_instances  # noqa: PLC0415 - only here, avoids a ring

    sample = fresh_instance(probe, "deleted")
    expect_status(post_instances(probe, [sample.data]), 200, 202)
    response = probe.send(Request("DELETE", probe.target(sample.study_path)))
    if response.status not in (200, 202, 204):
        raise NotOffered(f"DELETE: status {response.status}")
    gone = probe.get(f"{sample.path}/metadata", JSON)
    expect_status(gone, 404, 410)
    if gone.status == 404:
        probe.note("404 after deletion; 410 tells more when the server remembers")
    expect(matches(probe.search("/studies", {"StudyInstanceUID": sample.study_uid})) == [], "still found by a search")


def _case(name: str, section: str, level: Level, requires: str, check: Callable[[Probe], None]) -> Case:
    return Case(name, Service.COMMON, section, level, requires, check)


NOT_FOUND = (
    ("study", "/studies/{other}/metadata", JSON),
    ("series", "/studies/{study}/series/{other}/metadata", JSON),
    ("instance", "/studies/{study}/series/{series}/instances/{other}/metadata", JSON),
    ("study-instances", "/studies/{other}", DICOM),
    (
        "instance-frames",
        "/studies/{study}/series/{series}/instances/{other}/frames/1",
        'multipart/related; type="application/octet-stream"',
    ),
)
DICOM_TYPES = ("multipart/related", "application/dicom", "application/zip")
CASES = (
    *(
        _case(
            f"C1-unknown-parameter-{name}",
            "8.3",
            REQ,
            "Query parameters that a server does not know are ignored.",
            partial(_unknown_parameter, name),
        )
        for name in ("search", "retrieve")
    ),
    _case(
        "C2-accept-parameter",
        "8.3.3.1",
        REC,
        "The accept query parameter goes before the Accept header.",
        _accept_parameter,
    ),
    _case(
        "C2-accept-parameter-rendered",
        "8.3.3.1",
        REC,
        "accept=image/png on a rendered resource gives PNG.",
        _accept_parameter_rendered,
    ),
    _case("C3-charset-utf8", "8.3.3.2", REC, "charset=utf-8 is supported.", partial(_charset, "utf-8")),
    _case(
        "C3-charset-unknown",
        "8.3.3.2",
        REC,
        "A charset that is no charset is refused with 400.",
        partial(_charset, "no-such-charset"),
    ),
    *(
        _case(
            f"C4-no-accept-{name}",
            "8.7.5",
            REQ,
            "A request without Accept gets the default type or 406, no error.",
            partial(_no_accept, path, kinds),
        )
        for name, path, kinds in (
            ("search", "{study}/series", (JSON,)),
            ("metadata", "{instance}/metadata", (JSON,)),
            ("instance", "{instance}", DICOM_TYPES),
        )
    ),
    *(
        _case(
            f"C20-not-found-{name}",
            "10.4.3.1",
            REQ,
            "A resource that is not there is answered with 404.",
            partial(_not_found, path, accept),
        )
        for name, path, accept in NOT_FOUND
    ),
    _case(
        "C20-wrong-parent",
        "10.4.3.1",
        REQ,
        "An instance under a series that it is not part of is not found.",
        _wrong_parent,
    ),
    _case("C20-malformed-uid", "8.5", REQ, "A path with something that is no UID gets 400 or 404.", _malformed_uid),
    _case("C20-path-traversal", "8.5", REQ, "An encoded path out of the archive gets 400 or 404.", _traversal),
    _case("C20-unknown-path", "8.5", REC, "A path that no service has gets 404.", _unknown_path),
    *(
        _case(
            f"C20-method-{method.lower()}-{name}",
            "8.5, RFC 9110 15.5.6",
            REC,
            "A method that a resource has not got is answered with 405 and Allow.",
            partial(_method, method, path),
        )
        for method, name, path in (
            ("PUT", "studies", "/studies"),
            ("PATCH", "study", "{study}"),
            ("POST", "frames", "{instance}/frames/1"),
            ("PUT", "metadata", "{series}/metadata"),
        )
    ),
    _case("C23-accept-charset", "8.8", REQ, "UTF-8 is supported.", _accept_charset),
    _case("C24-options", "8.9", REQ, "OPTIONS on the base URI gives a capabilities description.", _options),
    _case("C24-wadl", "8.9, Annex H", OPT, "The description is WADL with one “resources” element and its base.", _wadl),
    *(
        _case(
            f"C26-retrieve-url-{level}",
            "10.6.3.3",
            REQ,
            "The Retrieve URL of a match can be retrieved on this server.",
            partial(_retrieve_urls, level),
        )
        for level in ("study", "series", "instance")
    ),
    *(
        _case(
            f"C27-error-body-{kind}",
            "8.5",
            INF,
            "An error body is short and shows no internals.",
            partial(_error_body, kind),
        )
        for kind in ("404", "400", "406")
    ),
    _case("C21-deleted", "10.4.3.1", INF, "What was deleted (an extension) is 410 or 404 and not found.", _deleted),
    _case("X1-workitems", "11", INF, "UPS-RS is there or says that it is not.", _workitems),
)
