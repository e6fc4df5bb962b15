"""Other people's clients do their work with Lightbox; `python -m conformance.clients` has those of slides too.

Their environments stay in `.check/clients`, so that only the first run installs anything.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import ROOT, Server, free_port, running_server

from conformance.clients.cli import main
from conformance.clients.samples import make_samples
from conformance.clients.slide import make_slide
from conformance.clients.task import Task
from conformance.clients.upload import store

KEPT = ROOT / ".check" / "clients"
QUICK = ("command line", "DCMTK", "GDCM", "dciodvfy", "dicomweb-client (npm)", "dicomtrolley", "dicom-image-loader")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    """A running server and a token that may store."""
    with running_server(tmp_path_factory.mktemp("clients") / "data") as server:
        yield server, server.token("admin")


@pytest.mark.parametrize("client", QUICK)
def test_a_client_of_other_people_does_its_work(client: str, served: tuple[Server, str], tmp_path: Path) -> None:
    server, token = served
    results = tmp_path / "rows.json"
    arguments = ["--base", server.dicomweb, "--token", token, "--only", client, "--keep", str(KEPT)]
    status = main([*arguments, "--json", str(results)])
    rows = json.loads(results.read_text(encoding="utf-8"))
    wrong = [
        f"{row['client']}: {row['step']['does']}: {row['step']['detail']}" for row in rows if not row["step"]["ok"]
    ]
    assert (status, wrong) == (0, [])
    assert rows


@pytest.mark.filterwarnings("ignore")  # pydicom, on the oddities of its sample
def test_a_decoded_picture_that_differs_makes_the_step_fail(served: tuple[Server, str], tmp_path: Path) -> None:
    server, token = served
    samples, slide = make_samples(tmp_path, "CLWRONG"), make_slide(tmp_path, "CLWRONG")
    store(server.dicomweb, token, [sample.path for sample in samples])
    described = [
        {
            "name": sample.name,
            "study": sample.study,
            "series": sample.series,
            "instance": sample.instance,
            "pixel_sum": sample.pixel_sum + 1,
        }
        for sample in samples
    ]
    task = Task(server.dicomweb, token, tmp_path, "CLWRONG", described, [], {"path": str(slide.path)})
    task.write(tmp_path / "task.json")
    command = [sys.executable, "-W", "ignore", "-m", "conformance.clients.drive_toolkits", str(tmp_path / "task.json")]
    done = subprocess.run([*command, "gdcm"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    steps = [json.loads(line) for line in done.stdout.splitlines()]
    assert [step["ok"] for step in steps] == [False, True]
    assert "pixel sum" in steps[0]["detail"]


def test_a_server_that_is_not_there_makes_the_command_fail(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--base", f"http://127.0.0.1:{free_port()}/dicom-web", "--only", "DCMTK"]) == 1
    assert "could not be stored" in capsys.readouterr().err
