"""The server's TLS certificate: read from files, and read again when they change, while connections go on."""

import asyncio
import logging
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from archive.config import Settings
from archive.errors import BadRequestError

LOOK_EVERY_S = 5.0
RENEWAL_S = 10.0
"""Within this the second of two files follows the first when a certificate is renewed."""
TRY_EVERY_S = 0.2
log = logging.getLogger("lightbox.tls")


class Certificate:
    """A certificate with its chain, and its key. New connections get what the files held when they were last read.

    Raises
    ------
    BadRequestError
        The files cannot be read, or the key is not the certificate's.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self._files = (certificate, key)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_alpn_protocols(["http/1.1"])
        self._seen = self._changed()
        self.reload()

    @classmethod
    def when_whole(cls, certificate: Path, key: Path, wait: Callable[[float], None] = time.sleep) -> Self:
        """The certificate, once its files belong together: a process may start just while they are being renewed.

        Raises
        ------
        BadRequestError
            They do not even after `RENEWAL_S`.
        """
        for _ in range(round(RENEWAL_S / TRY_EVERY_S)):
            try:
                return cls(certificate, key)
            except BadRequestError:
                wait(TRY_EVERY_S)
        return cls(certificate, key)

    def reload(self) -> None:
        """Take the files as they are now; connections that are open keep what they have."""
        certificate, key = self._files
        # Tried on another context first: a certificate with a key that is not its own must not replace one that works.
        for context in (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), self.context):
            try:
                context.load_cert_chain(certificate, key)
            except (OSError, ssl.SSLError) as error:
                message = "tls_certificate and tls_key are not files with a certificate and its key in PEM."
                raise BadRequestError(message, parameter="tls_certificate") from error

    async def watch(self) -> None:
        """Look at the files again and again; never ends. A bad pair is reported, and the good one stays."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self.look()

    def look(self) -> None:
        """Read the files if they have changed."""
        changed = self._changed()
        if changed == self._seen:
            return
        self._seen = changed
        try:
            self.reload()
        except BadRequestError as error:
            log.error("The new TLS certificate cannot be used; the one before stays.", exc_info=error)
        else:
            log.warning("The TLS certificate was read again.")

    def _changed(self) -> tuple[tuple[int, int], ...]:
        """What tells one content of the files from another; also of a link that was pointed elsewhere."""
        found = []
        for path in self._files:
            try:
                stat = path.stat()
            except OSError:
                found.append((0, 0))
            else:
                found.append((stat.st_mtime_ns, stat.st_ino))
        return tuple(found)


def certificate_of(settings: Settings) -> Certificate | None:
    """The certificate that the settings name; None where TLS is somebody else's."""
    if settings.tls_certificate is None:
        return None
    return Certificate(settings.tls_certificate, settings.tls_key or settings.tls_certificate)
