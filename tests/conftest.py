"""What tests of all packages share: `tests/` is importable, so that they find each other's builders."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import databases


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--database", choices=databases.KINDS, default="sqlite", help="What the archive's rows are kept in."
    )


def pytest_configure(config: pytest.Config) -> None:
    databases.choose(config.getoption("--database"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What tells of SQLite's own file has nothing to say of another database."""
    if config.getoption("--database") != "sqlite":
        about_file = [item for item in items if item.get_closest_marker("sqlite") is not None]
        config.hook.pytest_deselected(items=about_file)
        items[:] = [item for item in items if item.get_closest_marker("sqlite") is None]
