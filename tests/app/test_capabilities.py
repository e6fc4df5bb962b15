"""OPTIONS on a root and on every resource; 405 elsewhere."""

from typing import Any
from xml.etree import ElementTree as ET

import pytest
import requests

from archive.app import TABLES

WADL = "application/vnd.sun.wadl+xml"
NS = "{http://wadl.dev.java.net/2009/02}"


@pytest.mark.parametrize("path", ["", "/"])
def test_a_root_describes_every_transaction_as_wadl(served: Any, path: str) -> None:
    answer = served.ask(path, "OPTIONS", WADL, token=None)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == WADL
    assert answer.headers["Allow"] == "OPTIONS"
    resources = ET.fromstring(answer.content).find(f"{NS}resources")
    assert resources is not None
    assert resources.get("base") == f"{served.server.dicomweb}/"
    described = {
        (f"/{resource.get('path')}", method.get("name"))
        for resource in resources.iter(f"{NS}resource")
        for method in resource.iter(f"{NS}method")
    }
    assert described == {(one.template, one.method) for one in TABLES["/dicom-web"]}


def test_without_accept_it_is_wadl_and_json_for_who_asks(served: Any) -> None:
    assert served.ask("/", "OPTIONS", "*/*").headers["Content-Type"] == WADL
    answer = served.ask("/", "OPTIONS", "application/json")
    assert {resource["path"] for resource in answer.json()["resources"]} >= {"studies", "instances"}
    assert served.ask("/", "OPTIONS", "image/png").status_code == 406


def test_every_resource_answers_options_with_its_methods(served: Any) -> None:
    for transaction in TABLES["/dicom-web"]:
        path = transaction.template.replace("{study}", "1.2").replace("{series}", "1.3").replace("{instance}", "1.4")
        path = path.replace("{frames}", "1").replace("{path}", "7FE00010")
        answer = served.ask(path, "OPTIONS", "*/*")
        assert answer.status_code == 200, path
        assert transaction.method in answer.headers["Allow"].split(", ")
        assert "OPTIONS" in answer.headers["Allow"]


def test_a_share_root_describes_itself_under_its_own_base(served: Any) -> None:
    link = served.server.share("1.2.3")
    share = link.partition("#")[0]
    answer = served.ask(f"{share}/dicom-web/", "OPTIONS", "*/*", token=None)
    assert f'base="{share}/dicom-web/"' in answer.text


def test_a_method_that_is_not_there_is_405_with_allow(served: Any) -> None:
    for path in ("/studies", "/studies/1.2/metadata", "/", ""):
        answer = served.ask(path, "PATCH")
        assert answer.status_code == 405, path
        assert "OPTIONS" in answer.headers["Allow"]


def test_a_preflight_of_a_browser_stays_one(served: Any) -> None:
    headers = {"Origin": "https://viewer.example", "Access-Control-Request-Method": "GET"}
    answer = requests.options(f"{served.server.dicomweb}/studies", headers=headers, timeout=30)
    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
