"""Describe the server as OpenAPI 3.1, from the routes that it has and the tables that they were made from.

Every route of the router is described: a DICOMweb one by its transaction, any other by its handler's docstring.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import hdrs, web

from archive.attributes import ATTRIBUTES
from archive.dicomweb.payload import Answer, root_of, send_answer
from archive.dicomweb.transactions import Transaction

OPENAPI_VERSION = "3.1.0"
ANY_METHOD = (hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_POST, hdrs.METH_PUT, hdrs.METH_DELETE, hdrs.METH_OPTIONS)
PROBLEM: Mapping[str, Any] = {
    "type": "object",
    "required": ["status", "code", "message", "request_id"],
    "properties": {
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "message": {"type": "string"},
        "parameter": {"type": "string", "description": "The parameter at fault."},
        "available": {"type": "array", "items": {"type": "string"}},
        "request_id": {"type": "string"},
    },
}
_WHOLE_NUMBERS = frozenset({"limit", "offset", "rows", "columns", "frameNumber", "imageQuality", "quality"})
_SWITCHES = frozenset({"fuzzymatching", "emptyvaluematching", "multiplevaluematching"})
_KEYWORDS = {attribute.keyword: tag for tag, attribute in ATTRIBUTES.items()}
_VARIABLE = re.compile(r"{(\w+)}")


@dataclass(frozen=True, slots=True)
class Description:
    """What the whole description says of itself. `tables` are the transactions below each root, by its path."""

    title: str
    version: str
    tables: Mapping[str, Sequence[Transaction]]

    def transactions(self) -> dict[tuple[str, str], Transaction]:
        """Each transaction by method and path template, HEAD with GET."""
        found = {}
        for root, table in self.tables.items():
            for one in table:
                found[one.method, root + one.template] = one
                if one.method == hdrs.METH_GET:
                    found[hdrs.METH_HEAD, root + one.template] = one
        return found


def openapi_routes(description: Description) -> list[web.RouteDef]:
    """`/openapi.json` for the whole server, `{root}/openapi.json` for what lies below one root."""

    return [
        web.get("/openapi.json", _Described(description, "").send),
        *(web.get(f"{root}/openapi.json", _Described(description, root).send) for root in description.tables if root),
    ]


class _Described:
    """The description below a root, or of all; made once, when the router has every route."""

    def __init__(self, description: Description, root: str) -> None:
        self._description, self._root = description, root
        self._made: dict[str, Any] | None = None

    async def send(self, request: web.Request) -> web.StreamResponse:
        """The description of the resources below this root, as OpenAPI 3.1."""
        if self._made is None:
            self._made = describe(request.app.router, self._description, self._root)
        url = str(root_of(request)) if self._root else "/"
        body = orjson.dumps({**self._made, "servers": [{"url": url}]})
        return await send_answer(request, Answer(body, media_type="application/json"))


def describe(router: web.UrlDispatcher, description: Description, prefix: str = "") -> dict[str, Any]:
    """Everything that lies below a path; the paths in the description are relative to it."""
    known = description.transactions()
    paths: dict[str, dict[str, Any]] = {}
    names: set[str] = set()
    for method, template, handler in routes_of(router):
        if not f"{template}/".startswith(f"{prefix}/"):
            continue
        path = template.removeprefix(prefix) or "/"
        operation = _operation(method, template, handler, known.get((method, template)))
        operation["parameters"] = [_path_parameter(name) for name in _VARIABLE.findall(path)] + operation["parameters"]
        operation["operationId"] = _unused(operation["operationId"], names)
        paths.setdefault(path, {})[method.lower()] = operation
    return {
        "openapi": OPENAPI_VERSION,
        "info": {"title": description.title, "version": description.version},
        "paths": paths,
        "components": {
            "schemas": {"Problem": PROBLEM},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "the share's session cookie"},
            },
        },
    }


def routes_of(router: web.UrlDispatcher) -> Iterable[tuple[str, str, Callable[..., Any]]]:
    """Method, path template and handler of every route; a route for any method is given for each."""
    for route in router.routes():
        if route.resource is None:
            continue
        methods = ANY_METHOD if route.method == hdrs.METH_ANY else (route.method,)
        for method in methods:
            yield method, route.resource.canonical, route.handler


def _operation(
    method: str, template: str, handler: Callable[..., Any], transaction: Transaction | None
) -> dict[str, Any]:
    said = inspect.getdoc(handler) or ""
    operation: dict[str, Any] = {
        "operationId": transaction.name if transaction else getattr(handler, "__name__", "send"),
        "summary": said.partition("\n")[0] or (transaction.name if transaction else ""),
        "parameters": [],
        "responses": {
            "2XX": {"description": "Done."},
            "default": {
                "description": "Not done; the body says why.",
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
            },
        },
    }
    if template.startswith(("/s/", "/api/")):
        operation["security"] = [{"session": []}]
    elif template.startswith(("/dicom-web", "/wado")):
        operation["security"] = [{"token": []}]
    if transaction is not None:
        _add_transaction(operation, method, transaction)
    elif method == hdrs.METH_POST:
        operation["requestBody"] = {"content": {"application/json": {"schema": {"type": "object"}}}}
    return operation


def _add_transaction(operation: dict[str, Any], method: str, transaction: Transaction) -> None:
    operation["tags"] = [transaction.section]
    operation["parameters"] += [_query_parameter(name) for name in transaction.parameters]
    if transaction.produces and method != hdrs.METH_HEAD:
        operation["responses"]["2XX"]["content"] = {kind: {} for kind in transaction.produces}
    if transaction.consumes:
        operation["requestBody"] = {"required": True, "content": {kind: {} for kind in transaction.consumes}}


def _path_parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _query_parameter(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    if name in _WHOLE_NUMBERS:
        schema = {"type": "integer", "minimum": 0}
    elif name in _SWITCHES:
        schema = {"type": "boolean"}
    parameter = {"name": name, "in": "query", "schema": schema}
    if name in _KEYWORDS:
        parameter["description"] = f"Matched; also as {_KEYWORDS[name]}."
    return parameter


def _unused(name: str, names: set[str]) -> str:
    number, found = 1, name
    while found in names:
        number += 1
        found = f"{name}{number}"
    names.add(found)
    return found
