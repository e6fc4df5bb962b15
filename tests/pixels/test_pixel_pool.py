"""The pool as a handler sees it: right frames, bounded waiting, and nothing that one frame does hurts another."""

import asyncio
import os
import pickle
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from archive.errors import BusyError, NotFoundError, StoreError, UnprocessableError
from archive.instances import Span
from wado.pixels.cache import DerivedCache
from wado.pixels.encode import encode_frame
from wado.pixels.pool import PixelPool
from wado.pixels.process import WorkerLimits, WorkerProcess
from wado.pixels.source import FrameLocation
from wado.pixels.syntaxes import EXPLICIT_LE, HTJ2K_LOSSLESS_RPCL, JPEG_2000_LOSSLESS, JPEG_LS, RLE
from wado.pixels.tasks import NativeFrame
from wado.pixels.worker import Request

WAIT_S = 30.0


def hang() -> bytes:
    while True:
        pass


def sleep_long() -> bytes:
    time.sleep(3600)
    return b""


def crash() -> bytes:
    os.abort()


def swallow_memory() -> bytes:
    return bytes(np.ones(64 << 30, np.uint8)[:1])


def mark_and_wait(folder: str) -> bytes:
    """Tell which process works, then wait until the test says go."""
    Path(folder, f"begun-{os.getpid()}").touch()
    while not Path(folder, "go").exists():
        time.sleep(0.01)
    return str(os.getpid()).encode()


def mark_and_hang(folder: str) -> bytes:
    Path(folder, "begun").touch()
    return hang()


def environment() -> bytes:
    return repr(sorted(os.environ)).encode()


def unexpected_error() -> bytes:
    raise KeyError("a bug")


def named(function: Callable[..., bytes]) -> str:
    return f"{__name__}:{function.__name__}"


@pytest.fixture(autouse=True)
def _functions_are_found_by_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests are loaded by path; a worker imports this module by its name."""
    root = Path(__file__).resolve().parents[len(__name__.split(".")) - 1]
    monkeypatch.syspath_prepend(str(root))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
def frames(framed: Any, ct_kind: Any) -> Any:
    """Six different frames in JPEG 2000, and their samples."""
    samples = [ct_kind.draw() ^ np.uint16(index) for index in range(6)]
    coded = [encode_frame(array, ct_kind.facts, JPEG_2000_LOSSLESS) for array in samples]
    return framed(coded, ct_kind.facts, JPEG_2000_LOSSLESS), samples


async def test_frames_come_back_native_and_transcoded(frames: Any) -> None:
    source, samples = frames
    async with PixelPool(workers=2) as pool:
        native = await asyncio.gather(*(pool.native_frame(source, index) for index in range(6)))
        assert native == [array.tobytes() for array in samples]
        coded = await pool.transcode_frame(source, 3, JPEG_LS)
        assert coded == encode_frame(samples[3], source.facts, JPEG_LS)
        with pytest.raises(NotFoundError):
            await pool.native_frame(source, 6)


async def test_frames_larger_than_what_is_retained_come_back_and_their_memory_is_given_back(
    framed: Any, make_kind: Any
) -> None:
    kind = make_kind(16, 16, rows=3000, columns=4000)
    samples = np.arange(12_000_000, dtype=np.uint32).astype(np.uint16).reshape(3000, 4000)
    small = make_kind(16, 16, rows=30, columns=40)
    big_source = framed([encode_frame(samples, kind.facts, HTJ2K_LOSSLESS_RPCL)], kind.facts, HTJ2K_LOSSLESS_RPCL)
    small_source = framed([encode_frame(small.draw(), small.facts, RLE)], small.facts, RLE)
    async with PixelPool(workers=1) as pool:
        for _ in range(2):
            assert await pool.native_frame(big_source, 0) == samples.tobytes()
            assert await pool.native_frame(small_source, 0) == small.draw().tobytes()


async def test_a_damaged_frame_costs_itself_only(framed: Any, ct_kind: Any) -> None:
    good = encode_frame(ct_kind.draw(), ct_kind.facts, JPEG_LS)
    bad = good[: len(good) // 8] + bytes(40)
    source = framed([good, bad, good], ct_kind.facts, JPEG_LS)
    async with PixelPool(workers=1) as pool:
        answers = await asyncio.gather(
            *(pool.native_frame(source, index) for index in range(3)), return_exceptions=True
        )
    assert answers[0] == answers[2] == ct_kind.draw().tobytes()
    assert isinstance(answers[1], UnprocessableError)


async def test_a_file_that_is_gone_is_a_store_error(frames: Any) -> None:
    source, _ = frames
    source.path.unlink()
    async with PixelPool(workers=1) as pool:
        with pytest.raises(StoreError):
            await pool.native_frame(source, 0)


@pytest.mark.parametrize("function", [crash, unexpected_error, swallow_memory])
async def test_a_codec_that_breaks_down_costs_its_own_frame_and_the_pool_lives_on(
    frames: Any, function: Callable[..., bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    source, samples = frames
    async with PixelPool(workers=1) as pool:
        with pytest.raises(UnprocessableError):
            await pool.run(named(function))
        assert await pool.native_frame(source, 0) == samples[0].tobytes()


@pytest.mark.parametrize("function", [hang, sleep_long])
async def test_work_over_its_time_is_killed_and_the_next_frame_works(
    frames: Any, function: Callable[..., bytes]
) -> None:
    source, samples = frames
    async with PixelPool(workers=1, frame_timeout_s=20) as pool:
        await pool.native_frame(source, 0)
        started = time.monotonic()
        with pytest.raises(UnprocessableError, match="longer than"):
            await pool.run(named(function), timeout_s=0.3)
        assert time.monotonic() - started < 10
        assert await pool.native_frame(source, 1) == samples[1].tobytes()


async def test_a_real_frame_on_which_the_codec_works_for_many_seconds_is_given_up(framed: Any, make_kind: Any) -> None:
    """CharLS 2.4 spends half a minute on these 580 bytes of a cut frame of 33 × 31 pixels."""
    kind = make_kind(12, 16, rows=33, columns=31)
    whole = encode_frame(kind.draw(), kind.facts, JPEG_LS)
    source = framed([whole[: len(whole) // 2], whole], kind.facts, JPEG_LS)
    async with PixelPool(workers=1, frame_timeout_s=1) as pool:
        with pytest.raises(UnprocessableError):
            await pool.native_frame(source, 0)
        assert await pool.native_frame(source, 1) == kind.draw().tobytes()


async def test_a_worker_that_someone_kills_mid_frame_costs_nothing_but_a_second_try(tmp_path: Path) -> None:
    async with PixelPool(workers=1) as pool:
        work = asyncio.create_task(pool.run(named(mark_and_wait), str(tmp_path), timeout_s=WAIT_S))
        await until(lambda: bool(list(tmp_path.glob("begun-*"))))
        first = int(next(tmp_path.glob("begun-*")).name.removeprefix("begun-"))
        os.kill(first, signal.SIGKILL)
        await until(lambda: len(list(tmp_path.glob("begun-*"))) == 2)
        (tmp_path / "go").touch()
        assert int(await work) != first
        assert pool.figures.deaths == 1


async def test_a_worker_that_is_killed_again_and_again_fails_its_frame(tmp_path: Path) -> None:
    async with PixelPool(workers=1) as pool:
        work = asyncio.create_task(pool.run(named(mark_and_wait), str(tmp_path), timeout_s=WAIT_S))
        for attempt in (1, 2):
            await until(lambda: len(list(tmp_path.glob("begun-*"))) == attempt)  # noqa: B023  # awaited at once
            newest = max(tmp_path.glob("begun-*"), key=lambda path: path.stat().st_mtime_ns)
            os.kill(int(newest.name.removeprefix("begun-")), signal.SIGKILL)
        with pytest.raises(UnprocessableError, match="broke down"):
            await work


async def test_work_over_the_queue_is_refused_with_a_time_to_come_again(tmp_path: Path, frames: Any) -> None:
    source, samples = frames
    async with PixelPool(workers=1, queue_limit=2) as pool:
        blocker = asyncio.create_task(pool.run(named(mark_and_wait), str(tmp_path), timeout_s=WAIT_S))
        await until(lambda: bool(list(tmp_path.glob("begun-*"))))
        waiting = [asyncio.create_task(pool.native_frame(source, index)) for index in (0, 1)]
        await asyncio.sleep(0)
        with pytest.raises(BusyError) as refused:
            await pool.native_frame(source, 2)
        assert refused.value.retry_after_s >= 1
        (tmp_path / "go").touch()
        assert await asyncio.gather(*waiting) == [samples[0].tobytes(), samples[1].tobytes()]
        await blocker
        assert await pool.native_frame(source, 2) == samples[2].tobytes()


async def test_the_same_frame_asked_for_by_many_is_decoded_once(tmp_path: Path, frames: Any) -> None:
    source, samples = frames
    async with PixelPool(workers=1, queue_limit=1) as pool:
        blocker = asyncio.create_task(pool.run(named(mark_and_wait), str(tmp_path), timeout_s=WAIT_S))
        await until(lambda: bool(list(tmp_path.glob("begun-*"))))
        many = [asyncio.create_task(pool.native_frame(source, 0)) for _ in range(20)]
        await asyncio.sleep(0)
        (tmp_path / "go").touch()
        assert set(await asyncio.gather(*many)) == {samples[0].tobytes()}
        await blocker
        assert pool.figures.finished == 2
        assert pool.figures.shared == 19


async def test_work_that_nobody_waits_for_leaves_the_queue(tmp_path: Path, frames: Any) -> None:
    source, samples = frames
    async with PixelPool(workers=1, queue_limit=1) as pool:
        blocker = asyncio.create_task(pool.run(named(mark_and_wait), str(tmp_path), timeout_s=WAIT_S))
        await until(lambda: bool(list(tmp_path.glob("begun-*"))))
        leaving = [asyncio.create_task(pool.native_frame(source, 0)) for _ in range(2)]
        await asyncio.sleep(0)
        for client in leaving:
            client.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
        staying = asyncio.create_task(pool.native_frame(source, 1))
        await asyncio.sleep(0)
        (tmp_path / "go").touch()
        assert await staying == samples[1].tobytes()
        await blocker
        assert pool.figures.finished == 2


async def test_one_who_leaves_does_not_disturb_another_who_waits_for_the_same(tmp_path: Path, frames: Any) -> None:
    source, samples = frames
    async with PixelPool(workers=1) as pool:
        blocker = asyncio.create_task(pool.run(named(mark_and_wait), str(tmp_path), timeout_s=WAIT_S))
        await until(lambda: bool(list(tmp_path.glob("begun-*"))))
        leaves, stays = (asyncio.create_task(pool.native_frame(source, 0)) for _ in range(2))
        await asyncio.sleep(0)
        leaves.cancel()
        (tmp_path / "go").touch()
        assert await stays == samples[0].tobytes()
        await blocker


async def test_work_under_way_that_nobody_waits_for_ends_within_seconds(tmp_path: Path, frames: Any) -> None:
    source, samples = frames
    async with PixelPool(workers=1) as pool:
        await pool.native_frame(source, 0)
        client = asyncio.create_task(pool.run(named(mark_and_hang), str(tmp_path), timeout_s=600))
        await until((tmp_path / "begun").exists)
        client.cancel()
        async with asyncio.timeout(WAIT_S):
            assert await pool.native_frame(source, 1) == samples[1].tobytes()
        assert pool.figures.deaths == 1


async def test_results_of_slow_codecs_are_kept_and_survive_the_pool(tmp_path: Path, frames: Any) -> None:
    source, samples = frames
    cache = DerivedCache(tmp_path / "derived", 100 << 20)
    async with PixelPool(workers=1, cache=cache) as pool:
        assert await pool.native_frame(source, 0) == samples[0].tobytes()
        await pool.native_frame(source, 1)  # a worker keeps a result before it takes the next task
        assert await pool.native_frame(source, 0) == samples[0].tobytes()
        assert pool.figures.cached == 1
    source.path.unlink()
    async with PixelPool(workers=1, cache=cache) as pool:
        assert await pool.native_frame(source, 0) == samples[0].tobytes()


async def test_the_cache_may_be_deleted_at_any_moment(tmp_path: Path, frames: Any) -> None:
    import shutil

    source, samples = frames
    cache = DerivedCache(tmp_path / "derived", 100 << 20)
    async with PixelPool(workers=1, cache=cache) as pool:
        for index in (0, 1, 0, 1):
            assert await pool.native_frame(source, index) == samples[index].tobytes()
            shutil.rmtree(tmp_path / "derived", ignore_errors=True)


async def test_a_worker_knows_nothing_of_the_servers_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIGHTBOX_SECRET", "s3cret")
    async with PixelPool(workers=1) as pool:
        assert b"LIGHTBOX_SECRET" not in await pool.run(named(environment))


async def test_a_pool_that_stops_leaves_no_process_and_answers_who_still_waits(tmp_path: Path, frames: Any) -> None:
    source, _ = frames
    pool = PixelPool(workers=1)
    async with pool:
        blocker = asyncio.create_task(pool.run(named(mark_and_wait), str(tmp_path), timeout_s=WAIT_S))
        await until(lambda: bool(list(tmp_path.glob("begun-*"))))
        process_id = int(next(tmp_path.glob("begun-*")).name.removeprefix("begun-"))
        waiting = asyncio.create_task(pool.native_frame(source, 0))
        await asyncio.sleep(0)
    with pytest.raises(BusyError):
        await waiting
    with pytest.raises(BusyError):
        await blocker
    with pytest.raises(ProcessLookupError):
        os.kill(process_id, 0)
    with pytest.raises(BusyError):
        await pool.native_frame(source, 0)


async def test_a_worker_ends_when_its_server_is_gone() -> None:
    worker = await WorkerProcess.start(WorkerLimits(1 << 30))
    started = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    await worker.end(patience_s=WAIT_S)
    assert worker._process.returncode == 0
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime >= started


async def test_a_native_frame_in_explicit_little_endian_is_given_as_it_is(framed: Any, ct_kind: Any) -> None:
    source = framed([ct_kind.draw().tobytes()], ct_kind.facts, EXPLICIT_LE)
    async with PixelPool(workers=1) as pool:
        assert await pool.native_frame(source, 0) == ct_kind.draw().tobytes()


def test_a_task_says_the_same_on_the_other_side(kind: Any) -> None:
    location = FrameLocation("/blob", (Span(1, 2), Span(7, 3)), 4, kind.facts, JPEG_LS, value_offset=1)
    request = Request(NativeFrame(location), 2.5, "/derived")
    assert pickle.loads(pickle.dumps(request, pickle.HIGHEST_PROTOCOL)) == request
