"""Damaged bytes are never served as a complete answer; what lies beside them is."""

from pathlib import Path

import pytest
import requests
from files import part10, related
from servers import Server, running_server


def stored(server: Server, headers: dict[str, str]) -> list[bytes]:
    files = [part10(SOPInstanceUID=f"1.2.3.4.{number}", PixelData=bytes([number] * 4)) for number in (1, 2)]
    body, content_type = related(files)
    answer = requests.post(
        f"{server.dicomweb}/studies", data=body, headers=headers | {"Content-Type": content_type}, timeout=60
    )
    assert answer.status_code == 200
    return files


def damage(server: Server, file: bytes) -> None:
    blobs = (path for path in (server.data / "store" / "blobs").rglob("*") if path.is_file())
    path = next(path for path in blobs if path.read_bytes() == file)
    path.chmod(0o644)
    path.write_bytes(file[:-1] + b"\xff")


def test_a_damaged_instance_is_an_error_a_series_with_it_breaks_off_and_its_neighbour_is_given(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        headers = {"Authorization": f"Bearer {server.token('admin')}"}
        sound, damaged = stored(server, headers)
        damage(server, damaged)
        series = f"{server.dicomweb}/studies/1.2.3/series/1.2.3.4"
        single = headers | {"Accept": "application/dicom"}
        assert requests.get(f"{series}/instances/1.2.3.4.1", headers=single, timeout=60).content == sound
        refused = requests.get(f"{series}/instances/1.2.3.4.2", headers=single, timeout=60)
        assert refused.status_code == 500
        assert refused.json()["code"] == "store-error"
        with pytest.raises(requests.RequestException):
            requests.get(series, headers=headers, timeout=60)
