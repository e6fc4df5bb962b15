"""`lightbox` in processes of their own, without the seconds that each would take to import the program.

One process imports the program and waits; each command is forked from it: `python tests/forking.py` is that process.
What must be a program started anew, such as a restart in place, is started as users start it (`servers.start_server`).
"""

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MESSAGE_BYTES = 1 << 20


class Forked:
    """A running command; as much of `subprocess.Popen` as the tests use."""

    def __init__(self, told: int, args: Sequence[str]) -> None:
        self.args = args
        self.returncode: int | None = None
        self._told = os.fdopen(told, "rb")
        self.pid = int(self._told.readline())

    def poll(self) -> int | None:
        return self._waited(0)

    def wait(self, timeout: float | None = None) -> int:
        """The exit code; of a signal, its number below zero. Raises subprocess.TimeoutExpired."""
        code = self._waited(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _waited(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._told], [], [], timeout)[0]:
            self.returncode = int(self._told.readline())
            self._told.close()
        return self.returncode


class _Origin:
    """The process that is forked from, as seen by the tests; started when it is first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._line: socket.socket | None = None

    def fork(self, arguments: Sequence[str], environment: Mapping[str, str], outputs: tuple[int, int]) -> Forked:
        told, tell = os.pipe()
        message = json.dumps([list(arguments), dict(environment)]).encode()
        with self._lock:
            line = self._line or self._start()
            socket.send_fds(line, [message], [*outputs, tell])
        os.close(tell)
        return Forked(told, ("lightbox", *arguments))

    def _start(self) -> socket.socket:
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (ours, its):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MESSAGE_BYTES)
        command = [sys.executable, __file__, str(its.fileno())]
        process = subprocess.Popen(command, cwd=ROOT, pass_fds=[its.fileno()], env={**os.environ, "PYTHONPATH": "."})
        its.close()

        def end() -> None:
            ours.close()
            process.wait(30)

        atexit.register(end)
        self._line = ours
        return ours


_ORIGIN = _Origin()


def fork_lightbox(arguments: Sequence[str], stdout: int, stderr: int, further: Mapping[str, str]) -> Forked:
    """Run a `lightbox` command, the leader of its own group, in this process's environment and `further` of its own."""
    return _ORIGIN.fork(arguments, os.environ | further, (stdout, stderr))


def _offer(line: socket.socket) -> tuple[list[str], dict[str, str]]:
    """Fork for each message. Returns in each process that is to be `lightbox`; never in this one."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        message, descriptors, _, _ = socket.recv_fds(line, MESSAGE_BYTES, 3)
        if not message:
            os._exit(0)
        if os.fork() == 0:
            line.close()
            _keep(*descriptors)
            return tuple(json.loads(message))
        for descriptor in descriptors:
            os.close(descriptor)


def _keep(stdout: int, stderr: int, tell: int) -> None:
    """Fork once more: one process tells how the other ended, the other returns."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    child = os.fork()
    if child:
        os.write(tell, b"%d\n" % child)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os.write(tell, b"%d\n" % code)
        os._exit(0)
    os.close(tell)
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, descriptor in enumerate((nothing, stdout, stderr)):
        os.dup2(descriptor, number)
        os.close(descriptor)


def main() -> None:
    """Import the program, fork on demand, and be `lightbox` in each fork."""
    import archive.app
    import archive.cli

    arguments, environment = _offer(socket.socket(fileno=int(sys.argv[1])))
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["lightbox", *arguments]
    archive.cli.main()


if __name__ == "__main__":
    main()
