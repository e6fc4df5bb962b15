"""Several server processes on one socket, supervised: one that dies is replaced, a stop lets answers finish."""

import asyncio
import gc
import logging
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from aiohttp import web
from aiohttp.worker import GunicornUVLoopWebWorker
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger

from archive.app import build_app
from archive.cli.certificate import Certificate
from archive.config import Settings
from archive.operations.door import DoorRunner

STUCK_S = 60
"""A process whose event loop has not come round for this long is killed and replaced."""


class Worker(GunicornUVLoopWebWorker):
    """A process of the server whose certificate is ours: its versions of TLS, and read again when it changes."""

    _watching: ClassVar[asyncio.Task[None] | None] = None

    @staticmethod
    def _create_ssl_context(cfg: Any) -> ssl.SSLContext:
        certificate = Certificate.when_whole(Path(cfg.certfile), Path(cfg.keyfile))
        Worker._watching = asyncio.get_running_loop().create_task(certificate.watch())
        return certificate.context


class Workers(BaseApplication):  # type: ignore[misc]  # gunicorn ships no types
    """The processes of one server; `run` returns when all have stopped.

    Parameters
    ----------
    shutdown_s
        Answers that are under way when the server is told to stop have this long to finish.
    alone_since_s
        As `build_app` takes it.
    """

    def __init__(self, settings: Settings, shutdown_s: int, alone_since_s: float) -> None:
        self._settings = settings
        self._alone_since_s = alone_since_s
        self._shutdown_s = shutdown_s
        super().__init__()

    def load_config(self) -> None:
        host = self._settings.host
        options: dict[str, Any] = {
            "bind": f"{f'[{host}]' if ':' in host else host}:{self._settings.port}",
            "workers": self._settings.workers,
            "worker_class": Worker,
            "graceful_timeout": self._shutdown_s + 2,  # the processes themselves break off a little earlier
            "timeout": STUCK_S,
            "logger_class": _OurLogger,
            "control_socket_disable": True,  # it would lie in the home folder, one for all servers of the account
        }
        certificate = self._settings.tls_certificate
        if certificate is not None:
            options |= {"certfile": str(certificate), "keyfile": str(self._settings.tls_key or certificate)}
        for key, value in options.items():
            self.cfg.set(key, value)

    def run(self) -> None:
        gc.collect()
        gc.freeze()  # what is loaded by now stays on pages that the processes share
        super().run()

    def load(self) -> Callable[[], Any]:
        async def make() -> web.AppRunner:
            return DoorRunner(
                build_app(self._settings, self._alone_since_s),
                access_log=None,
                shutdown_timeout=self._shutdown_s,
                keepalive_timeout=self._settings.idle_timeout_s,
            )

        return make


class _OurLogger(Logger):  # type: ignore[misc]  # gunicorn ships no types
    """What the supervisor reports goes where everything goes that the server reports, and looks like it."""

    def setup(self, cfg: Any) -> None:
        self.error_log.propagate = True
        self.error_log.setLevel(logging.WARNING)
