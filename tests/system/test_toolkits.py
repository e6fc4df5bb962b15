"""dicom3tools and DCMTK on real files as they come back in Explicit VR Little Endian: no new error, all readable."""

import subprocess
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
import requests

pytestmark = pytest.mark.filterwarnings("ignore")  # pydicom, on the oddities of real files
MOST_OF_A_SERIES = 3
LEAST_COMPARED = 50
LIMIT_S = 60
UNREADABLE = "Dicom dataset read failed"  # dciodvfy of a deflated original, which it does not inflate


def chosen(filled: Any) -> list[tuple[str, str, str]]:
    """A few instances of each series: study, series and instance UID."""
    taken: dict[tuple[str, str], list[str]] = {}
    for study, members in sorted(filled.studies.items()):
        for series, uid in sorted(members):
            taken.setdefault((study, series), []).append(uid)
    return [(*place, uid) for place, uids in taken.items() for uid in uids[:MOST_OF_A_SERIES]]


def explicit(filled: Any, study: str, series: str, uid: str) -> bytes | None:
    """The instance in the default transfer syntax, None where the server says that it cannot."""
    url = f"{filled.server.dicomweb}/studies/{study}/series/{series}/instances/{uid}"
    headers = {"Authorization": f"Bearer {filled.token}", "Accept": "application/dicom"}
    answer = requests.get(url, headers=headers, timeout=LIMIT_S)
    if answer.status_code == 406:
        return None
    assert answer.status_code == 200
    return answer.content


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=LIMIT_S, check=False)


def errors(path: Path) -> set[str]:
    """The lines in which dciodvfy calls something an error."""
    done = run("dciodvfy", str(path))
    assert done.returncode >= 0, done.stderr[-300:]
    return {line for line in done.stderr.splitlines() if line.startswith("Error")}


def has_wide_samples(data: bytes) -> bool:
    """Whether samples have more than 16 bits: at these, when native, dciodvfy stops with an assertion of its own."""
    return int(pydicom.dcmread(BytesIO(data), stop_before_pixels=True).get("BitsAllocated", 0)) > 16


def test_dciodvfy_finds_no_error_that_the_original_had_not(filled: Any, tmp_path: Path) -> None:
    before, after, compared = tmp_path / "before.dcm", tmp_path / "after.dcm", 0
    new: dict[str, set[str]] = {}
    for study, series, uid in chosen(filled):
        data = explicit(filled, study, series, uid)
        if data is None or has_wide_samples(data):
            continue
        before.write_bytes(filled.stored[uid])
        after.write_bytes(data)
        found = errors(before)
        if not any(UNREADABLE in line for line in found):
            compared += 1
            new[uid] = errors(after) - found
    assert {uid: lines for uid, lines in new.items() if lines} == {}
    assert compared >= LEAST_COMPARED


def test_dcmdump_reads_all_that_comes_back(filled: Any, tmp_path: Path) -> None:
    path, unread = tmp_path / "after.dcm", []
    for study, series, uid in chosen(filled):
        data = explicit(filled, study, series, uid)
        if data is None:
            continue
        path.write_bytes(data)
        done = run("dcmdump", "+P", "SOPInstanceUID", str(path))
        if done.returncode != 0 or f"[{uid}]" not in done.stdout:
            unread.append((uid, done.stderr[-200:]))
    assert unread == []
