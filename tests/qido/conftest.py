"""An index, and a client that searches in it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from search_builder import IndexBuilder
from search_client import Searching, searching_in


@pytest.fixture
def index(tmp_path: Path) -> Iterator[IndexBuilder]:
    builder = IndexBuilder(tmp_path / "index.sqlite")
    yield builder
    builder.engine.dispose()


@pytest.fixture
async def searching(index: IndexBuilder) -> AsyncIterator[Searching]:
    async with searching_in(index) as client:
        yield client
