"""What Prometheus reads."""

import re

import requests
from servers import lightbox, running_server

UID = re.compile(r"\d+\.\d+\.\d+\.\d+|1\.2\.3")


def test_requests_are_counted_by_the_template_of_their_route(operated):
    before = operated.metric("lightbox_requests_total")
    for _ in range(5):
        operated.get("/dicom-web/studies/1.2.3/series")
    operated.get("/dicom-web/studies/1.2.3.99/metadata")
    text = operated.get("/metrics").text
    assert re.search(
        r'lightbox_requests_total\{method="GET",route="/dicom-web/studies/\{study\}/series",status="2xx"', text
    )
    assert operated.metric("lightbox_requests_total") >= before + 6


def test_no_uid_and_nothing_that_was_asked_for_stands_in_the_metrics(operated):
    operated.get("/dicom-web/studies?PatientName=Quastenflosser")
    operated.get("/no-such-thing-as-quastenflosser")
    requests.request("PATCH", operated.server.base, timeout=60)
    labels = [line for line in operated.get("/metrics").text.splitlines() if not line.startswith("#")]
    assert not [line for line in labels if UID.search(line.rpartition(" ")[0]) or "quastenflosser" in line.lower()]
    assert 'method="other"' in "\n".join(labels)
    assert 'route="none"' in "\n".join(labels)


def test_what_is_stored_and_owed_is_told(operated):
    assert operated.metric("lightbox_stored_instances") == 1
    assert operated.metric("lightbox_stored_studies") == 1
    assert operated.metric("lightbox_stored_bytes") > 100
    assert operated.metric("lightbox_database_bytes") > 100_000
    assert operated.metric("lightbox_disk_free_bytes") > 0
    assert operated.metric("lightbox_process_memory_bytes") > 10 << 20
    assert operated.metric("lightbox_connections") >= 1
    assert 'lightbox_outbox_messages{state="failed"} 0.0' in operated.get("/metrics").text
    assert "lightbox_jobs_waiting 0.0" in operated.get("/metrics").text
    assert "lightbox_decoding_queued 0.0" in operated.get("/metrics").text


def test_only_tokens_that_may_read_everything_read_the_metrics(operated):
    url = f"{operated.server.base}/metrics"
    assert requests.get(url, timeout=60).status_code == 401
    assert operated.get("/metrics", operated.server.token("store")).status_code == 403
    assert operated.get("/metrics", operated.server.token("read")).status_code == 200


def test_the_age_of_the_last_verify_is_told_once_there_was_one(tmp_path):
    with running_server(tmp_path / "data") as server:
        headers = {"Authorization": f"Bearer {server.token('read')}"}
        assert "lightbox_verify_age_seconds" not in requests.get(f"{server.base}/health/ready", timeout=60).text
        lightbox("verify", "--data", str(tmp_path / "data"))
        text = requests.get(f"{server.base}/metrics", headers=headers, timeout=60).text
    age_s = float(re.search(r"^lightbox_verify_age_seconds (\S+)$", text, re.MULTILINE)[1])
    assert 0 <= age_s < 60
    assert "lightbox_verify_damaged 0.0" in text


def test_a_setting_opens_the_metrics_to_an_address(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_METRICS_OPEN_TO", '["127.0.0.1"]')
    monkeypatch.setenv("LIGHTBOX_TRUSTED_PROXIES", '["127.0.0.1"]')
    with running_server(tmp_path / "data") as server:
        assert requests.get(f"{server.base}/metrics", timeout=60).status_code == 200
        forwarded = {"X-Forwarded-For": "203.0.113.7"}
        assert requests.get(f"{server.base}/metrics", headers=forwarded, timeout=60).status_code == 401
