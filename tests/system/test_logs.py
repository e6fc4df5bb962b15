"""What the server writes down of its own faults: enough to find them, nothing of patients."""

import json
from pathlib import Path

import requests
from files import part10
from servers import running_server


def test_the_id_in_a_fault_s_answer_names_the_line_in_the_log_that_says_what_it_was(tmp_path: Path) -> None:
    file = part10(PatientName="Secret^Person", SOPInstanceUID="1.2.3.4.5.6")
    with running_server(tmp_path / "data") as server:
        headers = {"Authorization": f"Bearer {server.token('admin')}"}
        stored = requests.post(
            f"{server.dicomweb}/studies", data=file, headers=headers | {"Content-Type": "application/dicom"}, timeout=60
        )
        assert stored.status_code == 200
        (blob,) = [path for path in (server.data / "store" / "blobs").rglob("*") if path.is_file()]
        blob.unlink()
        url = f"{server.dicomweb}/studies/1.2.3/series/1.2.3.4/instances/1.2.3.4.5.6"
        answer = requests.get(url, headers=headers | {"Accept": "application/dicom"}, timeout=60)
    assert answer.status_code == 500
    log = (tmp_path / "data.log").read_text()
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    (line,) = [line for line in lines if line.get("request_id") == answer.json()["request_id"]]
    assert line["code"] == "store-error"
    assert "StoreError" in line["error"]
    assert "Secret" not in log
    assert "1.2.3.4.5.6" not in log
