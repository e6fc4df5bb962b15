"""What the pool makes before anyone asks: only in spare time, only a little, and never twice."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wado.pixels.cache import DerivedCache
from wado.pixels.encode import encode_frame
from wado.pixels.pool import MAXIMUM_FORESEEN, PixelPool
from wado.pixels.source import FrameSource
from wado.pixels.syntaxes import EXPLICIT_LE, JPEG_2000_LOSSLESS, JPEG_LS

FRAMES = 14
WAIT_S = 30.0


@pytest.fixture
def source(framed: Any, ct_kind: Any) -> FrameSource:
    coded = [encode_frame(ct_kind.draw() ^ np.uint16(index), ct_kind.facts, JPEG_LS) for index in range(FRAMES)]
    found: FrameSource = framed(coded, ct_kind.facts, JPEG_LS)
    return found


def kept(folder: Path) -> int:
    return sum(path.is_file() and not path.name.endswith(".partial") for path in folder.rglob("*"))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_foreseen_frame_is_in_the_cache_when_it_is_asked_for(source: FrameSource, tmp_path: Path) -> None:
    folder = tmp_path / "derived"
    async with PixelPool(workers=1, cache=DerivedCache(folder, 1 << 30)) as pool:
        pool.foresee_frame(source, 3, EXPLICIT_LE)
        pool.foresee_frame(source, 3, EXPLICIT_LE)
        await until(lambda: kept(folder) == 1)
        frame = await pool.native_frame(source, 3)
        assert len(frame) == source.facts.frame_bytes
        assert (pool.figures.finished, pool.figures.cached) == (1, 1)
        pool.foresee_frame(source, 3, EXPLICIT_LE)
        assert (await pool.native_frame(source, 4)) != frame
        assert pool.figures.foreseen == 1


async def test_what_is_waited_for_goes_first_and_what_is_foreseen_is_bounded(
    source: FrameSource, tmp_path: Path
) -> None:
    folder = tmp_path / "derived"
    async with PixelPool(workers=1, cache=DerivedCache(folder, 1 << 30)) as pool:
        for index in range(1, FRAMES):
            pool.foresee_frame(source, index, JPEG_2000_LOSSLESS)
        await pool.transcode_frame(source, 0, JPEG_2000_LOSSLESS)
        assert pool.figures.finished == 1
        await until(lambda: pool.figures.finished == MAXIMUM_FORESEEN + 1)
        await until(lambda: kept(folder) == MAXIMUM_FORESEEN + 1)
        assert pool.figures.foreseen == MAXIMUM_FORESEEN


async def test_a_foreseen_frame_that_is_asked_for_meanwhile_is_made_once(source: FrameSource, tmp_path: Path) -> None:
    async with PixelPool(workers=1, cache=DerivedCache(tmp_path / "derived", 1 << 30)) as pool:
        for index in range(4):
            pool.foresee_frame(source, index, EXPLICIT_LE)
        await asyncio.gather(*(pool.native_frame(source, index) for index in (3, 2, 3)))
        await until(lambda: pool.figures.finished == 4)
        assert pool.figures.foreseen == 2


async def test_what_is_foreseen_is_left_when_its_time_is_over(
    source: FrameSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wado.pixels.pool.FORESEEN_S", 0.0)
    async with PixelPool(workers=1, cache=DerivedCache(tmp_path / "derived", 1 << 30)) as pool:
        pool.foresee_frame(source, 1, EXPLICIT_LE)
        await pool.native_frame(source, 0)
        assert (pool.figures.finished, pool.figures.foreseen) == (1, 0)
        assert len(await pool.native_frame(source, 1)) == source.facts.frame_bytes


async def test_without_a_cache_nothing_is_foreseen(source: FrameSource) -> None:
    async with PixelPool(workers=1) as pool:
        pool.foresee_frame(source, 1, EXPLICIT_LE)
        await pool.native_frame(source, 0)
        assert (pool.figures.finished, pool.figures.foreseen) == (1, 0)
