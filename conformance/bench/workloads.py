"""What is asked, how often and by how many: one row of the result for each workload."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from conformance.bench.corpus import FRAMES, SIDE, SYNTAXES, Corpus, Template, fresh, picture, template

BOUNDARY = "bench-boundary-7d1f"
OCTETS = 'multipart/related; type="application/octet-stream"'
DICOM = 'multipart/related; type="application/dicom"'
JSON = "application/dicom+json"
FRAME_TYPES = {"J2K": "image/jp2", "JPEG-LS": "image/jls", "RLE": "image/dicom-rle", "HTJ2K": "image/jphc"}
COLD_PER_ROUND = 40
STOW_FORMS = ((1, 1, 50), (1, 4, 80), (10, 1, 80), (10, 4, 160), (50, 1, 100), (50, 4, 200))
"""Instances in a request, clients, instances in a round."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server listens, which processes it is, how it is spoken to."""

    name: str
    base: str
    pids: tuple[int, ...] = ()
    token: str = ""

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.base)
        return parts.hostname or "127.0.0.1", parts.port or 80

    def get(self, path: str, accept: str, coding: str = "identity") -> bytes:
        """The bytes of a GET."""
        return self._head("GET", path, f"Accept: {accept}\r\nAccept-Encoding: {coding}\r\n") + b"\r\n"

    def post(self, files: Sequence[bytes]) -> bytes:
        """The bytes of a store of these files."""
        opening = f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        body = b"".join(part for file in files for part in (opening, file, b"\r\n"))
        body += f"--{BOUNDARY}--\r\n".encode()
        kind = f'Content-Type: multipart/related; type="application/dicom"; boundary={BOUNDARY}\r\n'
        head = self._head("POST", "/studies", f"{kind}Accept: {JSON}\r\nContent-Length: {len(body)}\r\n")
        return head + b"\r\n" + body

    def _head(self, method: str, path: str, headers: str) -> bytes:
        parts = urlsplit(self.base)
        authorization = f"Authorization: Bearer {self.token}\r\n" if self.token else ""
        return f"{method} {parts.path}{path} HTTP/1.1\r\nHost: {parts.netloc}\r\n{authorization}{headers}".encode()


@dataclass(frozen=True, slots=True)
class Workload:
    """One kind of request. `cold`: each path is asked once in the whole run; else again and again."""

    name: str
    clients: int
    paths: tuple[str, ...]
    accept: str
    coding: str = "identity"
    cold: bool = False
    limited: bool = True
    """Whether nginx can send the same bytes from files."""

    def requests(self, server: Server, round_number: int) -> Iterator[bytes]:
        """Requests of one round; they end by themselves only where the workload is cold."""
        if self.cold:
            start = round_number * COLD_PER_ROUND
            return iter([server.get(p, self.accept, self.coding) for p in self.paths[start : start + COLD_PER_ROUND]])
        shuffled = list(self.paths)
        random.Random(round_number).shuffle(shuffled)  # noqa: S311 - an order, not a secret
        return itertools.cycle([server.get(path, self.accept, self.coding) for path in shuffled])


@dataclass(frozen=True, slots=True)
class Store:
    """Stores of new instances."""

    per_request: int
    clients: int
    instances: int

    @property
    def name(self) -> str:
        return f"STOW, {self.per_request} per request"

    def requests(self, server: Server, slice_template: Template) -> list[bytes]:
        files = fresh(slice_template, self.instances)
        return [server.post(files[at : at + self.per_request]) for at in range(0, len(files), self.per_request)]


def store_workloads() -> list[Store]:
    return [Store(*form) for form in STOW_FORMS]


def slice_template() -> Template:
    return template(picture(2))


def read_workloads(corpus: Corpus) -> list[Workload]:
    """Everything that reads, in the order in which it runs."""
    stored = f"{OCTETS}; transfer-syntax=*"
    slices = tuple(f"{named.path}/frames/1" for named in corpus.series)
    first = corpus.series[0]
    series = f"/studies/{first.study}/series/{first.series}"
    multi = corpus.multi_frame.path if corpus.multi_frame else ""
    multi_paths = tuple(f"{multi}/frames/{number}" for number in range(1, FRAMES + 1))
    loads = [Workload("stored frame, 512 KB", clients, slices, stored) for clients in (1, 8, 32)]
    for name, kind in FRAME_TYPES.items():
        paths = tuple(f"{named.path}/frames/1" for named in corpus.compressed[name])
        accept = f'multipart/related; type="{kind}"; transfer-syntax={SYNTAXES[name]}'
        loads.append(Workload(f"stored {name} frame", 8, paths, accept))
    loads += [Workload(f"random frame of {FRAMES}", clients, multi_paths, stored) for clients in (1, 8)]
    loads += [Workload("metadata of 500", clients, (f"{series}/metadata",), JSON) for clients in (1, 4)]
    loads += [Workload("metadata of 500, gzip", clients, (f"{series}/metadata",), JSON, "gzip") for clients in (1, 4)]
    loads += [Workload("metadata of one", 8, tuple(f"{named.path}/metadata" for named in corpus.series), JSON)]
    loads += [Workload("one instance", 8, tuple(named.path for named in corpus.series), f"{DICOM}; transfer-syntax=*")]
    loads += [Workload("series of 500", clients, (series,), f"{DICOM}; transfer-syntax=*") for clients in (1, 2)]
    return loads + _made_workloads(corpus) + _search_workloads(corpus)


def _made_workloads(corpus: Corpus) -> list[Workload]:
    """What has to be decoded or drawn."""
    loads = []
    explicit = f"{OCTETS}; transfer-syntax=1.2.840.10008.1.2.1"
    for name in SYNTAXES:
        paths = tuple(f"{named.path}/frames/1" for named in corpus.compressed[name])
        loads.append(Workload(f"{name} → Explicit LE, cold", 8, paths, explicit, cold=True, limited=False))
        loads.append(Workload(f"{name} → Explicit LE, repeated", 8, paths[:COLD_PER_ROUND], explicit, limited=False))
    paths = tuple(f"{named.path}/rendered?viewport={SIDE},{SIDE}" for named in corpus.series)
    for clients, start in ((1, 0), (4, 3 * COLD_PER_ROUND)):
        own = paths[start : start + 3 * COLD_PER_ROUND]
        loads.append(Workload("rendered 512, cold", clients, own, "image/jpeg", cold=True, limited=False))
        loads.append(Workload("rendered 512, repeated", clients, own[:COLD_PER_ROUND], "image/jpeg", limited=False))
    return loads


def _search_workloads(corpus: Corpus) -> list[Workload]:
    queries = {
        "PatientID": [f"PatientID=BENCHID{number:06d}" for number in range(len(corpus.small))],
        "AccessionNumber": [f"AccessionNumber=BENCHACC{number:05d}" for number in range(len(corpus.small))],
        "StudyInstanceUID": [f"StudyInstanceUID={named.study}" for named in corpus.small],
        "one week": [f"StudyDate={year}0610-{year}0616&limit=100" for year in range(2005, 2026)],
        "name prefix": ["PatientName=BENCHNAME01*&limit=100"],
        "name infix": ["PatientName=*NAME01*&limit=100"],
        "fuzzy name": ["PatientName=BENCHNAME0100&fuzzymatching=true&limit=100"],
        "page 1": ["limit=50"],
        "page 9": ["limit=50&offset=400"],
    }
    return [
        Workload(
            f"QIDO {key}, {len(corpus.small):,} studies",
            8,
            tuple(f"/studies?{query}" for query in each),
            JSON,
            limited=False,
        )
        for key, each in queries.items()
    ]
