"""https without a proxy: versions, a new certificate under open connections, and who is believed about https."""

import http.client
import shutil
import socket
import ssl
import time
import warnings

import pytest
import requests
import trustme
from servers import Server, free_port, run_lightbox, start_server

import archive.cli.certificate
from archive.cli.certificate import Certificate
from archive.errors import BadRequestError


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


def write(authority, folder, name="localhost"):
    """A certificate for a name, and its key, as files; the certificate."""
    issued = authority.issue_cert(name, "127.0.0.1")
    folder.mkdir(exist_ok=True)
    chain = b"".join(part.bytes() for part in issued.cert_chain_pems)
    for file, content in (("cert.pem", chain), ("key.pem", issued.private_key_pem.bytes())):
        (folder / f"{file}.new").write_bytes(content)
        (folder / f"{file}.new").rename(folder / file)
    return chain


def trusting(authority):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def names_of(port, context):
    """The names in the certificate that a new connection is shown."""
    with (
        socket.create_connection(("127.0.0.1", port), 20) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as tls,
    ):
        return {value for kind, value in tls.getpeercert()["subjectAltName"] if kind == "DNS"}, tls.version()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_https_with_a_new_certificate_under_open_connections(authority, tmp_path, monkeypatch, workers):
    write(authority, tmp_path / "tls", "first.example")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("LIGHTBOX_TLS_CERTIFICATE", str(tmp_path / "tls" / "cert.pem"))
    monkeypatch.setenv("LIGHTBOX_TLS_KEY", str(tmp_path / "tls" / "key.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    server = start_server(tmp_path / "data", "--workers", workers, scheme="https")
    try:
        context = trusting(authority)
        names, version = names_of(server.port, context)
        assert names == {"first.example"}
        assert version in ("TLSv1.2", "TLSv1.3")
        old = trusting(authority)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # that it is old is the point
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)):
            names_of(server.port, old)

        kept = http.client.HTTPSConnection("127.0.0.1", server.port, context=context, timeout=30)
        kept.request("GET", "/health/live")
        first = kept.getresponse()
        assert (first.status, first.read()) == (200, b'{"status": "live"}')
        assert first.headers["Strict-Transport-Security"] == "max-age=31536000"
        write(authority, tmp_path / "tls", "second.example")
        deadline = time.monotonic() + 60
        while names_of(server.port, context)[0] != {"second.example"}:
            assert time.monotonic() < deadline
            kept.request("GET", "/health/live")  # on the connection that began under the first certificate
            assert kept.getresponse().read() == b'{"status": "live"}'
            time.sleep(0.2)
        kept.close()
    finally:
        server.stop()


def test_a_pair_that_does_not_belong_together_is_refused_and_the_good_one_stays(authority, tmp_path):
    write(authority, tmp_path / "a")
    write(authority, tmp_path / "b")
    folder = tmp_path / "a"
    certificate = Certificate(folder / "cert.pem", folder / "key.pem")
    assert certificate.context.minimum_version is ssl.TLSVersion.TLSv1_2
    shutil.copy(tmp_path / "b" / "key.pem", folder / "key.pem")
    certificate.look()  # reports it, and goes on
    with pytest.raises(BadRequestError, match="tls_certificate"):
        Certificate(folder / "cert.pem", folder / "key.pem")
    shutil.copy(tmp_path / "b" / "cert.pem", folder / "cert.pem")
    certificate.look()
    certificate.reload()
    assert archive.cli.certificate.LOOK_EVERY_S <= 10


def test_a_process_that_starts_while_the_files_are_renewed_waits_for_the_second_one(authority, tmp_path):
    write(authority, tmp_path / "a")
    write(authority, tmp_path / "b")
    certificate, key = tmp_path / "a" / "cert.pem", tmp_path / "a" / "key.pem"
    shutil.copy(tmp_path / "b" / "cert.pem", certificate)
    waited = []

    def wait(seconds):
        waited.append(seconds)
        if len(waited) == 3:
            shutil.copy(tmp_path / "b" / "key.pem", key)

    Certificate.when_whole(certificate, key, wait)
    assert len(waited) == 3
    key.unlink()
    with pytest.raises(BadRequestError, match="tls_certificate"):
        Certificate.when_whole(certificate, key, waited.append)
    assert sum(waited) >= archive.cli.certificate.RENEWAL_S


def test_nobody_but_a_trusted_proxy_is_believed_about_address_and_scheme(tmp_path, monkeypatch):
    """URLs and cookies come from `public_base`; the address in the trail only from the setting."""
    forged = {
        "X-Forwarded-For": "203.0.113.7",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil.example",
        "Forwarded": "for=203.0.113.7;proto=https;host=evil.example",
    }
    monkeypatch.setenv("LIGHTBOX_METRICS_OPEN_TO", '["203.0.113.7"]')
    server: Server = start_server(tmp_path / "data")
    try:
        answer = requests.get(f"{server.base}/metrics", headers=forged, timeout=30)
        assert answer.status_code == 401
        assert "Strict-Transport-Security" not in answer.headers
        headers = {**forged, "Authorization": f"Bearer {server.token('read')}"}
        described = requests.get(f"{server.dicomweb}/openapi.json", headers=headers, timeout=30)
        assert "evil.example" not in described.text
        assert described.json()["servers"][0]["url"].startswith("http://127.0.0.1:")
    finally:
        server.stop()


def test_a_certificate_that_is_not_there_ends_the_start_with_the_name_of_the_setting(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_TLS_CERTIFICATE", str(tmp_path / "no.pem"))
    done = run_lightbox("serve", "--data", str(tmp_path / "d"), "--port", str(free_port()))
    assert done.returncode == 1
    assert done.stderr.startswith("lightbox: tls_certificate")
    assert "Traceback" not in done.stderr
