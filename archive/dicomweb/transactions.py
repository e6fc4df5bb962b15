"""What a DICOMweb transaction is, as data: routes, capabilities and the API description are all made from it.

A package has one table of transactions. What is in no table is no route, and what is a route is described.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from aiohttp import hdrs, web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
WADL = "application/vnd.sun.wadl+xml"
WADL_NAMESPACE = "http://wadl.dev.java.net/2009/02"


@dataclass(frozen=True, slots=True)
class Transaction:
    """One method on one resource below a DICOMweb root.

    `section` is that of PS3.18; "extension" for what is ours. `produces` and `consumes` are media types, the default
    first; `parameters` are query parameters that the resource knows.
    """

    method: str
    path: str
    name: str
    section: str
    handler: Handler
    produces: tuple[str, ...] = ()
    consumes: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()

    def route(self, root: str) -> web.RouteDef:
        """The route below a root; HEAD goes with GET."""
        if self.method == hdrs.METH_GET:
            return web.get(root + self.path, self.handler)
        return web.route(self.method, root + self.path, self.handler)

    @property
    def template(self) -> str:
        """The path as a URI template: variables without the patterns that routes give them."""
        return "/".join(
            f"{segment.partition(':')[0]}}}" if ":" in segment else segment for segment in self.path.split("/")
        )


def describe_wadl(transactions: Iterable[Transaction], base: str) -> bytes:
    """The capabilities of a root (PS3.18 §8.9, Annex H)."""
    by_path: dict[str, list[Transaction]] = {}
    for transaction in transactions:
        by_path.setdefault(transaction.template, []).append(transaction)
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', f'<application xmlns="{WADL_NAMESPACE}">']
    lines.append(f"<resources base={quoteattr(base + '/')}>")
    for path, methods in by_path.items():
        lines.append(f"<resource path={quoteattr(path.lstrip('/'))}>")
        lines += [_describe_method(transaction) for transaction in methods]
        lines.append("</resource>")
    lines += ["</resources>", "</application>"]
    return "\n".join(lines).encode()


def _describe_method(transaction: Transaction) -> str:
    parameters = "".join(f'<param name={quoteattr(name)} style="query"/>' for name in transaction.parameters)
    consumes = "".join(f"<representation mediaType={quoteattr(kind)}/>" for kind in transaction.consumes)
    produces = "".join(f"<representation mediaType={quoteattr(kind)}/>" for kind in transaction.produces)
    return (
        f"<method name={quoteattr(transaction.method)} id={quoteattr(transaction.name)}>"
        f"<doc>{escape(transaction.section)}</doc>"
        f"<request>{parameters}{consumes}</request><response>{produces}</response></method>"
    )
