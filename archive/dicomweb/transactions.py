"""What a DICOMweb transaction is, as data: routes, capabilities and the API description are all made from it.

A package has one table of transactions. What is in no table is no route, and what is a route is described.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import hdrs, web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


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
