"""An archive at work moves from SQLite to a real PostgreSQL, and nothing that was acknowledged stays behind."""

import pytest
import requests
from databases import postgresql
from files import part10, related
from servers import lightbox, run_lightbox, running_server

pytestmark = pytest.mark.sqlite  # it begins there, whatever the other tests run on


def store(server, token, number):
    body, content_type = related([part10(StudyInstanceUID=f"1.2.{number}", SOPInstanceUID=f"1.2.{number}.3")])
    headers = {"Authorization": f"Bearer {token}", "Content-Type": content_type}
    return requests.post(f"{server.dicomweb}/studies", data=body, headers=headers, timeout=60)


def found(server, token):
    headers = {"Authorization": f"Bearer {token}"}
    answer = requests.get(f"{server.dicomweb}/studies", headers=headers, timeout=60)
    return sorted(study["0020000D"]["Value"][0] for study in answer.json())


def opened(server, link):
    share_id, secret = link.rpartition("/")[2].split("#")
    return requests.post(f"{server.base}/api/s/{share_id}/open", json={"secret": secret}, timeout=60).status_code


def trail(data):
    return lightbox("audit", "verify", "--data", str(data))


def test_an_archive_at_work_moves_with_all_that_it_holds(tmp_path, monkeypatch):
    data = tmp_path / "data"
    url = postgresql().empty("moved")
    with running_server(data) as server:
        token = server.token("admin")
        assert [store(server, token, number).status_code for number in (1, 2, 3)] == [200] * 3
        link = server.share("1.2.1")
        assert opened(server, link) == 200
        with monkeypatch.context() as patched:
            patched.setenv("LIGHTBOX_DATABASE_URL", url)
            done = run_lightbox("migrate-database", "--data", str(data), "--from", "sqlite", "--to", "postgresql")
        assert done.returncode == 0, done.stderr
        assert "each was compared" in done.stdout
        refused = store(server, token, 4)
        assert (refused.status_code, "Retry-After" in refused.headers) == (503, True)
        assert requests.get(f"{server.base}/health/live", timeout=60).status_code == 200
    old = run_lightbox("serve", "--data", str(data), "--port", "0")
    assert old.returncode == 1
    assert "has moved to another database" in old.stderr

    monkeypatch.setenv("LIGHTBOX_DATABASE_URL", url)
    with running_server(data) as server:
        assert found(server, token) == ["1.2.1", "1.2.2", "1.2.3"]
        assert store(server, token, 4).status_code == 200
        assert found(server, token) == ["1.2.1", "1.2.2", "1.2.3", "1.2.4"]
        assert opened(server, link) == 200
        assert "whole" in trail(data)
    again = run_lightbox("migrate-database", "--data", str(data), "--from", "sqlite", "--to", "postgresql")
    assert again.returncode == 1
    assert "moved" in again.stderr


def test_rows_are_not_moved_into_a_database_that_holds_some(tmp_path, monkeypatch):
    data, other = tmp_path / "data", tmp_path / "other"
    lightbox("token", "create", "--data", str(data), "--role", "read", "old")
    monkeypatch.setenv("LIGHTBOX_DATABASE_URL", postgresql().empty("taken"))
    lightbox("token", "create", "--data", str(other), "--role", "read", "new")
    done = run_lightbox("migrate-database", "--data", str(data), "--from", "sqlite", "--to", "postgresql")
    assert done.returncode == 1
    assert "holds some already" in done.stderr
    monkeypatch.delenv("LIGHTBOX_DATABASE_URL")
    assert "old" in lightbox("token", "list", "--data", str(data)), "the old archive goes on"
