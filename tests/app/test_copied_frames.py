"""Frames from their lossless HTJ2K copies, as clients of a server see them."""

import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
import requests
from files import part10, parts_of_related, related
from servers import Server, lightbox, running_server

HTJ2K, RPCL, EXPLICIT = "1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.1"
AS_STORED = "multipart/related; type=application/octet-stream; transfer-syntax=*"
OHIF = f"multipart/related; type=image/jphc; transfer-syntax={HTJ2K},{AS_STORED}"
SIDE, FRAMES = 128, 3
WAIT_S = 60.0
STUDY = "/studies/1.2.3/series/1.2.3.4/instances"


def slopes(frames: int = 1, seed: int = 0) -> np.ndarray[Any, Any]:
    slope = np.add.outer(np.arange(SIDE), np.arange(SIDE)).astype("<u2")
    return np.stack([slope + np.uint16(seed + frame) for frame in range(frames)])


def image(uid: str, samples: np.ndarray[Any, Any], **values: object) -> bytes:
    return part10(
        SOPInstanceUID=uid,
        Rows=SIDE,
        Columns=SIDE,
        BitsAllocated=16,
        BitsStored=12,
        HighBit=11,
        NumberOfFrames=len(samples),
        PixelData=samples.tobytes(),
        **values,
    )


class Client:
    """Someone with a token."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._token = server.token("admin")

    def get(self, path: str, accept: str) -> requests.Response:
        headers = {"Authorization": f"Bearer {self._token}", "Accept": accept}
        return requests.get(f"{self.server.dicomweb}{path}", headers=headers, timeout=60)

    def store(self, *files: bytes) -> None:
        body, content_type = related(list(files))
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": content_type}
        url = f"{self.server.dicomweb}/studies"
        assert requests.post(url, data=body, headers=headers, timeout=60).status_code == 200

    def part(self, path: str, accept: str) -> tuple[str, bytes]:
        """The type and the bytes of the only part."""
        answer = self.get(path, accept)
        assert answer.status_code == 200, answer.text
        head = answer.content.partition(b"\r\n\r\n")[0].decode()
        kind = next(line for line in head.splitlines() if line.startswith("Content-Type")).partition(": ")[2]
        (content,) = parts_of_related(answer.content, answer.headers["Content-Type"])
        return kind, content


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def copies_in(data: Path) -> list[Path]:
    return [path for path in (data / "copies").rglob("*") if path.is_file() and not path.name.endswith(".partial")]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("copied")
    (folder / "lightbox.toml").write_text("copy_frames = true\n")
    with running_server(folder / "data", "--config", str(folder / "lightbox.toml")) as server:
        client = Client(server)
        client.store(image("1.2.3.4.1", slopes()), image("1.2.3.4.2", slopes(FRAMES, 7)))
        until(lambda: len(copies_in(server.data)) == 2)
        yield client


def test_a_viewer_that_takes_htj2k_is_given_the_copy_and_others_what_is_stored(client: Client) -> None:
    kind, content = client.part(f"{STUDY}/1.2.3.4.1/frames/1", OHIF)
    assert kind == f"image/jphc; transfer-syntax={HTJ2K}"
    assert len(content) * 3 < SIDE * SIDE * 2
    assert np.array_equal(imagecodecs.htj2k_decode(content), slopes()[0])
    kind, content = client.part(f"{STUDY}/1.2.3.4.1/frames/1", AS_STORED)
    assert kind == f"application/octet-stream; transfer-syntax={EXPLICIT}"
    assert content == slopes().tobytes()


@pytest.mark.parametrize("syntax", [HTJ2K, RPCL])
def test_any_frame_of_an_object_is_given_in_both_syntaxes_that_a_copy_is_in(client: Client, syntax: str) -> None:
    path = f"{STUDY}/1.2.3.4.2/frames"
    answer = client.get(f"{path}/3,1", f"multipart/related; type=image/jphc; transfer-syntax={syntax}")
    frames = parts_of_related(answer.content, answer.headers["Content-Type"])
    single = client.get(f"{path}/2", f"image/jphc; transfer-syntax={syntax}")
    assert single.headers["Content-Type"] == f"image/jphc; transfer-syntax={syntax}"
    for number, frame in zip((3, 1, 2), (*frames, single.content), strict=True):
        assert np.array_equal(imagecodecs.htj2k_decode(frame), slopes(FRAMES, 7)[number - 1])


@pytest.mark.parametrize("syntax", [HTJ2K, RPCL])
def test_a_whole_instance_is_made_of_its_copies(client: Client, syntax: str) -> None:
    answer = client.get(f"{STUDY}/1.2.3.4.2", f"application/dicom; transfer-syntax={syntax}")
    dataset = pydicom.dcmread(io.BytesIO(answer.content))
    assert dataset.file_meta.TransferSyntaxUID == syntax
    assert np.array_equal(dataset.pixel_array, slopes(FRAMES, 7))
    as_stored = client.get(f"{STUDY}/1.2.3.4.2", "application/dicom; transfer-syntax=*")
    assert as_stored.headers["Content-Type"] == f"application/dicom; transfer-syntax={EXPLICIT}"


def test_a_link_to_another_study_gives_no_copied_frame(client: Client) -> None:
    other = part10(StudyInstanceUID="1.2.77", SeriesInstanceUID="1.2.77.1", SOPInstanceUID="1.2.77.1.1")
    client.store(other)
    link = client.server.share("1.2.77")
    session = requests.Session()
    share, _, secret = link.partition("#")
    share_id = share.rpartition("/")[2]
    opened = session.post(f"{client.server.base}/api/s/{share_id}/open", json={"secret": secret}, timeout=30)
    assert opened.status_code == 200
    root = f"{client.server.base}/s/{share_id}/dicom-web"
    assert session.get(f"{root}/studies/1.2.77/series", timeout=30).status_code == 200
    answer = session.get(f"{root}{STUDY}/1.2.3.4.1/frames/1", headers={"Accept": OHIF}, timeout=30)
    assert answer.status_code == 404


def test_a_frame_whose_copy_is_gone_is_given_all_the_same(client: Client) -> None:
    samples = slopes(1, 99)
    client.store(image("1.2.3.4.9", samples))
    before = set(copies_in(client.server.data))
    until(lambda: len(copies_in(client.server.data)) > len(before) or len(before) >= 3)
    for path in copies_in(client.server.data):
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
    path, accept = f"{STUDY}/1.2.3.4.9/frames/1", f"multipart/related; type=image/jphc; transfer-syntax={HTJ2K}"
    for _ in range(2):
        assert np.array_equal(imagecodecs.htj2k_decode(client.part(path, accept)[1]), samples[0])
    kind, content = client.part(path, OHIF)
    assert (kind.endswith(EXPLICIT), content) == (True, samples.tobytes())


def test_a_command_copies_what_is_stored_once(tmp_path: Path) -> None:
    data, folder = tmp_path / "data", tmp_path / "files"
    folder.mkdir()
    for number in range(4):
        (folder / f"{number}.dcm").write_bytes(image(f"1.2.3.4.{number}", slopes(1, number)))
    lightbox("import", "--data", str(data), str(folder))
    assert not copies_in(data)
    first = lightbox("transcode", "--data", str(data), "--to", "htj2k", "--study", "1.2.3")
    assert first.startswith("4 images copied to HTJ2K, 0 were there already")
    assert len(copies_in(data)) == 4
    second = lightbox("transcode", "--data", str(data), "--to", "htj2k")
    assert second.startswith("0 images copied to HTJ2K, 4 were there already")
    assert "removed" not in lightbox("verify", "--data", str(data))
    assert len(copies_in(data)) == 4
    with running_server(data) as server:
        client = Client(server)
        assert client.part(f"{STUDY}/1.2.3.4.2/frames/1", OHIF)[0].startswith("image/jphc")
        headers = {"Authorization": f"Bearer {server.token('admin')}"}
        answer = requests.delete(f"{server.dicomweb}/studies/1.2.3?purge=yes", headers=headers, timeout=30)
        assert answer.status_code == 200
        assert not copies_in(data)
