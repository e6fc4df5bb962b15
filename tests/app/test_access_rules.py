"""Every route has its rule: nothing but inert pages without a credential, nothing but its studies for a share."""

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
import requests
from servers import Server, lightbox

from archive.app import build_app
from archive.config import Settings

INERT = {
    "/",
    "/s/{share_id}",
    "/s/{share_id}/",
    "/o/{request_id}",
    "/o/{request_id}/",
    "/c",
    "/request",
    "/staff",
    "/robots.txt",
    "/static/{digest}/{name}",
    "/health/live",
    "/health/ready",
    "/api/s/{share_id}/session",
    "/api/o/{request_id}/session",
    "/api/staff/session",
}
"""What anyone gets: pages with nothing on them, and what looks whether a session is there."""
VIEWER = ("/ohif/", "/s/{share_id}/viewer", "/viewer")
"""OHIF's own files: a program, no data. The description of the API is none either."""
OPENING = re.compile(r"/api/(s|o)/\{\w+\}/open|/api/requests|/api/staff/sign-in|/shl/\{manifest\}")
"""Where a secret is brought; a wrong one is 4xx."""


def routes(tmp_path: Path) -> list[tuple[str, str]]:
    app = build_app(Settings(data=tmp_path))
    found = []
    for route in app.router.routes():
        info = route.get_info()
        path = info.get("path") or info.get("formatter") or ""
        if route.method not in ("HEAD", "OPTIONS") and path:
            found.append((route.method, path))
    return sorted(set(found))


def example(path: str) -> str:
    path = path.replace("{npi}", "implant-templates")
    return re.sub(r"\{[^}]+\}", lambda name: "1" if "number" in name[0] or "id}" in name[0] else "1.2.3", path)


def test_every_route_refuses_who_brings_no_credential(served: Any, tmp_path: Path) -> None:
    checked = 0
    for method, path in routes(tmp_path):
        if path in INERT or path.startswith(VIEWER) or path.endswith("/openapi.json"):
            continue
        method = "GET" if method == "*" else method
        url = served.server.base + example(path)
        answer = requests.request(method, url, json={}, allow_redirects=False, timeout=30)
        refused = {400, 401, 403, 404, 405, 406, 415, 501} if OPENING.fullmatch(path) else {401, 303, 404, 403}
        assert answer.status_code in refused, (method, path, answer.status_code, answer.text[:200])
        if "dicom-web" in path:
            assert answer.status_code == 401, (method, path, answer.status_code)
        checked += 1
    assert checked > 100


@pytest.fixture(scope="module")
def shared(served: Any) -> tuple[Server, requests.Session, str, str, dict[str, Any]]:
    """Two studies are there, one is shared; its session, its root, its UID and one instance of the other study."""
    served.samples("CT_small.dcm", "MR_small.dcm", "JPEG2000.dcm")
    studies = served.ask("/studies", accept="application/dicom+json").json()
    uids = [one["0020000D"]["Value"][0] for one in studies]
    mine = next(uid for uid in uids if uid != "1.2.3")
    link = served.server.share(mine)
    share_id, secret = re.search(r"/s/(\w+)#(\w+)", link).groups()
    session = requests.Session()
    answer = session.post(f"{served.server.base}/api/s/{share_id}/open", json={"secret": secret}, timeout=30)
    assert answer.status_code == 200
    other = next(uid for uid in uids if uid != mine)
    foreign = served.ask(f"/studies/{other}/instances", accept="application/dicom+json").json()[0]
    return served.server, session, f"{served.server.base}/s/{share_id}/dicom-web", mine, foreign


def value(instance: dict[str, Any], tag: str) -> str:
    return str(instance[tag]["Value"][0])


def test_no_way_leads_from_a_share_to_another_study(shared: Any) -> None:
    _, session, root, mine, foreign = shared
    study, series, instance = (value(foreign, tag) for tag in ("0020000D", "0020000E", "00080018"))
    tails = ["", "/metadata", "/rendered", "/thumbnail"]
    paths = [f"/studies/{study}{tail}" for tail in tails]
    for first in (study, mine):
        paths += [f"/studies/{first}/series/{series}{tail}" for tail in tails]
        below = f"/studies/{first}/series/{series}/instances/{instance}"
        paths += [below + tail for tail in [*tails, "/frames/1", "/frames/1/rendered", "/bulkdata/7FE00010"]]
    for path in paths:
        answer = session.get(root + path, headers={"Accept": "*/*"}, timeout=30)
        absent = session.get(root + path.replace(series, "9.9.9"), headers={"Accept": "*/*"}, timeout=30)
        assert answer.status_code == 404, path
        told, told_absent = answer.json(), absent.json()
        assert {**told, "request_id": ""} == {**told_absent, "request_id": ""}, path
    uri = {"requestType": "WADO", "studyUID": mine, "seriesUID": series, "objectUID": instance}
    for study_uid in (study, mine):
        answer = session.get(f"{root}/wado", params={**uri, "studyUID": study_uid}, timeout=30)
        assert answer.status_code == 404


def test_no_search_with_whatever_key_finds_another_study(shared: Any) -> None:
    _, session, root, mine, foreign = shared
    study, series, instance = (value(foreign, tag) for tag in ("0020000D", "0020000E", "00080018"))
    keys = {
        "StudyInstanceUID": [study, mine, f"{study},{mine}", "*"],
        "SeriesInstanceUID": [series, "*"],
        "SOPInstanceUID": [instance],
        "PatientID": ["*", "", "1CT1", "4MR1"],
        "PatientName": ["*", "?*", "CompressedSamples*"],
        "fuzzymatching": ["true", "false"],
        "ModalitiesInStudy": ["CT", "MR", "*"],
        "StudyDate": ["19000101-20991231", ""],
        "includefield": ["all", "00100010"],
        "limit": ["1", "100"],
        "offset": ["0", "1"],
        "00100020": ["*"],
    }
    chosen = random.Random(5)
    resources = ("/studies", "/series", "/instances", f"/studies/{study}/series", f"/studies/{study}/instances")
    for _ in range(120):
        query = {name: chosen.choice(keys[name]) for name in chosen.sample(sorted(keys), chosen.randint(0, 4))}
        path = chosen.choice(resources)
        answer = session.get(root + path, params=query, headers={"Accept": "application/dicom+json"}, timeout=30)
        assert answer.status_code in (200, 400), (path, query, answer.text)
        if answer.status_code == 200:
            found = {value(one, "0020000D") for one in answer.json() if "0020000D" in one}
            assert found <= {mine}, (path, query)
            assert path not in resources[3:] or answer.json() == []


def test_every_read_of_a_share_is_in_the_trail(shared: Any) -> None:
    server, session, root, mine, _ = shared
    session.get(f"{root}/studies/{mine}/metadata", headers={"Accept": "application/dicom+json"}, timeout=30)
    session.get(f"{root}/studies/{mine}/rendered", headers={"Accept": "image/jpeg"}, timeout=30)
    session.get(f"{root}/studies/{mine}", headers={"Accept": "*/*"}, timeout=30)
    share_id = root.split("/")[4]
    trail = lightbox("audit", "export", "--data", str(server.data))
    done = {
        line["action"]
        for line in map(json.loads, trail.splitlines())
        if line["share_id"] == share_id and line["study_uid"] in (mine, "")
    }
    assert {"metadata", "view", "download", "share-open"} <= done
    assert "whole" in lightbox("audit", "verify", "--data", str(server.data))
