"""`lightbox demo`: a server with sample studies and a link to open, in one command."""

import asyncio
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Annotated

import aiohttp
import typer

from archive.cli.options import DEFAULT_DATA, DataOption, link_base
from archive.config import Settings, load_settings
from archive.database.engine import open_database
from archive.errors import LightboxError
from archive.identifiers import parse_study_uid
from archive.samples import PHANTOM_STUDY_UID, head_phantom, sample_files
from auth.clock import Clock
from auth.factors import Passwords
from auth.shares import NewShare, create_share
from auth.tokens import Role, create_token

START_LIMIT_S = 60
INSTANCES_A_REQUEST = 20
STOP_LIMIT_S = 40


def demo(
    data: DataOption = DEFAULT_DATA,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 8042,
) -> None:
    """Start a server, store sample studies if it has none, and print a link that opens one.

    The samples are a synthetic CT of a head and the real files that pydicom ships. Stop it with Ctrl+C.

    Example: lightbox demo --data ./data
    """
    settings = load_settings(data=data, host=host, port=port)
    command = [sys.executable, "-m", "archive.cli", "serve", "--data", str(data), "--host", host, "--port", str(port)]
    server = subprocess.Popen(command)  # noqa: S603 - our own command
    try:
        link = asyncio.run(_fill_and_share(settings, server))
        print("\nLightbox is running. Open this link in a browser:\n", flush=True)
        print(f"  {link}\n", flush=True)
        print("Stop it with Ctrl+C.", flush=True)
        signal.signal(signal.SIGTERM, lambda *_: server.terminate())
        server.wait()
    except KeyboardInterrupt:
        print("Stopping …", file=sys.stderr)
    finally:
        server.terminate()
        server.wait(STOP_LIMIT_S)


async def _fill_and_share(settings: Settings, server: subprocess.Popen[bytes]) -> str:
    base = settings.base_url
    async with aiohttp.ClientSession() as session:
        await _until_ready(session, base, server)
        database = open_database(settings.database_place)
        try:
            now_ms = Clock()()
            roles = frozenset({Role.STORE, Role.READ})
            token = await create_token(database, "samples", roles, now_ms, ttl_s=3600)
            headers = {"Authorization": f"Bearer {token}"}
            if await _is_empty(session, base, headers):
                await _push_all(session, base, headers)
            study = NewShare((parse_study_uid(PHANTOM_STUDY_UID),), label="Lightbox demonstration")
            link = await create_share(database, Passwords(), study, now_ms)
        finally:
            await database.close()
    return link.url(link_base(settings))


async def _until_ready(session: aiohttp.ClientSession, base: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise LightboxError("The server did not start; its own message is above.")
        try:
            async with session.get(f"{base}/health/ready") as answer:
                if answer.status == 200:
                    return
        except aiohttp.ClientConnectionError:
            pass
        await asyncio.sleep(0.1)
    raise LightboxError(f"The server was not ready within {START_LIMIT_S} s.")


async def _is_empty(session: aiohttp.ClientSession, base: str, headers: dict[str, str]) -> bool:
    async with session.get(
        f"{base}/dicom-web/studies", params={"StudyInstanceUID": PHANTOM_STUDY_UID}, headers=headers
    ) as answer:
        answer.raise_for_status()
        return bool(await answer.json(content_type=None) == [])


async def _push_all(session: aiohttp.ClientSession, base: str, headers: dict[str, str]) -> None:
    stored = refused = 0
    batch: list[bytes] = []
    for part in _samples():
        batch.append(part)
        if len(batch) == INSTANCES_A_REQUEST:
            ok, failed = await _push(session, base, headers, batch)
            stored, refused, batch = stored + ok, refused + failed, []
            print(f"\r{stored} sample instances stored", end="", file=sys.stderr, flush=True)
    if batch:
        ok, failed = await _push(session, base, headers, batch)
        stored, refused = stored + ok, refused + failed
    print(f"\r{stored} sample instances stored, {refused} refused.", file=sys.stderr, flush=True)


def _samples() -> Iterable[bytes]:
    yield from head_phantom()
    for path in sample_files():
        yield path.read_bytes()


async def _push(
    session: aiohttp.ClientSession, base: str, headers: dict[str, str], batch: Sequence[bytes]
) -> tuple[int, int]:
    """Send a batch by STOW-RS; returns how many were stored and how many were refused."""
    boundary = secrets.token_hex(16)
    head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    body = b"".join(head + part + b"\r\n" for part in batch) + f"--{boundary}--\r\n".encode()
    kind = f'multipart/related; type="application/dicom"; boundary={boundary}'
    async with session.post(
        f"{base}/dicom-web/studies",
        data=body,
        headers=headers | {"Content-Type": kind, "Accept": "application/dicom+json"},
    ) as answer:
        if answer.status not in (200, 202, 409):
            raise LightboxError(f"Storing the samples failed with status {answer.status}.")
        response = await answer.json(content_type=None)
    failed = len(response.get("00081198", {}).get("Value", []))
    return len(batch) - failed, failed
