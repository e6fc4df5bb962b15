"""What a case function holds: the server, the corpus, and a record of what went over the wire."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urljoin, urlsplit

from conformance.corpus import Corpus
from conformance.model import Exchange, Failure, NotOffered, Skipped
from conformance.samples import Sample
from conformance.wire import Request, Response, Wire, exchange_of, show_request

JSON = "application/dicom+json"
XML = 'multipart/related; type="application/dicom+xml"'
DICOM = 'multipart/related; type="application/dicom"'
OCTETS = 'multipart/related; type="application/octet-stream"'
MAX_SHOWN_EXCHANGES = 6
_REFUSALS = frozenset({400, 404, 405, 406, 415, 501})


@dataclass(slots=True)
class Session:
    """One run against one server; `stored` tells what became of each sample at the start of the run."""

    wire: Wire
    corpus: Corpus
    stored: dict[str, str] = field(default_factory=dict)
    _metadata: dict[str, Response] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def metadata_once(self, path: str, probe: Probe) -> Response:
        """Ask for a metadata resource once per run: many cases read the same answer."""
        with self._lock:
            known = self._metadata.get(path)
        if known is None:
            known = probe.get(f"{path}/metadata", JSON)
            with self._lock:
                self._metadata[path] = known
        else:
            probe.exchanges.append(exchange_of(Request("GET", probe.target(f"{path}/metadata")), known))
        return known


@dataclass(slots=True)
class Probe:
    session: Session
    exchanges: list[Exchange] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def corpus(self) -> Corpus:
        return self.session.corpus

    def note(self, text: str) -> None:
        self.notes.append(text)

    def sample(self, name: str) -> Sample:
        """Give a sample that the server holds; the case is skipped when it was refused at the start."""
        sample = self.corpus[name]
        state = self.session.stored.get(name)
        if state is not None:
            raise Skipped(f"the server did not store the sample “{name}”: {state}")
        return sample

    def target(self, path: str, query: str = "") -> str:
        """Join a path below the base URL, as it goes into the request line."""
        base = urlsplit(self.session.wire.base_url).path.rstrip("/")
        return base + path + (f"?{query}" if query else "")

    def send(self, request: Request) -> Response:
        """Send, record, hand back; a connection that dies is the server's failure."""
        try:
            response = self.session.wire.send(request)
        except OSError as error:
            self.exchanges.append(Exchange(show_request(request), f"no answer: {error}"))
            raise
        if len(self.exchanges) < MAX_SHOWN_EXCHANGES:
            self.exchanges.append(exchange_of(request, response))
        return response

    def get(
        self, path: str, accept: str | None = None, query: str = "", headers: Mapping[str, str] | None = None
    ) -> Response:
        """GET a resource below the base URL. `query` is already encoded; no Accept is sent for None."""
        sent = [("Accept", accept)] if accept is not None else []
        sent += list((headers or {}).items())
        return self.send(Request("GET", self.target(path, query), tuple(sent)))

    def get_url(self, url: str, accept: str | None = None, headers: Mapping[str, str] | None = None) -> Response:
        """GET an address that the server handed out; it must be on this server (Failure otherwise)."""
        absolute = self.absolute(url)
        base, found = urlsplit(self.session.wire.base_url), urlsplit(absolute)
        if (found.scheme, found.netloc) != (base.scheme, base.netloc):
            raise Failure(f"the address handed out is on another authority: {found.scheme}://{found.netloc}")
        sent = [("Accept", accept)] if accept is not None else []
        sent += list((headers or {}).items())
        target = found.path + (f"?{found.query}" if found.query else "")
        return self.send(Request("GET", target, tuple(sent)))

    def absolute(self, url: str) -> str:
        return urljoin(self.session.wire.base_url.rstrip("/") + "/", url)

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Response:
        return self.send(Request("POST", self.target(path), tuple(headers.items()), body))

    def search(self, path: str, keys: Mapping[str, str] | Iterable[tuple[str, str]] = (), raw: str = "") -> Response:
        """Search with JSON asked for; keys are percent-encoded here, `raw` goes out as it is."""
        return self.get(path, JSON, query_of(keys, raw))


def query_of(keys: Mapping[str, str] | Iterable[tuple[str, str]], raw: str = "") -> str:
    pairs = keys.items() if isinstance(keys, Mapping) else keys
    encoded = "&".join(f"{name}={quote(value, safe='*?,/')}" for name, value in pairs)
    return "&".join(piece for piece in (encoded, raw) if piece)


def expect_status(response: Response, *allowed: int) -> None:
    if response.status not in allowed:
        wanted = " or ".join(str(status) for status in allowed)
        raise Failure(f"status {response.status} {response.reason}; expected {wanted}")


def offered(response: Response, *allowed: int) -> None:
    """For an optional feature: a refusal that the standard knows is `not offered`, anything else is judged."""
    if response.status in _REFUSALS and response.status not in allowed:
        raise NotOffered(f"status {response.status} {response.reason}")
    expect_status(response, *allowed)


def expect(is_so: bool, otherwise: str) -> None:
    if not is_so:
        raise Failure(otherwise)


def expect_type(response: Response, *essences: str) -> None:
    found = response.media_type.essence
    if found not in essences:
        raise Failure(f"Content-Type is {found or 'missing'}; expected {' or '.join(essences)}")
