"""Work that goes on: begun again after a fault, told of when it ends by one, and done by one of several."""

import asyncio
import logging
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from archive import background
from archive.errors import BusyError


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "RESTART_S", 0.0)
    monkeypatch.setattr(background, "TURN_EVERY_S", 0.0)


async def test_work_that_the_database_fails_begins_again() -> None:
    begun: asyncio.Queue[int] = asyncio.Queue()

    async def work() -> None:
        begun.put_nowait(begun.qsize())
        raise BusyError("The database is busy.")

    task = background.begin(work)
    async with asyncio.timeout(10):
        for _ in range(3):
            await begun.get()
    await background.end(task)
    assert task.cancelled()


async def test_work_that_ends_by_a_fault_of_ours_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        raise ZeroDivisionError

    task = background.begin(work)
    with caplog.at_level(logging.CRITICAL):
        await asyncio.wait([task], timeout=10)
        await asyncio.sleep(0)  # the callback's turn
    assert "ended by a fault" in caplog.text


async def test_of_several_one_does_the_work_and_another_takes_over_when_it_ends(tmp_path: Path) -> None:
    turns: asyncio.Queue[str] = asyncio.Queue()

    def worker(name: str) -> background.Work:
        async def work() -> None:
            turns.put_nowait(name)
            await asyncio.Event().wait()

        return work

    def turn() -> AbstractAsyncContextManager[bool]:
        return background.turn_of_host(tmp_path / "lock")

    first = background.begin(worker("first"), turn)
    async with asyncio.timeout(10):
        assert await turns.get() == "first"
        second = background.begin(worker("second"), turn)
        for _ in range(100):
            await asyncio.sleep(0)
        assert turns.empty()
        await background.end(first)
        assert await turns.get() == "second"
    await background.end(second)
