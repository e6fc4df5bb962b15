"""The server's side of one worker process: start it, ask it, end it."""

import asyncio
import os
import pickle
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from archive.errors import BusyError, LightboxError, StoreError, UnprocessableError
from wado.pixels.arena import Arena, create_arena
from wado.pixels.worker import DONE, REPLY, REQUEST_HEAD, Request

START_S = 60.0
END_S = 2.0
_ERRORS: MappingProxyType[str, type[LightboxError]] = MappingProxyType(
    {"store-error": StoreError, "unprocessable": UnprocessableError}
)


class WorkerDiedError(Exception):
    """The process ended while it worked. `by_kill`: by a SIGKILL that was not ours (the system's, or a person's)."""

    def __init__(self, *, by_kill: bool) -> None:
        super().__init__("a worker process died")
        self.by_kill = by_kill


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """What a worker may take: address space for its frame, and how far it stands back for others (nice(1))."""

    memory_bytes: int
    niceness: int = 0


class WorkerProcess:
    """One worker. Only one `ask` at a time; after any exception but a LightboxError it must be ended."""

    def __init__(self, process: "subprocess.Popen[bytes]", connection: socket.socket, arena: Arena) -> None:
        self._process = process
        self._connection = connection
        self._arena = arena

    @property
    def process_id(self) -> int:
        return self._process.pid

    @classmethod
    async def start(cls, limits: WorkerLimits) -> "WorkerProcess":
        """Start a process and wait until it takes tasks.

        Raises BusyError when the system gives no process, WorkerDiedError when it does not come up.
        """
        try:
            worker = await asyncio.to_thread(_start, limits)
        except OSError:
            raise BusyError("The system has no room for a decoder.") from None
        try:
            async with asyncio.timeout(START_S):
                await worker._reply()
        except TimeoutError:
            await worker.end()
            raise WorkerDiedError(by_kill=False) from None
        except asyncio.CancelledError:
            await worker.end()
            raise
        return worker

    async def ask(self, request: Request) -> bytes:
        """Have a task done.

        Raises
        ------
        LightboxError
            What the task raised: UnprocessableError or StoreError.
        WorkerDiedError
            The process ended before it answered.
        """
        body = pickle.dumps(request, pickle.HIGHEST_PROTOCOL)
        try:
            await asyncio.get_running_loop().sock_sendall(self._connection, REQUEST_HEAD.pack(len(body)) + body)
        except OSError:
            raise await self._death() from None
        return await self._reply()

    async def _reply(self) -> bytes:
        loop = asyncio.get_running_loop()
        received = b""
        while len(received) < REPLY.size:
            try:
                part = await loop.sock_recv(self._connection, REPLY.size - len(received))
            except OSError:
                part = b""
            if not part:
                raise await self._death()
            received += part
        outcome, length, text = REPLY.unpack(received)
        if outcome == DONE:
            return await self._take(length)
        code, _, message = text.rstrip(b"\0").decode(errors="replace").partition("\n")
        raise _ERRORS.get(code, UnprocessableError)(message)

    async def _take(self, length_bytes: int) -> bytes:
        try:
            return self._arena.take(length_bytes)
        except (ValueError, OSError):  # less was put than was said, or this process has no room for it
            raise await self._death() from None

    async def _death(self) -> WorkerDiedError:
        # a dying process is given a moment, so that its own signal is what is reported
        await self.end(patience_s=0.5)
        return WorkerDiedError(by_kill=self._process.returncode == -signal.SIGKILL)

    async def end(self, patience_s: float = 0.0) -> None:
        """End the process, whatever it does; it is gone when this returns. An idle one ends itself within patience.

        May be called again.
        """
        self._connection.close()
        if patience_s > 0:
            await asyncio.to_thread(_wait, self._process, patience_s)
        if self._process.poll() is None:
            self._process.kill()
            await asyncio.to_thread(_wait, self._process, END_S)
        self._arena.close()


def _wait(process: "subprocess.Popen[bytes]", seconds: float) -> int | None:
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None


def _start(limits: WorkerLimits) -> WorkerProcess:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    descriptor = create_arena()
    with theirs:
        command = [sys.executable, "-P", "-s", "-c", "import sys, wado.pixels.worker as w; w.main(sys.argv[1:])"]
        numbers = (theirs.fileno(), descriptor, limits.memory_bytes, limits.niceness)
        process = subprocess.Popen(  # noqa: S603  # our own interpreter and module
            [*command, *map(str, numbers)],
            pass_fds=(theirs.fileno(), descriptor),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env=_environment(),
        )
    return WorkerProcess(process, ours, Arena(descriptor))


def _environment() -> dict[str, str]:
    """Only what the interpreter needs: no secret of the server reaches a codec. One thread: the pool has the cores."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH") if name in os.environ}
    return kept | {
        "PYTHONPATH": os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path),
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }
