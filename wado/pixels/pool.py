"""Codecs in bounded worker processes, asked for from the event loop.

A worker does one frame at a time. It is given where the frame lies, reads it itself, and lays the samples in memory
that it shares with the server (`wado.pixels.arena`). A codec that crashes, hangs or wants too much memory costs its
own frame; the worker is replaced. The same work asked for twice at the same time is done once.
"""

import asyncio
import math
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, Self

from archive.errors import BusyError, LightboxError, UnprocessableError
from wado.pixels.cache import DerivedCache, DerivedKey
from wado.pixels.parameters import RenderParameters
from wado.pixels.process import WorkerDiedError, WorkerLimits, WorkerProcess
from wado.pixels.source import FrameSource, StateSource
from wado.pixels.syntaxes import EXPLICIT_LE, HIGH_THROUGHPUT, NATIVE, RLE
from wado.pixels.tasks import Call, ExactCopy, NativeFrame, Picture, Task, TranscodedFrame
from wado.pixels.worker import Request

MEMORY_LIMIT_BYTES = 3 << 30
"""Address space that a worker may take beyond what its interpreter and codecs take: four times the largest frame
as 32-bit numbers, and then some."""
ABANDONED_S = 1.0
"""How long work that nobody waits for any more may go on, so that a nearly finished frame still reaches the cache."""
QUICK = NATIVE | HIGH_THROUGHPUT | {RLE}
"""Syntaxes that are decoded about as fast as a file is written: their samples are not kept in the derived cache."""
MAXIMUM_RETRY_AFTER_S = 30
MAXIMUM_FORESEEN = 8
"""Results that may wait to be made before anyone asks for them; further ones push the oldest out."""
FORESEEN_S = 5.0
"""What was foreseen and has not begun within this time is left: whoever scrolled has stopped, or the pool is busy."""
FRAMES_FOR_ANOTHER_TIMEOUT = 100
"""How many frames of an animation add the time of one frame to its limit."""


@dataclass(slots=True, eq=False)
class _Job:
    """One computation, and how many await it. `key` None: it is not shared with anybody."""

    task: Task
    key: Hashable
    limit_s: float
    result: "asyncio.Future[bytes]"
    cache_key: DerivedKey | None = None
    waiting: int = 0
    running: asyncio.Timeout | None = None
    foreseen_until_s: float | None = None
    """Nobody has asked for it yet; not begun after this time of the event loop."""


@dataclass(slots=True)
class PoolFigures:
    """What the pool has done since it was opened, for the server's metrics."""

    finished: int = 0
    failed: int = 0
    refused: int = 0
    shared: int = 0
    cached: int = 0
    foreseen: int = 0
    deaths: int = 0
    busy_s: float = field(default=0.0)


class PixelPool:
    """Worker processes behind a bounded queue; use as `async with PixelPool(...) as pool`.

    Parameters
    ----------
    workers
        Processes; as many as cores. Each is started when it first has work.
    queue_limit
        Work that may wait; more is refused with BusyError.
    frame_timeout_s
        Wall-clock (and processor) time of one frame; then its worker is killed.
    cache
        Where results of slow codecs are kept, if anywhere.
    memory_limit_bytes
        Address space that a worker may take for its frame.
    niceness
        How far the workers stand back for others on the machine, as nice(1) counts it: 19 for what nobody waits for.
    """

    def __init__(
        self,
        *,
        workers: int,
        queue_limit: int = 256,
        frame_timeout_s: float = 30.0,
        cache: DerivedCache | None = None,
        memory_limit_bytes: int = MEMORY_LIMIT_BYTES,
        niceness: int = 0,
    ) -> None:
        self._workers = workers
        self._queue_limit = queue_limit
        self._frame_timeout_s = frame_timeout_s
        self._cache = cache
        self._worker_limits = WorkerLimits(memory_limit_bytes, niceness)
        self._jobs: dict[Hashable, _Job] = {}
        self._queue: deque[_Job] = deque()
        self._foreseen: deque[_Job] = deque()
        self._work = asyncio.Semaphore(0)
        self._runners: list[asyncio.Task[None]] = []
        self._sweep: asyncio.Task[int] | None = None
        self._mean_s = 0.05
        self.figures = PoolFigures()

    async def __aenter__(self) -> Self:
        self._runners = [asyncio.create_task(self._run()) for _ in range(self._workers)]
        return self

    async def __aexit__(self, *exception: object) -> None:
        closing = asyncio.create_task(self._close())
        try:
            await asyncio.shield(closing)
        except asyncio.CancelledError:
            await closing  # soon over; otherwise processes would be left behind
            raise

    async def _close(self) -> None:
        for runner in self._runners:
            runner.cancel()
        await asyncio.gather(*self._runners, return_exceptions=True)
        self._runners = []
        for job in (*self._queue, *self._foreseen):
            _fail(job, BusyError("The server is stopping."))
        self._queue.clear()
        self._foreseen.clear()
        if self._sweep is not None:
            await self._sweep

    @property
    def queued(self) -> int:
        """How much work waits for a worker."""
        return len(self._queue)

    async def native_frame(self, source: FrameSource, frame_index: int) -> bytes:
        """A frame (0-based) as native little endian bytes, as `transcode.native_frame` gives them.

        Raises UnprocessableError, BusyError, StoreError, NotFoundError.
        """
        return await self.transcode_frame(source, frame_index, EXPLICIT_LE)

    async def transcode_frame(self, source: FrameSource, frame_index: int, to: str) -> bytes:
        """A frame (0-based) in another transfer syntax, one of `transcode.targets_of`.

        Raises UnprocessableError, BusyError, StoreError, NotFoundError.
        """
        task, key = _transcoding(source, frame_index, to)
        return await self._derived(task, key, kept=is_worth_keeping(source.transfer_syntax_uid, to))

    def foresee_frame(self, source: FrameSource, frame_index: int, to: str) -> None:
        """Make what `transcode_frame` is likely to be asked for, into the cache, when there is nothing else to do.

        Raises NotFoundError, UnprocessableError.
        """
        if is_worth_keeping(source.transfer_syntax_uid, to):
            self._foresee(*_transcoding(source, frame_index, to))

    def foresee_picture(self, source: FrameSource, frame_index: int, parameters: RenderParameters) -> None:
        """Make what `render` is likely to be asked for; as `foresee_frame`."""
        self._foresee(*_picturing(source, (frame_index,), parameters))

    async def render(self, source: FrameSource, frame_index: int, parameters: RenderParameters) -> bytes:
        """A frame (0-based) as a picture. Raises UnprocessableError, BusyError, StoreError, NotFoundError."""
        return await self.animate(source, (frame_index,), parameters)

    async def animate(self, source: FrameSource, frame_indexes: tuple[int, ...], parameters: RenderParameters) -> bytes:
        """Several frames as one moving picture; `render` for one. Raises as that."""
        task, key = _picturing(source, frame_indexes, parameters)
        limit_s = self._frame_timeout_s * (1 + len(frame_indexes) / FRAMES_FOR_ANOTHER_TIMEOUT)
        return await self._derived(task, key, kept=True, limit_s=limit_s)

    async def render_in_state(
        self, source: FrameSource, frame_index: int, parameters: RenderParameters, state: StateSource
    ) -> bytes:
        """A frame as a presentation state says it is drawn; the viewport applies after that (PS3.18 §8.3.5.1.3)."""
        location = source.frame(frame_index)
        task = Picture((location,), (frame_index,), parameters, str(state.path))
        recipe = f"picture {(frame_index,)} {parameters.cache_name()} in {state.digest}"
        return await self._derived(task, DerivedKey(source.digest, recipe), kept=True)

    async def copy_frame(self, source: FrameSource, frame_index: int) -> bytes:
        """A frame (0-based) as lossless HTJ2K, decoded again and found to be the same bit for bit.

        Raises UnprocessableError where it is not, BusyError, StoreError, NotFoundError.
        """
        return await self._shared(ExactCopy(source.frame(frame_index)), None, None, self._frame_timeout_s)

    async def run(self, function: str, *arguments: Any, timeout_s: float | None = None) -> bytes:
        """Call a function, named "package.module:function", in a worker; it and its arguments can be pickled.

        For whole-instance work. Raises what the function raises, if that is an UnprocessableError or StoreError.
        """
        return await self._shared(Call(function, arguments), None, None, timeout_s or self._frame_timeout_s)

    async def _derived(self, task: Task, key: DerivedKey, *, kept: bool, limit_s: float | None = None) -> bytes:
        if kept and self._cache is not None:
            found = self._cache.find(key)
            if found is not None:
                self.figures.cached += 1
                return found
        return await self._shared(task, key, key if kept else None, limit_s or self._frame_timeout_s)

    async def _shared(self, task: Task, key: Hashable, cache_key: DerivedKey | None, limit_s: float) -> bytes:
        """Await the job of that key: the one under way, else a new one."""
        job = self._jobs.get(key) if key is not None else None
        if job is None:
            job = self._enqueue(task, key, cache_key, limit_s)
        else:
            self.figures.shared += 1
            self._wanted(job)
        job.waiting += 1
        try:
            return await asyncio.shield(job.result)
        finally:
            job.waiting -= 1
            if job.waiting == 0 and not job.result.done():
                self._abandon(job)

    def _enqueue(self, task: Task, key: Hashable, cache_key: DerivedKey | None, limit_s: float) -> _Job:
        if not self._runners:
            raise BusyError("The server is stopping.")
        if len(self._queue) >= self._queue_limit:
            self.figures.refused += 1
            wait_s = math.ceil(len(self._queue) * self._mean_s / self._workers)
            raise BusyError(
                "Too many frames wait to be decoded.", retry_after_s=max(1, min(wait_s, MAXIMUM_RETRY_AFTER_S))
            )
        job = _Job(task, key, limit_s, asyncio.get_running_loop().create_future(), cache_key)
        if key is not None:
            self._jobs[key] = job
        self._queue.append(job)
        self._work.release()
        return job

    def _foresee(self, task: Task, key: DerivedKey) -> None:
        if self._cache is None or not self._runners or key in self._jobs or self._cache.has(key):
            return
        loop = asyncio.get_running_loop()
        job = _Job(task, key, self._frame_timeout_s, loop.create_future(), key)
        job.foreseen_until_s = loop.time() + FORESEEN_S
        self._jobs[key] = job
        self._foreseen.append(job)
        if len(self._foreseen) > MAXIMUM_FORESEEN:
            self._forget(self._foreseen.popleft())
        self._work.release()

    def _wanted(self, job: _Job) -> None:
        """Somebody asks for what was only foreseen: it takes its place among what is waited for."""
        if job.foreseen_until_s is not None:
            job.foreseen_until_s = None
            if job in self._foreseen:
                self._foreseen.remove(job)
                self._queue.append(job)

    def _next(self) -> _Job | None:
        """What is waited for goes before what is foreseen."""
        if self._queue:
            return self._queue.popleft()
        now_s = asyncio.get_running_loop().time()
        while self._foreseen:
            job = self._foreseen.popleft()
            if job.foreseen_until_s is not None and now_s < job.foreseen_until_s:
                self.figures.foreseen += 1
                return job
            self._forget(job)
        return None

    def _abandon(self, job: _Job) -> None:
        """Nobody waits any more: forget it if it waits itself, else give it a last moment."""
        self._forget(job)
        if job.running is None:
            if job in self._queue:
                self._queue.remove(job)
            job.result.cancel()
            return
        last = asyncio.get_running_loop().time() + ABANDONED_S
        when = job.running.when()
        if not job.running.expired() and (when is None or when > last):
            job.running.reschedule(last)

    def _forget(self, job: _Job) -> None:
        if self._jobs.get(job.key) is job:
            del self._jobs[job.key]

    async def _run(self) -> None:
        """One seat: a worker, and those that take its place, doing one job after another."""
        seat = _Seat(self._worker_limits)
        try:
            while True:
                await self._work.acquire()
                if (job := self._next()) is not None:  # it may have been abandoned meanwhile
                    await self._work_on(job, seat)
        finally:
            await seat.leave(patience_s=0.5)

    async def _work_on(self, job: _Job, seat: "_Seat") -> None:
        started = asyncio.get_running_loop().time()
        try:
            result = await self._attempts(job, seat)
        except LightboxError as error:
            self.figures.failed += 1
            _fail(job, error)
        except asyncio.CancelledError:
            _fail(job, BusyError("The server is stopping."))
            raise
        else:
            self.figures.finished += 1
            if not job.result.done():
                job.result.set_result(result)
            self._keep_within_limit(job, len(result))
        finally:
            self._forget(job)
            seconds = asyncio.get_running_loop().time() - started
            self.figures.busy_s += seconds
            self._mean_s += (seconds - self._mean_s) / 16

    async def _attempts(self, job: _Job, seat: "_Seat") -> bytes:
        """A worker that someone else killed is no fault of the frame: it is tried once more, with a new one."""
        for last in (False, True):
            try:
                return await self._ask(job, await seat.worker())
            except WorkerDiedError as death:
                await seat.leave()
                self.figures.deaths += 1
                if last or not death.by_kill:
                    raise UnprocessableError("The decoder broke down on this frame.") from None
            except TimeoutError:
                await seat.leave()
                self.figures.deaths += 1
                raise UnprocessableError(f"The frame took longer than {job.limit_s:g} seconds.") from None
        raise AssertionError("the second attempt returns or raises")

    async def _ask(self, job: _Job, worker: WorkerProcess) -> bytes:
        keep_at = self._cache.path(job.cache_key) if self._cache is not None and job.cache_key is not None else None
        try:
            async with asyncio.timeout(job.limit_s) as job.running:
                return await worker.ask(Request(job.task, job.limit_s, keep_at))
        finally:
            job.running = None

    def _keep_within_limit(self, job: _Job, length_bytes: int) -> None:
        if self._cache is None or job.cache_key is None:
            return
        self._cache.note_written(length_bytes)
        if self._cache.sweep_is_due and (self._sweep is None or self._sweep.done()):
            self._sweep = asyncio.create_task(asyncio.to_thread(self._cache.sweep))


def is_worth_keeping(stored: str, to: str) -> bool:
    """Whether frames in this syntax, given in that one, go to the derived cache and are made ahead."""
    return to != EXPLICIT_LE or stored not in QUICK


def _transcoding(source: FrameSource, frame_index: int, to: str) -> tuple[Task, DerivedKey]:
    location = source.frame(frame_index)
    task = NativeFrame(location) if to == EXPLICIT_LE else TranscodedFrame(location, to)
    return task, DerivedKey(source.digest, f"frame {frame_index} {to}")


def _picturing(
    source: FrameSource, frame_indexes: tuple[int, ...], parameters: RenderParameters
) -> tuple[Task, DerivedKey]:
    locations = tuple(source.frame(frame_index) for frame_index in frame_indexes)
    task = Picture(locations, frame_indexes, parameters)
    return task, DerivedKey(source.digest, f"picture {frame_indexes} {parameters.cache_name()}")


def _fail(job: _Job, error: LightboxError) -> None:
    if not job.result.done():
        job.result.set_exception(error)
        job.result.exception()  # marked as seen: its awaiters may be gone


class _Seat:
    """Where at most one worker sits."""

    def __init__(self, limits: WorkerLimits) -> None:
        self._limits = limits
        self._worker: WorkerProcess | None = None

    async def worker(self) -> WorkerProcess:
        """The worker that sits here, started where there is none."""
        if self._worker is None:
            self._worker = await WorkerProcess.start(self._limits)
        return self._worker

    async def leave(self, patience_s: float = 0.0) -> None:
        """End the worker, if there is one; kill it when it is not done within patience."""
        if self._worker is not None:
            worker, self._worker = self._worker, None
            await worker.end(patience_s)
