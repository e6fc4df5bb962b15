"""Storing the samples with plain HTTP, before any client comes: one STOW-RS request for each instance."""

from __future__ import annotations

import secrets
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path

LIMIT_S = 120


class NotStored(Exception):  # noqa: N818 - the server's answer, not a fault of ours
    """The server did not take a sample."""


def store(base: str, token: str, paths: Iterable[Path]) -> None:
    """Store each file as its bytes are.

    Raises
    ------
    NotStored
        The server answered with anything but 200.
    """
    for path in paths:
        boundary = secrets.token_hex(12)
        head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        body = head + path.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
        headers = {
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
            "Accept": "application/dicom+json",
        }
        if token:
            headers["Authorization"] = f"Bearer {token}"
        request = urllib.request.Request(f"{base}/studies", data=body, headers=headers)  # noqa: S310 - the user's URL
        try:
            with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:  # noqa: S310 - the same
                status = answer.status
        except urllib.error.HTTPError as error:
            raise NotStored(f"{path.name}: {error.code} {error.read()[:300]!r}") from error
        if status != 200:
            raise NotStored(f"{path.name}: {status}")
