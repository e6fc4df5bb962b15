"""Real files: those that pydicom ships, and those of ../shared/data where that is there.

A test that asks for `real_file` runs once for each; without the shared data it runs on pydicom's files alone, and the
report says so.
"""

from pathlib import Path

import pytest
from pydicom.data import get_testdata_files
from pydicom.misc import is_dicom

MOST = 6
SHARED = Path(__file__).parents[3] / "shared" / "data"


def _real_files() -> list[Path]:
    shipped = [Path(name) for name in get_testdata_files() if Path(name).is_file()]
    shared = [path for path in SHARED.rglob("*") if path.is_file() and "LICENSES" not in path.parts]
    files: dict[Path, list[Path]] = {}
    for path in sorted({*shipped, *shared}):
        if path.suffix != ".md" and is_dicom(path):
            files.setdefault(path.parent, []).append(path)
    # The slices of a series are alike: a few of each are enough. All files that pydicom ships differ.
    return [path for folder, paths in files.items() for path in paths[: None if SHARED not in folder.parents else MOST]]


def pytest_report_header() -> str:
    return f"DICOM files of ../shared/data: {'used' if SHARED.is_dir() else 'absent, pydicom ships the only real ones'}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "real_file" in metafunc.fixturenames:
        files = _real_files()
        metafunc.parametrize("real_file", files, ids=[f"{path.parent.name}/{path.name}" for path in files])
