"""A worker process: takes one task after another from its socket, does it, lays the result in shared memory.

Started by `wado.pixels.process` with the descriptors of its socket and of the shared memory, its memory limit and its
niceness.
An error that nobody foresaw ends the process; the server then starts another one.
"""

import math
import os
import pickle
import resource
import select
import signal
import socket
import struct
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from archive.errors import LightboxError
from wado.pixels.arena import Arena
from wado.pixels.cache import write_derived
from wado.pixels.decode import Samples
from wado.pixels.tasks import Result, Task, Tools

REQUEST_HEAD = struct.Struct("<I")
REPLY = struct.Struct("<BQ200s")
"""Outcome (0 done, 1 an error), length of the result in the arena, the error's code and message, cut to fit.

Nothing from a worker is unpickled: a codec may have been taken over by the frame that it decodes."""
DONE, FAILED = 0, 1
REST_S = 5.0
"""A worker that has had nothing to do for so long lets go of what it keeps."""
OUT_OF_MEMORY = "unprocessable\nThe frame needs more memory than one frame may have."


@dataclass(frozen=True, slots=True)
class Request:
    """A task, its limit of processor time, and the file in which the result is also kept, if it is."""

    task: Task
    cpu_s: float
    keep_at: str | None = None

    def __reduce__(self) -> tuple[type[Self], tuple[Any, ...]]:
        """As `Span`'s."""
        return type(self), (self.task, self.cpu_s, self.keep_at)


def main(arguments: list[str]) -> None:
    """Serve until the socket is closed."""
    socket_descriptor, arena_descriptor, memory_bytes, niceness = (int(argument) for argument in arguments)
    os.nice(niceness)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which ends its workers itself
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    limit = _address_space_bytes() + memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    tools = Tools()
    with socket.socket(fileno=socket_descriptor) as connection, Arena(arena_descriptor) as arena:
        connection.sendall(REPLY.pack(DONE, 0, b""))  # ready
        while (request := _receive(connection, tools)) is not None:
            _serve(request, connection, arena, tools)


def _serve(request: Request, connection: socket.socket, arena: Arena, tools: Tools) -> None:
    _limit_cpu(request.cpu_s)
    result: Result = b""
    try:
        result = request.task.perform(tools)
        reply = REPLY.pack(DONE, arena.put(result), b"")
    except LightboxError as error:
        reply = REPLY.pack(FAILED, 0, f"{error.code}\n{error.message}".encode()[:200])
    except MemoryError:
        reply = REPLY.pack(FAILED, 0, OUT_OF_MEMORY.encode())
    connection.sendall(reply)
    if request.keep_at is not None and reply[0] == DONE:
        write_derived(request.keep_at, result if isinstance(result, bytes) else _bytes_of(result))


def _bytes_of(samples: Samples) -> memoryview:
    """The samples' bytes in row order, copied only where they do not lie so."""
    return np.ascontiguousarray(samples).reshape(-1).view(np.uint8).data


def _receive(connection: socket.socket, tools: Tools) -> Request | None:
    """The next request; None when the server is gone."""
    if not select.select([connection], [], [], REST_S)[0]:
        tools.rest()
    head = connection.recv(REQUEST_HEAD.size, socket.MSG_WAITALL)
    if len(head) < REQUEST_HEAD.size:
        return None
    (length,) = REQUEST_HEAD.unpack(head)
    body = connection.recv(length, socket.MSG_WAITALL)
    if len(body) < length:
        return None
    request: Request = pickle.loads(body)  # noqa: S301  # from the server that started this process
    return request


def _limit_cpu(seconds: float) -> None:
    """A worker whose server died while its codec hangs ends by itself, by SIGXCPU."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    used = math.ceil(usage.ru_utime + usage.ru_stime)
    resource.setrlimit(resource.RLIMIT_CPU, (used + math.ceil(seconds) + 1, resource.RLIM_INFINITY))


def _address_space_bytes() -> int:
    """What the interpreter and the codecs take before the first frame."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123  # not a file on disk
            return int(file.read().split()[0]) * resource.getpagesize()
    except OSError:  # systems without /proc
        return 1 << 30
