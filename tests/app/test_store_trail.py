"""What the audit trail says of stores, on a running server."""

import json
from pathlib import Path

import requests
from files import part10, related
from servers import lightbox, running_server


def test_each_store_is_in_the_trail_once_for_each_study_with_its_count_and_who_sent_it(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        token = server.token("store")
        for study, numbers in (("1.2.3", (1, 2)), ("1.2.3", (3,)), ("1.2.4", (4,))):
            files = [part10(StudyInstanceUID=study, SOPInstanceUID=f"1.2.9.{number}") for number in numbers]
            body, content_type = related(files)
            headers = {"Authorization": f"Bearer {token}", "Content-Type": content_type}
            assert requests.post(f"{server.dicomweb}/studies", body, headers=headers, timeout=60).status_code == 200
        refused = requests.post(
            f"{server.dicomweb}/studies/9.9", body, headers=headers, timeout=60
        )  # the instance is of another study
        assert refused.status_code == 409
    lines = [json.loads(line) for line in lightbox("audit", "export", "--data", str(server.data)).splitlines()]
    stores = [(line["who"], line["study_uid"], line["count"]) for line in lines if line["action"] == "store"]
    assert stores == [
        ("test store (token 1)", "1.2.3", 2),
        ("test store (token 1)", "1.2.3", 1),
        ("test store (token 1)", "1.2.4", 1),
    ]
