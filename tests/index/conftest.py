"""An index to search in."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from search_builder import IndexBuilder


@pytest.fixture
def index(tmp_path: Path) -> Iterator[IndexBuilder]:
    builder = IndexBuilder(tmp_path / "index.sqlite")
    yield builder
    builder.engine.dispose()
