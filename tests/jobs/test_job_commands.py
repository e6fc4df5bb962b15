"""`lightbox jobs …`: what each kind does, and what is said of it."""

import os
import re
from pathlib import Path

from files import part10
from servers import lightbox, run_lightbox

STUDY = "1.2.3"


def queued(data: Path, kind: str, *arguments: str) -> str:
    """Put a job in, do it, and show it."""
    job_id = lightbox("jobs", "add", kind, "--data", str(data), *arguments).strip()
    lightbox("jobs", "work", "--data", str(data))
    return lightbox("jobs", "show", "--data", str(data), job_id)


def a_folder(folder: Path, count: int) -> Path:
    (folder / "DIR 1" / "sub").mkdir(parents=True)
    for number in range(count):
        place = folder / ("DIR 1/sub" if number % 2 else "DIR 1")
        (place / f"IM{number}").write_bytes(part10(SOPInstanceUID=f"{STUDY}.4.{number}"))
    return folder


def test_an_import_takes_in_a_folder_with_all_in_it_and_once_more_changes_nothing(tmp_path: Path) -> None:
    folder = a_folder(tmp_path / "disc", 150)
    (folder / "cut.dcm").write_bytes(part10()[:-2])
    os.mkfifo(folder / "pipe")
    (tmp_path / "elsewhere.dcm").write_bytes(part10())
    (folder / "leads out").symlink_to(tmp_path / "elsewhere.dcm")
    (folder / os.fsdecode(b"no \xff text")).write_bytes(part10())
    shown = queued(tmp_path / "data", "import", str(folder))
    assert "done, 152 of 152, 0 failed" in shown
    assert "new: 151" in shown
    assert "cut.dcm: The file is cut short" in shown
    again = queued(tmp_path / "data", "import", str(folder))
    assert "new: 0" in again
    assert "already_there: 151" in again


def test_a_verify_names_what_is_damaged_and_sets_it_aside(tmp_path: Path) -> None:
    data = tmp_path / "data"
    lightbox("import", "--data", str(data), str(a_folder(tmp_path / "disc", 120)))
    assert "done, 120 of 120" in queued(data, "verify")
    blob = next(path for path in (data / "store" / "blobs").rglob("*") if path.is_file())
    blob.chmod(0o600)
    blob.write_bytes(blob.read_bytes()[:-1] + b"\xff")
    shown = queued(data, "verify")
    assert "damaged: 1" in shown
    assert re.search(rf"{STUDY}\.4\.\d+: ", shown)
    assert not blob.exists()


def test_a_transcode_copies_one_study_or_all_and_leaves_alone_what_is_there(tmp_path: Path) -> None:
    data = tmp_path / "data"
    side = 32
    pixels = b"".join((row + column).to_bytes(2, "little") for row in range(side) for column in range(side))
    image = {"Rows": side, "Columns": side, "BitsAllocated": 16, "BitsStored": 12, "HighBit": 11, "PixelData": pixels}
    (tmp_path / "disc").mkdir()
    for number, study in enumerate((STUDY, STUDY, "1.2.9")):
        uids = {"StudyInstanceUID": study, "SeriesInstanceUID": f"{study}.1", "SOPInstanceUID": f"{study}.1.{number}"}
        (tmp_path / "disc" / f"IM{number}").write_bytes(part10(**image, **uids))
    lightbox("import", "--data", str(data), str(tmp_path / "disc"))
    assert "copied: 2" in queued(data, "transcode", "--study", STUDY)
    shown = queued(data, "transcode")
    assert "done, 3 of 3" in shown
    assert "copied: 1" in shown
    assert "there: 2" in shown


def test_jobs_are_listed_with_their_progress_and_can_be_cancelled(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    lightbox("import", "--data", data, str(a_folder(tmp_path / "disc", 2)))
    first = lightbox("jobs", "add", "verify", "--data", data).strip()
    second = lightbox("jobs", "add", "verify", "--quick", "--data", data).strip()
    lightbox("jobs", "cancel", "--data", data, second)
    lightbox("jobs", "work", "--data", data)
    listed = [line.split("\t")[:5] for line in lightbox("jobs", "list", "--data", data).splitlines()]
    assert listed == [
        [second, "verify", "cancelled", "0 of 0", "0 failed"],
        [first, "verify", "done", "2 of 2", "0 failed"],
    ]
    again = run_lightbox("jobs", "cancel", "--data", data, first)
    assert (again.returncode, again.stderr) == (1, "lightbox: The job has ended already: it is done.\n")
    assert run_lightbox("jobs", "show", "--data", data, "99").returncode == 1


def test_a_folder_that_is_not_there_is_told_when_the_job_is_put_in(tmp_path: Path) -> None:
    refused = run_lightbox("jobs", "add", "import", "--data", str(tmp_path / "data"), str(tmp_path / "nowhere"))
    assert refused.returncode == 2
    assert "is no folder" in refused.stderr


def test_a_folder_that_goes_away_makes_the_job_incomplete_and_says_why(tmp_path: Path) -> None:
    folder = a_folder(tmp_path / "disc", 1)
    lightbox("jobs", "add", "import", "--data", str(tmp_path / "data"), str(folder))
    folder.rename(tmp_path / "gone")
    lightbox("jobs", "work", "--data", str(tmp_path / "data"))
    shown = lightbox("jobs", "show", "--data", str(tmp_path / "data"), "1")
    assert "incomplete" in shown
    assert "It cannot be read or written: No such file or directory." in shown
