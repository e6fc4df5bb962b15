"""Start a Debian Orthanc with its DICOMweb plug-in for a comparison, on loopback, with nothing kept.

`python -m conformance.orthanc -- --json orthanc.json` starts it in a temporary folder, runs the suite with
the arguments behind `--`, and stops it. Needs the packages orthanc and orthanc-dicomweb.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from conformance.cli import main as run_suite

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
START_S = 30


def configuration(folder: Path, port: int) -> dict[str, object]:
    """Give the settings that differ from Orthanc's own: loopback, no DIMSE, public addresses with the port."""
    return {
        "Name": "conformance",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "index"),
        "Plugins": [str(PLUGIN)],
        "HttpPort": port,
        "HttpServerEnabled": True,
        "DicomServerEnabled": False,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "HttpDescribeErrors": True,
        "DefaultEncoding": "Utf8",
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "EnableWado": True, "WadoRoot": "/wado",
                     "Host": f"127.0.0.1:{port}", "Ssl": False},
    }  # fmt: skip


@contextmanager
def orthanc() -> Iterator[str]:
    """Run Orthanc for as long as the context lasts; give the base URL of its DICOMweb service."""
    program = shutil.which("Orthanc")
    if program is None or not PLUGIN.is_file():
        raise SystemExit("Orthanc or its DICOMweb plug-in is not installed (packages orthanc, orthanc-dicomweb)")
    with tempfile.TemporaryDirectory() as name, socket.socket() as probe:
        folder = Path(name)
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        settings = folder / "orthanc.json"
        settings.write_text(json.dumps(configuration(folder, port)), encoding="utf-8")
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen([program, str(settings)], stdout=log, stderr=log)  # noqa: S603 - found above
            try:
                _wait(port, process)
                yield f"http://127.0.0.1:{port}/dicom-web"
            finally:
                process.terminate()
                process.wait(timeout=START_S)


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise SystemExit("Orthanc did not start")


def main(arguments: Sequence[str]) -> int:
    given = [argument for argument in arguments if argument != "--"]
    with orthanc() as base_url:
        return run_suite(["--base", base_url, "--name", "Orthanc", *given])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
