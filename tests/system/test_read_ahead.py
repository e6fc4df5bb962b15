"""Who scrolls through pictures that have to be made finds the next ones made; who does not, makes no work."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from files import part10, related
from servers import Server, running_server

SLICES = 12
LIMIT_S = 20.0
SERIES = "/studies/1.2.3/series/1.2.3.4/instances"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with running_server(tmp_path / "data") as running:
        yield running


def stored(server: Server) -> dict[str, str]:
    """A series, stored in another order than that of its instance numbers."""
    headers = {"Authorization": f"Bearer {server.token('admin')}"}
    numbers = [number * 5 % SLICES for number in range(SLICES)]
    files = [part10(SOPInstanceUID=f"1.2.3.4.{n + 1}", InstanceNumber=n, PixelData=bytes([n] * 4)) for n in numbers]
    body, content_type = related(files)
    answer = requests.post(
        f"{server.dicomweb}/studies", data=body, headers=headers | {"Content-Type": content_type}, timeout=60
    )
    assert answer.status_code == 200
    return headers


def made(server: Server) -> int:
    return sum(path.is_file() and path.suffix == "" for path in (server.data / "derived").rglob("*"))


def settled(server: Server, count: int) -> bool:
    """Whether so many results come to be kept."""
    deadline = time.monotonic() + LIMIT_S
    while made(server) < count and time.monotonic() < deadline:
        time.sleep(0.02)
    return made(server) == count


def scrolled(server: Server, headers: dict[str, str], count: int) -> bool:
    """Go to and fro between two slices until so many results are kept."""
    deadline = time.monotonic() + LIMIT_S
    while made(server) < count and time.monotonic() < deadline:
        draw(server, headers, 4)
        draw(server, headers, 5)
    return settled(server, count)


def draw(server: Server, headers: dict[str, str], number: int) -> None:
    address = f"{server.dicomweb}{SERIES}/1.2.3.4.{number + 1}/rendered?viewport=64,64"
    assert requests.get(address, headers=headers, timeout=60).status_code == 200


def test_the_next_pictures_in_the_direction_of_scrolling_are_made(server: Server) -> None:
    headers = stored(server)
    draw(server, headers, 4)
    assert settled(server, 1)
    draw(server, headers, 5)
    assert settled(server, 5)  # both, and 6, 7, 8
    for number, count in ((6, 6), (7, 7), (8, 8)):  # 9, 10, 11; a step that comes while one is looked at is let go
        draw(server, headers, number)
        assert settled(server, count)
    draw(server, headers, 3)
    assert settled(server, 9)
    draw(server, headers, 2)
    assert settled(server, 12)  # 1 and 0


def test_stored_frames_and_leaps_make_no_work(server: Server) -> None:
    headers = stored(server)
    for number in range(4):
        address = f"{server.dicomweb}{SERIES}/1.2.3.4.{number + 1}/frames/1"
        assert requests.get(address, headers=headers, timeout=60).status_code == 200
    for number in (0, 6, 2, 11):
        draw(server, headers, number)
    draw(server, headers, 11)
    assert scrolled(server, headers, 10), "to and fro between 4 and 5: 7, 8, 3 and 1 beside them, and nothing else"
