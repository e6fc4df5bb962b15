"""Kill -9 of all server processes while clients store, again and again: `python -m tests.kill_rounds --rounds 50`.

After each start everything that was acknowledged has to be there with its SHA-256, listed once; a request that was
under way is there whole or not at all; and no file is left that nothing names.
"""

import argparse
import hashlib
import random
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

sys.path.insert(0, str(Path(__file__).resolve().parent))

from files import part10, parts_of_related, related
from servers import Server, lightbox, start_server

BATCHES = (1, 1, 5, 20)
"""How many instances a request holds, chosen anew each time."""
WITHIN_S = 30.0
UID_TO_COME = f"2.25.{'1' * 30}"
PIXELS_TO_COME = b"\xa5" * 65536
AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Client(threading.Thread):
    """Stores instances of its own study, in requests of several sizes, until the server is gone."""

    def __init__(self, server: Server, token: str, seed: int) -> None:
        super().__init__()
        self._url, self._token, self._random = f"{server.dicomweb}/studies", token, random.Random(seed)
        self.study_uid = self._new_uid()
        self._template = part10(
            SOPInstanceUID=UID_TO_COME,
            StudyInstanceUID=self.study_uid,
            SeriesInstanceUID=f"{self.study_uid}.1",
            Rows=256,
            Columns=256,
            PixelData=PIXELS_TO_COME,
        )
        self.acknowledged: dict[str, str] = {}
        self.under_way: dict[str, bytes] = {}
        self.refused: list[str] = []
        self.begun = threading.Event()

    def run(self) -> None:
        while not self.refused:
            self.under_way = dict(self._made_file() for _ in range(self._random.choice(BATCHES)))
            self.begun.set()
            try:
                answer = self.store(self._url)
            except requests.RequestException:
                return
            if answer.status_code != 200:
                self.refused.append(answer.text)
                return
            self.note(answer)

    def _new_uid(self) -> str:
        return f"2.25.{self._random.randrange(10**29, 10**30)}"

    def _made_file(self) -> tuple[str, bytes]:
        """An instance of 256 × 256 samples: its UID and its bytes."""
        uid = self._new_uid()
        file = self._template.replace(UID_TO_COME.encode(), uid.encode())
        return uid, file.replace(PIXELS_TO_COME, self._random.randbytes(256) * 256)

    def store(self, url: str) -> requests.Response:
        """Send what is under way; of a single instance also without multipart."""
        files = list(self.under_way.values())
        body, content_type = (files[0], "application/dicom") if len(files) == 1 else related(files)
        headers = {"Content-Type": content_type, "Authorization": f"Bearer {self._token}"}
        return requests.post(url, data=body, headers=headers, timeout=60)

    def note(self, answer: requests.Response) -> None:
        for reference in answer.json()["00081199"]["Value"]:
            uid = reference["00081155"]["Value"][0]
            self.acknowledged[uid] = sha256(self.under_way[uid])
        self.under_way = {}


@dataclass(slots=True)
class Figures:
    """What the rounds found; `faults` has to stay empty."""

    acknowledged: int = 0
    under_way: int = 0
    under_way_kept: int = 0
    orphans: int = 0
    starts_s: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def text(self) -> str:
        starts = f"{statistics.median(self.starts_s):.2f} s, longest {max(self.starts_s):.2f} s"
        return (
            f"{len(self.starts_s)} rounds: {self.acknowledged} instances acknowledged, {len(self.faults)} faults; "
            f"{self.under_way} under way when the server was killed, of which {self.under_way_kept} were kept; "
            f"{self.orphans} files without a row were left by kills and swept at the start; ready in {starts}"
        )


class Rounds:
    """Rounds of one archive, whose folder they share."""

    def __init__(self, folder: Path, clients: int, seed: int) -> None:
        self._data, self._clients, self._random = folder / "data", clients, random.Random(seed)
        self._server = start_server(self._data, is_program=True)
        self._token = self._server.token("admin")
        self._all: list[Client] = []
        self.figures = Figures()

    def run(self, longest_s: float, *options: str) -> None:
        """Store for a random time of at most `longest_s`, kill, start again with the options, look."""
        clients = [Client(self._server, self._token, self._random.getrandbits(32)) for _ in range(self._clients)]
        for client in clients:
            client.start()
        for client in clients:
            client.begun.wait(WITHIN_S)
        time.sleep(self._random.uniform(0, longest_s))
        self._server.kill()
        for client in clients:
            client.join(WITHIN_S)
        before = self._blobs()
        began_s = time.monotonic()
        self._server = start_server(self._data, *options, is_program=True)
        self.figures.starts_s.append(time.monotonic() - began_s)
        self._look_after(self._server, clients, before)

    def close(self) -> None:
        if self._server.process.poll() is None:
            self._server.stop()

    def _look_after(self, server: Server, clients: list[Client], before: set[str]) -> None:
        found = {digest for client in clients for digest in self._look_at(server, client).values()}
        found |= {digest for client in self._all for digest in client.acknowledged.values()}
        self.figures.orphans += len(before - found)
        deadline_s = time.monotonic() + WITHIN_S
        while self._blobs() != found:
            if time.monotonic() > deadline_s:
                self._fault(f"{len(self._blobs() - found)} files without a row, {len(found - self._blobs())} missing")
                break
            time.sleep(0.05)
        if any((self._data / "store" / "drafts").iterdir()):
            self._fault("unfinished files are left")
        for client in clients:
            self._send_again(server, client)
        self._all += clients
        self.figures.acknowledged += sum(len(client.acknowledged) for client in clients)

    def _look_at(self, server: Server, client: Client) -> dict[str, str]:
        """Digests of what is listed of the client's study, which is what can be retrieved."""
        found = self._visible(server, client.study_uid)
        for uid, digest in client.acknowledged.items():
            if found.get(uid) != digest:
                self._fault(f"{uid} was acknowledged and is {'different' if uid in found else 'lost'}")
        extra = {uid for uid in found if uid not in client.acknowledged}
        if extra not in (set(), set(client.under_way)):
            self._fault(f"{len(extra)} of {len(client.under_way)} instances of a request that was not answered")
        if any(found[uid] != sha256(client.under_way[uid]) for uid in extra if uid in client.under_way):
            self._fault("an instance that was not acknowledged is different")
        self._faults_of(client)
        self.figures.under_way += len(client.under_way)
        self.figures.under_way_kept += len(extra)
        return found

    def _visible(self, server: Server, study_uid: str) -> dict[str, str]:
        """SHA-256 by SOP Instance UID. What is listed twice, cannot be retrieved or is counted otherwise is a fault."""
        listed = self._get(server, f"/studies/{study_uid}/instances?limit=5000").json()
        uids = [row["00080018"]["Value"][0] for row in listed]
        if not uids:
            return {}
        answer = self._get(server, f"/studies/{study_uid}", Accept=AS_STORED)
        if answer.status_code != 200:
            self._fault(f"a study is listed and its retrieval is {answer.status_code}")
            return {}
        parts = parts_of_related(answer.content, answer.headers["Content-Type"])
        files = {uid_of(part): sha256(part) for part in parts}
        if sorted(uids) != sorted(uid_of(part) for part in parts):
            self._fault(f"{len(uids)} instances listed, {len(parts)} retrieved")
        study = self._get(server, f"/studies?StudyInstanceUID={study_uid}").json()
        counted = [row["00201208"]["Value"][0] for row in study]
        if counted != [len(uids)]:
            self._fault(f"{len(uids)} instances listed, {counted} counted")
        return files

    def _faults_of(self, client: Client) -> None:
        for text in client.refused:
            self._fault(f"a store was refused: {text[:200]}")
        if client.is_alive():
            self._fault("a client still waits for an answer")

    def _send_again(self, server: Server, client: Client) -> None:
        """A client that got no answer sends the same again; that is a success, whether it was kept or not."""
        if client.under_way:
            answer = client.store(f"{server.dicomweb}/studies")
            if answer.status_code != 200:
                self._fault(f"the same again was answered {answer.status_code}")
                return
            client.note(answer)

    def look_at_all(self) -> None:
        """After the last round: everything of all rounds, by a server and by `lightbox verify`."""
        for client in self._all:
            if self._visible(self._server, client.study_uid) != client.acknowledged:
                self._fault("a study of an earlier round has changed")
        verified = lightbox("verify", "--data", str(self._data))
        if f"{self.figures.acknowledged} instances checked, 0 damaged or missing" not in verified:
            self._fault(verified)

    def _get(self, server: Server, path: str, **headers: str) -> requests.Response:
        headers = {"Authorization": f"Bearer {self._token}", **headers}
        return requests.get(f"{server.dicomweb}{path}", headers=headers, timeout=60)

    def _blobs(self) -> set[str]:
        return {path.name for path in (self._data / "store" / "blobs").glob("*/*")}

    def _fault(self, text: str) -> None:
        self.figures.faults.append(f"round {len(self.figures.starts_s)}: {text}")


def uid_of(file: bytes) -> str:
    """SOP Instance UID of a small file in Explicit VR Little Endian."""
    start = file.index(b"\x08\x00\x18\x00UI")
    length = int.from_bytes(file[start + 6 : start + 8], "little")
    return file[start + 8 : start + 8 + length].rstrip(b"\0").decode()


def kill_rounds(folder: Path, rounds: int, clients: int, **given: Any) -> Figures:
    """Every third start is of a server with two processes."""
    running = Rounds(folder, clients, given.get("seed", 1))
    try:
        for number in range(rounds):
            running.run(given.get("longest_s", 1.5), "--workers", "2" if number % 3 == 0 else "1")
            if given.get("is_told"):
                print(running.figures.text(), flush=True)
        running.look_at_all()
    finally:
        running.close()
    return running.figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--longest-s", type=float, default=1.5, help="a round is killed after a random part of this")
    options = parser.parse_args()
    print(f"seed {options.seed}")
    with tempfile.TemporaryDirectory() as folder:
        figures = kill_rounds(
            Path(folder),
            options.rounds,
            options.clients,
            seed=options.seed,
            longest_s=options.longest_s,
            is_told=True,
        )
    print(figures.text())
    print("\n".join(figures.faults))
    return 1 if figures.faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
