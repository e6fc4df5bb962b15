"""Retrieve Capabilities: OPTIONS on a root and on each of its resources (PS3.18 §8.9, Annex H).

What is described is the routes, not what is stored: the same for everyone, so nobody need be known to ask.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from aiohttp import hdrs, web

from archive.dicomweb.media_types import Offer, negotiate
from archive.dicomweb.payload import root_of
from archive.dicomweb.transactions import Transaction

WADL = "application/vnd.sun.wadl+xml"
WADL_NAMESPACE = "http://wadl.dev.java.net/2009/02"
OFFERS = (Offer(WADL), Offer("application/json", rank=1))


def capability_routes(root: str, transactions: Sequence[Transaction]) -> list[web.RouteDef]:
    """OPTIONS on the root, with and without a slash at its end, and on every resource of the table."""
    whole = _Capabilities(transactions, "")
    templates = {transaction.path: transaction.template for transaction in transactions}
    return [
        *(web.options(root + path, whole.send) for path in ("", "/")),
        *(web.options(root + path, _Capabilities(transactions, own).send) for path, own in templates.items()),
    ]


class _Capabilities:
    """What a resource can do, and what those below it can."""

    def __init__(self, transactions: Sequence[Transaction], template: str) -> None:
        self._described = [one for one in transactions if f"{one.template}/".startswith(f"{template}/")]
        self._allow = ", ".join(allowed_methods(one for one in transactions if one.template == template))

    async def send(self, request: web.Request) -> web.Response:
        """Describe the resource and those below it, as WADL or as JSON."""
        offer = negotiate(request.headers.getall(hdrs.ACCEPT, []), request.query.getall("accept", []), OFFERS)
        base = str(root_of(request))
        if offer.media_type == WADL:
            body = describe_wadl(self._described, base)
        else:
            body = json.dumps(describe_json(self._described, base)).encode()
        headers = {hdrs.ALLOW: self._allow, hdrs.CONTENT_TYPE: offer.media_type, hdrs.VARY: hdrs.ACCEPT}
        return web.Response(body=body, headers=headers)


def allowed_methods(transactions: Iterable[Transaction]) -> list[str]:
    """The methods of one resource: those of its transactions, HEAD with GET, and OPTIONS."""
    methods = {transaction.method for transaction in transactions} | {hdrs.METH_OPTIONS}
    if hdrs.METH_GET in methods:
        methods.add(hdrs.METH_HEAD)
    return sorted(methods)


def describe_json(transactions: Iterable[Transaction], base: str) -> dict[str, Any]:
    """The same as `describe_wadl` says, as a JSON object."""
    resources = [
        {"path": path.lstrip("/"), "methods": [_method_json(one) for one in methods]}
        for path, methods in _by_template(transactions).items()
    ]
    return {"base": f"{base}/", "resources": resources}


def _method_json(transaction: Transaction) -> dict[str, Any]:
    return {
        "name": transaction.method,
        "id": transaction.name,
        "section": transaction.section,
        "parameters": list(transaction.parameters),
        "consumes": list(transaction.consumes),
        "produces": list(transaction.produces),
    }


def describe_wadl(transactions: Iterable[Transaction], base: str) -> bytes:
    """The capabilities of a root as WADL, one `resource` for each path."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', f'<application xmlns="{WADL_NAMESPACE}">']
    lines.append(f"<resources base={quoteattr(base + '/')}>")
    for path, methods in _by_template(transactions).items():
        lines.append(f"<resource path={quoteattr(path.lstrip('/'))}>")
        lines += [_template_parameter(segment) for segment in path.split("/") if segment.startswith("{")]
        lines += [_method_wadl(transaction) for transaction in methods]
        lines.append("</resource>")
    lines += ["</resources>", "</application>"]
    return "\n".join(lines).encode()


def _by_template(transactions: Iterable[Transaction]) -> dict[str, list[Transaction]]:
    found: dict[str, list[Transaction]] = {}
    for transaction in transactions:
        found.setdefault(transaction.template, []).append(transaction)
    return found


def _template_parameter(segment: str) -> str:
    return f'<param name={quoteattr(segment.strip("{}"))} style="template" required="true"/>'


def _method_wadl(transaction: Transaction) -> str:
    parameters = "".join(f'<param name={quoteattr(name)} style="query"/>' for name in transaction.parameters)
    consumes = "".join(f"<representation mediaType={quoteattr(kind)}/>" for kind in transaction.consumes)
    produces = "".join(f"<representation mediaType={quoteattr(kind)}/>" for kind in transaction.produces)
    return (
        f"<method name={quoteattr(transaction.method)} id={quoteattr(transaction.name)}>"
        f"<doc>{escape(transaction.section)}</doc>"
        f"<request>{parameters}{consumes}</request><response>{produces}</response></method>"
    )
