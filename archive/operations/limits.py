"""How much one client, and all together, may ask of a server process at once: one table, held for every request.

Whoever has a credential is counted by it, anybody else by network. Limits on single requests (bytes, parts, frames that
wait, tries) stand with what they bound; the README's table names them all.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from archive.errors import BusyError, TooManyRequestsError
from archive.operations.metrics import METRICS
from auth.access import ACCESS, principal_of
from auth.limits import network_of
from auth.principals import Kind

RETRY_AFTER_S = 2
JSON_KINDS = ("application/dicom+json", "application/dicom+xml")


@dataclass(frozen=True, slots=True)
class Limit:
    """`one` client gets 429 beyond it, `together` all get 503; both with Retry-After."""

    name: str
    counted: str
    one: int
    together: int


CONNECTIONS = Limit(
    "connections", "Open connections; for one network it holds once half of all are taken; 503 for both", 256, 2048
)
REQUESTS = Limit("requests", "Requests under way", 128, 1024)
STORES = Limit("stores", "Store requests under way, about 4 MiB of memory each", 16, 64)
METADATA_STORES = Limit("metadata_stores", "Those of metadata and bulk data, up to 128 MiB of memory each", 2, 4)
DRAWINGS = Limit("drawings", "Rendered pictures and thumbnails under way", 64, 512)
BUNDLES = Limit("bundles", "Bundles of a study under way", 4, 32)
LIMITS = (CONNECTIONS, REQUESTS, STORES, METADATA_STORES, DRAWINGS, BUNDLES)


class Turnstile:
    """Counts what is under way in this process, by limit and client."""

    def __init__(self, limits: tuple[Limit, ...] = LIMITS) -> None:
        self._limits: Mapping[str, Limit] = {limit.name: limit for limit in limits}
        self._together: Counter[str] = Counter()
        self._each: Counter[tuple[str, str]] = Counter()

    @contextmanager
    def passed(self, name: str, client: str) -> Iterator[None]:
        """Count one while it is under way. Raises TooManyRequestsError, BusyError."""
        self.enter(name, client)
        try:
            yield
        finally:
            self.leave(name, client)

    def enter(self, name: str, client: str) -> None:
        """Count one that is under way until `leave`. Raises TooManyRequestsError, BusyError; then it is not counted."""
        limit = self._limits[name]
        if self._each[name, client] >= limit.one:
            message = f"You have too many requests under way ({name}: {limit.one} at once)."
            raise TooManyRequestsError(message, retry_after_s=RETRY_AFTER_S)
        if self._together[name] >= limit.together:
            raise BusyError(f"The server has too many requests under way ({name}).", retry_after_s=RETRY_AFTER_S)
        self._together[name] += 1
        self._each[name, client] += 1

    def leave(self, name: str, client: str) -> None:
        """One that was counted has ended."""
        self._together[name] -= 1
        left = self._each[name, client] - 1
        if left:
            self._each[name, client] = left
        else:
            del self._each[name, client]


TURNSTILE: web.AppKey[Turnstile] = web.AppKey("TURNSTILE", Turnstile)


@web.middleware
async def limits_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Hold the table; comes after the middleware that states who asks. Health and metrics are always answered."""
    if is_free(request.path):
        return await handler(request)
    turnstile, client = request.app[TURNSTILE], client_of(request)
    under_way: list[str] = []
    try:
        for name in limits_on(request):
            try:
                turnstile.enter(name, client)
            except (TooManyRequestsError, BusyError):
                request.app[METRICS].refused(name)
                raise
            under_way.append(name)
        return await handler(request)
    finally:
        for name in under_way:
            turnstile.leave(name, client)


def is_free(path: str) -> bool:
    return path.startswith("/health/") or path == "/metrics"


def client_of(request: web.Request) -> str:
    """Whom a request is counted for: the token, session or ticket; the network where there is none."""
    principal = principal_of(request)
    if principal.kind is Kind.NOBODY:
        return network_of(request.app[ACCESS].address_of(request))
    return f"{principal.kind} {principal.session_id} {principal.label}"


def limits_on(request: web.Request) -> list[str]:
    """The limits that a request counts for, by the form of its path."""
    names = [REQUESTS.name]
    segments = [segment for segment in request.path.split("/") if segment]
    if "dicom-web" not in segments[:3]:
        return names
    last = segments[-1]
    if request.method == hdrs.METH_POST and "studies" in segments[-2:]:
        names.append(STORES.name)
        if any(kind in request.headers.get(hdrs.CONTENT_TYPE, "").lower() for kind in JSON_KINDS):
            names.append(METADATA_STORES.name)
    elif last in ("rendered", "thumbnail"):
        names.append(DRAWINGS.name)
    elif last == "bundle":
        names.append(BUNDLES.name)
    return names


def table() -> str:
    """The limits as the README shows them."""
    rows = ["| limit | one client | all | what is counted, in each server process |", "|---|---|---|---|"]
    rows += [f"| `{limit.name}` | {limit.one} | {limit.together} | {limit.counted}. |" for limit in LIMITS]
    return "\n".join(rows)
