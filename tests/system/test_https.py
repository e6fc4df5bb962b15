"""Behind nginx with TLS, in Chromium: cookies bound to the host, HSTS, the share's way, and a sign-in elsewhere."""

import base64
import hashlib
import json
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
import servers
import trustme
from chromium import CHROMIUM, FLAGS, wait_until
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_pem_x509_certificate
from playwright.async_api import BrowserContext, async_playwright
from pydicom.data import get_testdata_file
from servers import Server, free_port, running_server

HOST = "images.hospital.test"
NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{tls_port} ssl; server_name {host};
    ssl_certificate {folder}/chain.pem; ssl_certificate_key {folder}/key.pem;
    location / {{
      proxy_pass http://127.0.0.1:{port}; proxy_http_version 1.1;
      proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $remote_addr;
    }}
  }}
}}
"""


@dataclass
class House:
    """A server behind nginx. `key_digest` is what the browser is told to believe of its certificate."""

    server: Server
    tls_port: int
    key_digest: str
    study_uid: str

    @property
    def base(self) -> str:
        return f"https://{HOST}:{self.tls_port}"


def certificate(folder: Path) -> str:
    """A certificate for the host in `folder`; the SHA-256 of its public key, as Chromium takes it."""
    pair = trustme.CA().issue_cert(HOST)
    pair.private_key_pem.write_to_path(str(folder / "key.pem"))
    for number, blob in enumerate(pair.cert_chain_pems):
        blob.write_to_path(str(folder / "chain.pem"), append=number > 0)
    key = load_pem_x509_certificate(pair.cert_chain_pems[0].bytes()).public_key()
    return base64.b64encode(
        hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
    ).decode()


def wait_until_answering(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    blind = ssl._create_unverified_context()  # whether it runs, not who it is
    while time.monotonic() < deadline:
        assert process.poll() is None, url
        try:
            with urllib.request.urlopen(url, timeout=5, context=blind if url.startswith("https") else None):
                return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError(url)


def store(server: Server) -> str:
    """Store pydicom's CT; its Study Instance UID."""
    body = b"--b\r\nContent-Type: application/dicom\r\n\r\n" + Path(get_testdata_file("CT_small.dcm")).read_bytes()
    headers = {
        "Content-Type": 'multipart/related; type="application/dicom"; boundary=b',
        "Authorization": f"Bearer {server.token('store')}",
    }
    answer = requests.post(f"{server.dicomweb}/studies", data=body + b"\r\n--b--\r\n", headers=headers, timeout=60)
    assert answer.status_code == 200
    return str(answer.json()["00081190"]["Value"][0]).rpartition("/")[2]


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[str]:
    """An identity provider on another site: oidc-provider-mock."""
    port = free_port()
    user = {"sub": "marie", "name": "Marie Curie", "groups": ["RAD-DESK"]}
    command = [sys.executable, "-m", "oidc_provider_mock", "--port", str(port), "--user-claims", json.dumps(user)]
    with (tmp_path / "provider.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    wait_until_answering(f"http://localhost:{port}/.well-known/openid-configuration", process)
    yield f"http://localhost:{port}"
    process.terminate()
    process.wait(20)


@pytest.fixture
def house(tmp_path: Path, provider: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    folder = tmp_path / "nginx"
    folder.mkdir()
    port, tls_port = free_port(), free_port()
    monkeypatch.setattr(servers, "free_port", lambda: port)
    settings = {
        "PUBLIC_BASE": f"https://{HOST}:{tls_port}",
        "TRUSTED_PROXIES": '["127.0.0.1"]',
        "OIDC_ISSUER": provider,
        "OIDC_CLIENT_ID": "lightbox",
        "OIDC_CLIENT_SECRET": "s3cret",
        "OIDC_ROLES": '{"RAD-DESK": "desk"}',
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"LIGHTBOX_{name}", value)
    digest = certificate(folder)
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, tls_port=tls_port, port=port, host=HOST))
    with running_server(tmp_path / "data") as server:
        nginx = subprocess.Popen(["nginx", "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")])
        try:
            wait_until_answering(f"https://127.0.0.1:{tls_port}/health/ready", nginx)
            yield House(server, tls_port, digest, store(server))
        finally:
            nginx.terminate()
            nginx.wait(20)


@asynccontextmanager
async def browser(house: House) -> AsyncIterator[Callable]:  # type: ignore[type-arg]  # opens a profile
    """A Chromium that finds the host on this machine and believes its certificate as if an authority had given it."""
    flags = [flag for flag in FLAGS if not flag.startswith("--host-resolver-rules")]
    rules = f"MAP {HOST} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"
    flags += [f"--host-resolver-rules={rules}", f"--ignore-certificate-errors-spki-list={house.key_digest}"]
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=flags)

        async def profile() -> BrowserContext:
            context = await chromium.new_context(locale="en-US")
            context.set_default_timeout(20_000)
            return context

        yield profile
        await chromium.close()


async def test_a_shared_link_opens_over_https_with_a_cookie_bound_to_the_host(house: House) -> None:
    link = house.server.share(house.study_uid)
    assert link.startswith(f"{house.base}/s/")
    async with browser(house) as profile:
        context = await profile()
        page = await context.new_page()
        mixed: list[str] = []
        page.on("request", lambda request: mixed.append(request.url))
        answer = await page.goto(link)
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        await page.click("[data-action=open]")
        await page.wait_for_url("**/images*")
        await wait_until(page, "document.querySelector('[data-picture]')?.naturalWidth > 0")
        assert [url for url in mixed if not url.startswith((house.base, "data:"))] == []
        [cookie] = await context.cookies()
        share_id = link.rpartition("/")[2].partition("#")[0]
        assert cookie["name"] == f"__Host-s-{share_id}"
        assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (True, True, "Lax")
        assert (cookie["path"], cookie["domain"]) == ("/", HOST)
        assert await page.evaluate("document.cookie") == ""


async def test_the_browser_remembers_that_the_host_is_reached_by_https_only(house: House) -> None:
    plain = f"http://{HOST}:{house.tls_port}/c"
    async with browser(house) as profile:
        page = await (await profile()).new_page()
        refused = await page.goto(plain)
        assert refused.status == 400, "nothing is known of the host yet"
        await page.goto(f"{house.base}/c")
        assert (await page.goto(plain)).status == 200
        assert page.url == f"{house.base}/c"


async def test_staff_come_back_from_a_provider_on_another_site_and_are_in(house: House, provider: str) -> None:
    async with browser(house) as profile:
        context = await profile()
        page = await context.new_page()
        await page.goto(f"{house.base}/staff")
        await page.click("[data-action=sso]")
        await page.wait_for_url(f"{provider}/**")
        [begun] = [one for one in await context.cookies(house.base) if one["name"] == "__Host-sign-in"]
        assert (begun["secure"], begun["httpOnly"], begun["sameSite"]) == (True, True, "Lax")
        await page.click("button[name=sub][value=marie]")
        await page.wait_for_url(f"{house.base}/desk*")
        names = {one["name"]: one for one in await context.cookies(house.base)}
        assert set(names) == {"__Host-staff"}
        assert names["__Host-staff"]["secure"]
        await page.wait_for_selector("#requests")
