"""`lightbox serve`: the server, in one process or several on one port."""

import fcntl
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import structlog
import typer
from structlog.typing import EventDict

from archive.app import build_app
from archive.cli.certificate import certificate_of
from archive.cli.opening import is_storing
from archive.cli.options import DEFAULT_DATA, DataOption
from archive.cli.serving import Ending, Serving, listen, restart_in_place, serve_until_told
from archive.cli.workers import Workers
from archive.config import Settings, load_settings
from archive.database.engine import migrate
from archive.dicomweb.problems import describe_error
from archive.errors import LightboxError
from archive.opening import open_store
from archive.operations.metrics import clear_folder

SHUTDOWN_S = 30
"""Answers that are under way when the server is told to stop have this long to finish."""


def serve(
    data: DataOption = DEFAULT_DATA,
    host: Annotated[str | None, typer.Option(help="Address to listen on. [default: 127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on. [default: 8042]")] = None,
    workers: Annotated[int | None, typer.Option(help="Server processes on the port. [default: 1]")] = None,
    public_base: Annotated[
        str | None, typer.Option(help="The URL that people use, https://images.example.org.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Settings as TOML.", exists=True, dir_okay=False)] = None,
) -> None:
    """Serve DICOMweb at /dicom-web, shares at /s/…, health at /health/live and /health/ready.

    Example: lightbox serve --data ./data --host 127.0.0.1 --port 8042
    """
    settings = load_settings(config, data=data, host=host, port=port, workers=workers, public_base=public_base)
    run_server(settings)


def run_server(settings: Settings, announce: Callable[[], None] = lambda: None) -> None:
    """Prepare the data folder and serve until told to stop. Raises LightboxError when another server holds it."""
    _set_up_logs()
    settings.data.mkdir(parents=True, exist_ok=True)
    with _only_server(settings):
        open_store(settings).clear_drafts()
        migrate(settings.database_place)
        certificate = certificate_of(settings)  # said before anything is announced, also where each process reads it
        may_be_others = is_storing(settings) or isinstance(
            settings.database_place, str
        )  # commands here, or other hosts
        alone_since_s = 0.0 if may_be_others else time.time()
        announce()
        if settings.workers > 1:
            clear_folder(settings.metrics_folder)
            Workers(settings, SHUTDOWN_S, alone_since_s).run()
            return
        listener = listen(settings.host, settings.port)
        serving = Serving(listener, certificate, SHUTDOWN_S, settings.idle_timeout_s)
        ending = serve_until_told(lambda: build_app(settings, alone_since_s), serving)
    if ending is Ending.RESTART:
        restart_in_place(listener)


@contextmanager
def _only_server(settings: Settings) -> Iterator[None]:
    """Hold the folder: a second server on the same data would clear the first one's unfinished writes.

    The file says under which URL the server is reached, for the commands that print links.
    """
    descriptor = os.open(settings.data / "serve.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise LightboxError(f"Another server is running on {settings.data}.") from None
    os.truncate(descriptor, 0)
    os.write(descriptor, settings.base_url.encode())
    try:
        yield
    finally:
        os.close(descriptor)


def _set_up_logs() -> None:
    """JSON lines on standard error, with what the record carries beside its text, such as the request's id."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.stdlib.ExtraAdder(),
                structlog.processors.TimeStamper(fmt="iso", utc=True),
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _without_texts_of_errors,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


def _without_texts_of_errors(_logger: object, _method: str, event: EventDict) -> EventDict:
    """An exception's text may hold what a log must not; its types and lines do not."""
    info = event.pop("exc_info", None)
    error = info[1] if isinstance(info, tuple) else info
    return {**event, **describe_error(error)} if isinstance(error, BaseException) else event
