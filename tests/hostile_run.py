"""Everything hostile against a real server: `python -m tests.hostile_run [--only WORD]`.

No answer may be a 5xx but those that are due, every refusal has an id and gives nothing of the inside away, what was
stored before is unchanged, and the memory of all processes comes back.
"""

import argparse
import hashlib
import json
import os
import re
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import pydicom
import requests
from pydicom.data import get_testdata_file

sys.path.insert(0, str(Path(__file__).resolve().parent))

import hostile_files
import hostile_pixels
import hostile_requests
import hostile_sockets
from files import parts_of_related
from hostile_requests import Hostile, Raw
from servers import Server, running_server

from conformance.bench.processes import family

DUE = {501, 503, 505, 507}
"""The 5xx that may be: a shortage that passes, and what HTTP itself demands."""
WITHIN_S = 30.0
QUIET_S = 4.0
GROWTH = 0.20
SETTINGS = {"LIGHTBOX_IDLE_TIMEOUT_S": "5", "LIGHTBOX_BODY_IDLE_S": "2"}
GOOD = (
    "CT_small.dcm",
    "JPEG2000.dcm",
    "SC_rgb_rle_2frame.dcm",
    "examples_jpeg2k.dcm",
    "MR_small_RLE.dcm",
    "image_dfl.dcm",
    "SC_rgb_jpeg_dcmtk.dcm",
    "JPGExtended.dcm",
)
AS_STORED = {
    "Accept": ", ".join(
        f"application/dicom; transfer-syntax={syntax}" for syntax in ("*", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2")
    )
}
INSIDE = re.compile(r"Traceback|File \"|\.py\b|site-packages|sqlite|/tmp/|/home/|/usr/|root:x:0")
STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")
FOLLOWING = ("/metadata", "", "/frames/1", "/rendered", "/thumbnail", "/bulkdata/7FE00010", "/frames/1/rendered")

Case = tuple[str, bytes | Hostile | Raw]


def cases() -> Iterator[Case]:
    """Every hostile input: a file, a request or bytes for a socket."""
    for module in (hostile_files, hostile_pixels, hostile_requests, hostile_sockets):
        for one in module.SETS:
            yield from one()


@dataclass(slots=True)
class Figures:
    cases: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    stored: int = 0
    slowest: tuple[float, str] = (0.0, "")
    memory_before: int = 0
    memory_after: int = 0
    memory_most: int = 0
    faults: list[str] = field(default_factory=list)

    def text(self) -> str:
        before, after, most = (value / (1 << 20) for value in (self.memory_before, self.memory_after, self.memory_most))
        told = ", ".join(f"{status or 'closed'}: {count}" for status, count in sorted(self.statuses.items()))
        return (
            f"{self.cases} hostile inputs, {self.stored} of them stored; answers {told}; {len(self.faults)} faults; "
            f"slowest {self.slowest[0]:.1f} s ({self.slowest[1]}); memory of all processes {before:.0f} MiB before, "
            f"at most {most:.0f} MiB, {after:.0f} MiB after ({after / before - 1:+.0%})"
        )


class Trial:
    """One server, what it held before, and what it answers."""

    def __init__(self, server: Server) -> None:
        self.server, self.token = server, server.token("admin")
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {self.token}"
        self.figures = Figures()
        self.uids: dict[str, str] = {}
        self._hidden = [self.token, str(server.data)]
        self._images: list[str] = []

    def run(self, only: str = "", *, every: int = 1, grown_bytes: int = 0, is_told: bool = False) -> Figures:
        """Send each `every`th input; what the processes may have grown by is a fifth, or `grown_bytes` if more."""
        self._fill()
        before = self._warmed_up()
        figures = self.figures
        figures.memory_before = figures.memory_most = memory_bytes(self.server)
        for name, case in islice((case for case in cases() if only in case[0]), 0, None, every):
            began_s = time.monotonic()
            self._try(name, case)
            took_s = time.monotonic() - began_s
            figures.cases += 1
            figures.slowest = max(figures.slowest, (took_s, name))
            if is_told and took_s > 1:
                print(f"{name} took {took_s:.1f} s", flush=True)
            if figures.cases % 5 == 0 or took_s > 0.5:
                figures.memory_most = max(figures.memory_most, memory_bytes(self.server))
        self._study_of_all("/metadata", "/instances?limit=5000&includefield=all", "/rendered")
        after = self._snapshot()
        figures.faults += [f"{path} has changed" for path in before if before[path] != after.get(path)]
        if self.server.process.poll() is not None:
            figures.faults.append("the server has ended")
        figures.memory_after = self._settled_memory(grown_bytes)
        return figures

    def _fill(self) -> None:
        for name in GOOD:
            data = Path(str(get_testdata_file(name))).read_bytes()
            answer = self.session.post(
                f"{self.server.dicomweb}/studies", data=data, headers={"Content-Type": "application/dicom"}, timeout=60
            )
            assert answer.status_code in (200, 202), (name, answer.text)
            dataset = pydicom.dcmread(str(get_testdata_file(name)), stop_before_pixels=True)
            uids = (dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID)
            self.uids = self.uids or dict(zip(("study", "series", "instance"), map(str, uids), strict=True))
            self._images.append("/studies/{}/series/{}/instances/{}".format(*uids))

    def _warmed_up(self) -> dict[str, str]:
        """What honest clients do, a few at a time, so that every process has come to its size."""
        for number in range(4):  # honest files with long headers fill the caches of the database up
            name = f"honest-{number}"
            items = hostile_files.element(0x00081140, b"SQ", (hostile_files.ITEM + bytes(4)) * 100_000)
            self._store(name, hostile_files.small(name, {0x00081140: items}))
        with ThreadPoolExecutor(4) as threads:
            # Each picture in sizes of its own, so that every decoder has met every codec.
            addresses = [f"{image}/rendered?viewport={side},{side}" for side in range(20, 32) for image in self._images]
            list(threads.map(lambda path: self.session.get(self.server.dicomweb + path, timeout=60), addresses))
            snapshots = list(threads.map(lambda _: self._snapshot(), range(8)))
        assert all(one == snapshots[0] for one in snapshots)
        return snapshots[0]

    def _snapshot(self) -> dict[str, str]:
        """SHA-256 of everything that is served of what was stored before."""
        found = {}
        for image in self._images:
            for path, accept in (
                (image, AS_STORED["Accept"]),
                (f"{image}/metadata", "application/dicom+json"),
                (f"{image}/frames/1", 'multipart/related; type="application/octet-stream"; transfer-syntax=*'),
                (f"{image}/rendered", "image/png"),
                (f"{image.partition('/series')[0]}/instances?includefield=all", "application/dicom+json"),
            ):
                answer = self.session.get(self.server.dicomweb + path, headers={"Accept": accept}, timeout=60)
                body, kind = answer.content, answer.headers.get("Content-Type", "")
                content = b"".join(parts_of_related(body, kind)) if kind.startswith("multipart/") else body
                found[f"{path} {accept}"] = f"{answer.status_code} {hashlib.sha256(content).hexdigest()}"
        return found

    def _settled_memory(self, grown_bytes: int) -> int:
        """The least that is seen within some seconds: workers let go of what they held one after another."""
        least, before = memory_bytes(self.server), self.figures.memory_before
        wanted = before + max(before * GROWTH / 2, grown_bytes)
        deadline_s = time.monotonic() + 40
        while least > wanted and time.monotonic() < deadline_s:
            time.sleep(0.5)
            least = min(least, memory_bytes(self.server))
        return least

    def _try(self, name: str, case: bytes | Hostile | Raw) -> None:
        try:
            if isinstance(case, bytes):
                self._store(name, case)
            elif isinstance(case, Hostile):
                self._request(name, case)
            else:
                self._raw(name, case)
        except requests.RequestException as error:
            self._fault(name, f"no answer: {type(error).__name__}")

    def _store(self, name: str, file: bytes) -> None:
        url = f"{self.server.dicomweb}/studies"
        answer = self.session.post(url, data=file, headers={"Content-Type": "application/dicom"}, timeout=WITHIN_S)
        self._look(name, answer)
        if answer.status_code not in (200, 202):
            return
        self.figures.stored += 1
        where = answer.json()["00081199"]["Value"][0]["00081190"]["Value"][0]
        for path in FOLLOWING:
            self._look(f"{name}{path}", self.session.get(where + path, timeout=WITHIN_S))
        kept = self.session.get(where, headers=AS_STORED, timeout=WITHIN_S)
        if kept.status_code == 200:
            if kept.content != file:
                self._fault(name, "what was stored is not what was sent")
            if kept.headers.get("X-Content-Type-Options") != "nosniff":
                self._fault(name, "a file may be sniffed")

    def _study_of_all(self, *paths: str) -> None:
        for path in paths:
            url = f"{self.server.dicomweb}/studies/{hostile_files.STUDY}{path}"
            answer = self.session.get(url, headers={"Accept": "*/*"}, timeout=60)
            self._look(f"the study of all that was stored: {path}", answer)
            if answer.headers.get("Content-Type") == "application/dicom+json":
                json.loads(answer.text, parse_constant=self._no_json)

    def _no_json(self, constant: str) -> None:
        self._fault("metadata", f"{constant} is no JSON")

    def _prepared(self, case: Hostile) -> requests.PreparedRequest:
        path = case.path
        for key, value in {**self.uids, "token": self.token}.items():
            path = path.replace(f"{{{key}}}", value)
        token = f"Bearer {self.token}" if case.token is None else case.token.replace("{token}", self.token)
        token = token.replace("{token:.10}", self.token[:10])
        headers = {**case.headers, **({"Authorization": token} if token else {})}
        prepared = requests.Request(case.method, self.server.base, data=case.body or None).prepare()
        prepared.url = self.server.base + path  # as it is written here, not as requests would put it right
        prepared.headers.update({key: value.encode("utf-8") for key, value in headers.items()})
        return prepared

    def _request(self, name: str, case: Hostile) -> None:
        with requests.Session() as session:
            try:
                answer = session.send(self._prepared(case), timeout=WITHIN_S, allow_redirects=False)
            except requests.ConnectionError:
                if not case.body:
                    raise
                self._count(name, 0, case.refused)  # refused before the body was read, and closed
                return
        self._look(name, answer, case.refused)
        if 401 in case.refused and answer.status_code == 401 and "WWW-Authenticate" not in answer.headers:
            self._fault(name, "401 says not how to sign in")

    def _look(self, name: str, answer: requests.Response, refused: tuple[int, ...] = ()) -> None:
        self._count(name, answer.status_code, refused)
        if "X-Injected" in answer.headers:
            self._fault(name, "a header was injected")
        if answer.status_code >= 400:
            request_id = answer.headers.get("X-Request-Id", "")
            self._look_at_refusal(name, answer.text, request_id, answer.headers.get("Content-Type", ""))

    def _look_at_refusal(self, name: str, body: str, request_id: str, kind: str) -> None:
        if "json" not in kind and not request_id:
            self._fault(name, f"a refusal is {kind}: {body[:80]}")
        elif not (request_id or json.loads(body).get("request_id")):
            self._fault(name, "a refusal has no id")
        if INSIDE.search(body) or any(text in body for text in self._hidden):
            self._fault(name, f"a refusal gives something away: {body[:200]}")

    def _raw(self, name: str, case: Raw) -> None:
        received = b""
        closed = False
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=QUIET_S) as client:
            try:
                client.sendall(case.sent.replace(b"{token}", self.token.encode()))
                while more := client.recv(1 << 16):
                    received += more
                closed = True
            except TimeoutError:
                pass
            except ConnectionError:
                closed = True
        statuses = [int(status) for status in STATUS.findall(received)]
        self._count(name, statuses[0] if statuses else 0 if closed else -1, case.refused)
        if case.is_one and len(statuses) > 1:
            self._fault(name, f"one message got {statuses}")
        if statuses and statuses[0] >= 400:
            if case.is_one and not closed and statuses[0] == 400:
                self._fault(name, "the connection stays open after a message that cannot be read")
            head, _, body = received.partition(b"\r\n\r\n")
            rows = [row.partition(b":") for row in head.split(b"\r\n")]
            fields = {key.lower(): value.strip() for key, _, value in rows}
            text = body[: int(fields.get(b"content-length", len(body)))].decode("utf-8", "replace")
            told = (fields.get(field, b"").decode() for field in (b"x-request-id", b"content-type"))
            self._look_at_refusal(name, text, *told)

    def _count(self, name: str, status: int, refused: tuple[int, ...]) -> None:
        self.figures.statuses[status] += 1
        if (status >= 500 and status not in DUE) or status < 0:
            self._fault(name, f"answered {status if status > 0 else 'by nothing'}")
        elif refused and status not in refused and not (status == 0 and 400 in refused):
            self._fault(name, f"answered {status}, not {' or '.join(map(str, refused))}")

    def _fault(self, name: str, text: str) -> None:
        self.figures.faults.append(f"{name}: {text}")


def memory_bytes(server: Server) -> int:
    """What the server's processes hold themselves; pages of files that are mapped are the system's to drop."""
    total = 0
    for pid in family([server.process.pid]):
        try:
            rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(row.split()[1]) << 10 for row in rows if row.startswith(("Pss_Anon:", "Pss_Shmem:")))
    return total


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", metavar="WORD", help="inputs whose name holds this")
    options = parser.parse_args()
    os.environ.update(SETTINGS)
    with tempfile.TemporaryDirectory() as folder, running_server(Path(folder) / "data", is_program=True) as server:
        figures = Trial(server).run(options.only, is_told=True)
        print(figures.text())
        print("\n".join(figures.faults))
    return 1 if figures.faults or figures.memory_after > figures.memory_before * (1 + GROWTH) else 0


if __name__ == "__main__":
    raise SystemExit(main())
