"""The database that tests run on: SQLite's file, or with `pytest --database postgresql` a real PostgreSQL.

Its server is started when the first test asks for a database, for this process of pytest alone, and ends with it.
Every path of a file of SQLite stands for a database of its own there.
"""

import asyncio
import atexit
import functools
import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import asyncpg
import sqlalchemy as sa

from archive.config import Settings, load_settings
from archive.database.engine import migrate

KINDS = ("sqlite", "postgresql")
TEMPLATE = "lightbox_template"
START_LIMIT_S = 60.0
OPTIONS = ("fsync=off", "full_page_writes=off", "max_connections=300", "listen_addresses=127.0.0.1")
_chosen = {"kind": "sqlite"}


def choose(kind: str) -> None:
    """Let `at` give databases of this kind from now on."""
    _chosen["kind"] = kind


def at(path: Path) -> Path | str:
    """The path itself, or the URL of the database that stands for it; made and migrated when first asked for."""
    if _chosen["kind"] == "sqlite":
        return path
    return postgresql().database(str(path))


def settings_at(data: Path) -> Settings:
    """The settings of an archive in this folder, as commands that are given the folder alone have them."""
    place = at(data / "lightbox.sqlite")
    return load_settings(data=data, **({} if isinstance(place, Path) else {"database_url": place}))


def engine_at(path: Path) -> sa.Engine:
    """An engine of SQLAlchemy that is no server's, for tests that write rows themselves."""
    place = at(path)
    if isinstance(place, Path):
        return sa.create_engine(f"sqlite:///{place}")
    return sa.create_engine(place.replace("postgresql:", "postgresql+psycopg:"), poolclass=sa.NullPool)


def copy_at(source: Path, target: Path) -> None:
    """Make a database like another one that nobody has open."""
    if _chosen["kind"] == "sqlite":
        shutil.copy(source, target)
    else:
        postgresql().copy(str(source), str(target))


class PostgreSQL:
    """A server on a free port of this machine, with its data in a folder that goes with it."""

    def __init__(self, *options: str) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="lightbox-postgresql-"))
        self._options = options
        self.port = _free_port()
        self._known: set[str] = set()
        programs = sorted(Path("/usr/lib/postgresql").glob("*/bin")) or [Path(shutil.which("postgres") or "").parent]
        self._programs = programs[-1]
        # PostgreSQL runs for nobody who may do everything.
        self._user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
        if self._user:
            shutil.chown(self._folder, "postgres", "postgres")
        self._run(
            "initdb", "-D", str(self.data), "-U", "lightbox", "-E", "UTF8", "--locale=C.UTF-8", "-A", "trust", "-N"
        )
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def data(self) -> Path:
        return self._folder / "data"

    def start(self) -> None:
        command = [self._programs / "postgres", "-D", self.data, "-p", str(self.port), "-k", self._folder]
        for option in (*OPTIONS, *self._options):
            command += ["-c", option]
        with (self._folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder, **self._user)
        deadline_s = time.monotonic() + START_LIMIT_S
        while True:
            try:
                self.execute("SELECT 1")
                return
            except (OSError, asyncpg.PostgresError):
                assert self.process.poll() is None, (self._folder / "log").read_text()
                assert time.monotonic() < deadline_s
                time.sleep(0.05)

    def stop(self, number: int = signal.SIGINT) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(START_LIMIT_S)

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def url(self, name: str) -> str:
        return f"postgresql://lightbox@127.0.0.1:{self.port}/{name}"

    def copy(self, source: str, target: str) -> None:
        """Make the database for one text as the one for another is."""
        self.execute(f"CREATE DATABASE {_name(target)} TEMPLATE {_name(source)}")
        self._known.add(_name(target))

    def database(self, about: str) -> str:
        """The URL of the database for this text; made from a migrated one when it is asked for first."""
        name = _name(about)
        if name not in self._known:
            if TEMPLATE not in self._known:
                self.empty(TEMPLATE)
                migrate(self.url(TEMPLATE))
            self.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
            self._known.add(name)
        return self.url(name)

    def empty(self, name: str) -> str:
        """The URL of a new database with nothing in it."""
        self.execute(f"CREATE DATABASE {name}")
        self._known.add(name)
        return self.url(name)

    def execute(self, statement: str, database: str = "postgres") -> list[asyncpg.Record]:
        async def run() -> list[asyncpg.Record]:
            connection = await asyncpg.connect(self.url(database), timeout=10)
            try:
                return await connection.fetch(statement)
            finally:
                await connection.close()

        return _in_thread(run)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._programs / program, *arguments],
            capture_output=True,
            text=True,
            cwd=self._folder,
            check=False,
            **self._user,
        )
        assert done.returncode == 0, done.stderr


@functools.cache
def postgresql() -> PostgreSQL:
    """The server of this process of pytest."""
    server = PostgreSQL()
    atexit.register(server.remove)
    return server


def _name(about: str) -> str:
    return "t" + hashlib.sha256(about.encode()).hexdigest()[:20]


def _in_thread(run):
    """The caller may itself run in an event loop."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(run())).result()


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
