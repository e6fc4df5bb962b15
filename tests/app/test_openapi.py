"""The description of the API: complete, and true under whatever is sent."""

import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from archive.app import BESIDE_ROOTS, TABLES, build_app
from archive.config import Settings
from archive.dicomweb.openapi import routes_of

LIMIT_S = 25.0
NOT_OFFERED = (*("/workitems", "/color-palettes", "/defined-procedure", "/hanging-protocols", "/implant-templates"),)
VIEWERS = ("/viewer", "/s/{share_id}/viewer")
UIDS = st.sampled_from(["1.2.3", "1.2.3.4", "1.2.3.4.5", "9.9"])
WORDS = st.one_of(UIDS, st.sampled_from(["1", "1,2", "0", "7FE00010", "a" * 300, "%00", "..", "é", "x'--"]), st.text())
VALUES = st.one_of(
    st.sampled_from(
        ["", "0", "1", "-1", "*", "1.5", "20200101-", '""', "all", "00100010", "99,99,abc", "NaN", "1e999"]
    ),
    st.text(max_size=40),
)
ACCEPTS = st.sampled_from(
    ["*/*", "application/dicom+json", "application/dicom", "image/png", "application/zip", "text/html;q=2", "x", ""]
)


def test_every_route_is_described(served: Any, tmp_path: Path) -> None:
    paths = served.ask(f"{served.server.base}/openapi.json").json()["paths"]
    app = build_app(Settings(data=tmp_path))
    missing = [
        (method, template)
        for method, template, _ in routes_of(app.router)
        if not paths.get(template, {}).get(method.lower(), {}).get("summary")
    ]
    assert not missing


def test_transactions_say_their_media_types_and_parameters(served: Any) -> None:
    paths = served.ask(f"{served.server.base}/openapi.json").json()["paths"]
    for root, table in {**TABLES, "": BESIDE_ROOTS}.items():
        for one in table:
            operation = paths[root + one.template][one.method.lower()]
            assert set(operation["responses"]["2XX"].get("content", {})) == set(one.produces)
            assert {p["name"] for p in operation["parameters"] if p["in"] == "query"} == set(one.parameters)
            assert {p["name"] for p in operation["parameters"] if p["in"] == "path"} >= {
                name for name in ("study", "series", "instance", "frames") if f"{{{name}}}" in one.path
            }


def test_operation_ids_are_unique(served: Any) -> None:
    paths = served.ask(f"{served.server.base}/openapi.json").json()["paths"]
    names = [operation["operationId"] for methods in paths.values() for operation in methods.values()]
    assert len(names) == len(set(names))


def test_a_root_has_its_own_description(served: Any) -> None:
    description = served.ask("/openapi.json").json()
    assert description["servers"] == [{"url": served.server.dicomweb}]
    assert "/studies/{study}/metadata" in description["paths"]
    assert not any(path.startswith("/dicom-web") for path in description["paths"])


def operations(served: Any) -> list[tuple[str, str, dict[str, Any]]]:
    paths = served.ask(f"{served.server.base}/openapi.json").json()["paths"]
    return [
        (method.upper(), path, operation)
        for path, methods in paths.items()
        for method, operation in methods.items()
        if method in ("get", "head", "options", "delete")
    ]


def failure_is_described(status: int, path: str) -> bool:
    """501 where a service is not offered, 503 where the full viewer is not installed."""
    if status == 501:
        return any(name in path for name in NOT_OFFERED)
    return status == 503 and path.startswith(VIEWERS)


@st.composite
def asked_of(draw: DrawFn, path: str, operation: dict[str, Any]) -> tuple[str, list[tuple[str, str]], str]:
    """A URL path, a query and an Accept that the description allows to be tried."""
    query = []
    for parameter in operation["parameters"]:
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", quote(draw(WORDS), safe=""))
        elif draw(st.integers(0, 3)) == 0:
            query.append((parameter["name"], draw(VALUES)))
    return path, query, draw(ACCEPTS)


@pytest.mark.parametrize("with_token", [True, False])
def test_no_route_fails_whatever_its_parameters_are(served: Any, with_token: bool) -> None:
    session = requests.Session()
    if with_token:
        session.headers["Authorization"] = f"Bearer {served.token}"
    deadline = time.monotonic() + LIMIT_S
    for method, path, operation in operations(served):
        examples = 4 if time.monotonic() < deadline else 1  # every route is driven; a busy machine drives it less
        drive(session, f"{method} {served.server.base}", (path, operation), examples)


def drive(session: requests.Session, at: str, described: tuple[str, dict[str, Any]], examples: int) -> None:
    path = described[0]
    method, _, base = at.partition(" ")

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(asked_of(*described))
    def ask(asked: tuple[str, list[tuple[str, str]], str]) -> None:
        url, query, accept = asked
        answer = session.request(
            method, base + url, params=query, headers={"Accept": accept}, allow_redirects=False, timeout=30
        )
        assert answer.status_code < 500 or failure_is_described(answer.status_code, path), (method, answer.url)

    ask()
