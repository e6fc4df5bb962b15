"""Each gate of .ci/check lets a good tree pass and stops a bad sample, one per rule."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

PROJECT = Path(__file__).resolve().parents[2]
PACKAGES = ("archive", "auth", "conformance", "qido", "stow", "wado")
AS_THEY_ARE = (".gitignore", "CHANGELOG.md", "LICENSE", "Makefile", "README.md", "pyproject.toml")

# The smallest archive that keeps the command contract the wheel gate asks for.
SMALLEST_ARCHIVE = '''\
"""Answer that it is ready, until told to stop."""

import signal
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path


class Ready(BaseHTTPRequestHandler):
    """Ready, whatever is asked."""

    def do_GET(self) -> None:
        """Say yes."""
        self.send_response(200)
        self.end_headers()


def main() -> None:
    """Serve when asked to."""
    (Path(__file__).parent / "schema.sql").read_text()
    if sys.argv[1] == "serve":
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        HTTPServer(("127.0.0.1", int(sys.argv[-1])), Ready).serve_forever()
'''


class Tree:
    """A small project under the real project's configuration, to be spoilt."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in AS_THEY_ARE:
            shutil.copy(PROJECT / name, root)
        for package in PACKAGES:
            self.write(f"{package}/__init__.py", f'"""The package {package}."""\n')
            self.write(f"{package}/py.typed", "")
        self.write("wado/pixels/__init__.py", '"""The pixel core."""\n')
        self.write("archive/config.py", '"""Settings."""\n')
        self.write("archive/errors.py", '"""The error tree."""\n')
        self.write("archive/cli.py", SMALLEST_ARCHIVE)
        self.write("archive/schema.sql", "CREATE TABLE study (uid TEXT);\n")
        self.write("tests/test_sums.py", '"""Sums."""\n\n\ndef test_one_and_one() -> None:\n    assert 1 + 1 == 2\n')
        subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)

    def write(self, path: str, text: str) -> None:
        """Put a file into the tree."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(text))

    def check(self, *gates: str) -> tuple[bool, str]:
        """Run gates; say whether they held, and what they said (its line breaks made spaces)."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
        command = [sys.executable, str(PROJECT / ".ci" / "check"), "--root", str(self.root), *gates]
        outcome = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        return outcome.returncode == 0, " ".join(outcome.stdout.split())

    def refusal(self, *gates: str) -> str:
        """Run gates that must not hold; give what they said."""
        held, said = self.check(*gates)
        assert not held, said
        return said


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_a_good_tree_passes_every_gate(tree: Tree) -> None:
    held, said = tree.check("top-level", "packages", "size", "format", "lint", "types", "imports", "wheel", "tests")
    assert held, said
    assert said.endswith("==")  # pytest's closing line is the last one
    assert "1 passed in" in said[said.index("=== summary") :]


def test_a_stranger_at_the_top_is_refused(tree: Tree) -> None:
    tree.write("utils/__init__.py", '"""Anything."""\n')
    assert "utils: no agreed name at the top" in tree.refusal("top-level")


def test_what_git_ignores_may_stand_at_the_top(tree: Tree) -> None:
    tree.write("data/store/blob", "bytes")
    held, said = tree.check("top-level")
    assert held, said


def test_a_folder_of_modules_that_is_no_package_is_refused(tree: Tree) -> None:
    tree.write("archive/pages/desk.py", '"""The desk."""\n')
    tree.write("archive/database/migrations/env.py", '"""Run by Alembic, by its path."""\n')
    said = tree.refusal("packages")
    assert "archive/pages: modules without an __init__.py" in said
    assert "migrations" not in said


def test_tests_that_are_a_package_are_refused(tree: Tree) -> None:
    tree.write("tests/store/__init__.py", "")
    assert "tests/store/__init__.py: tests are files" in tree.refusal("packages")


@pytest.mark.parametrize(("length_lines", "holds"), [(450, True), (451, False)])
def test_a_module_of_more_than_450_lines_is_refused(tree: Tree, length_lines: int, holds: bool) -> None:
    tree.write("qido/results.py", '"""Rows."""\n' + "\n" * (length_lines - 1))
    held, said = tree.check("size")
    assert held == holds
    assert ("qido/results.py: 451 lines" in said) != holds


def test_code_out_of_format_is_refused(tree: Tree) -> None:
    tree.write("stow/parts.py", '"""Parts."""\nsize = {\'a\':1}\n')
    assert "stow/parts.py" in tree.refusal("format")


@pytest.mark.parametrize(
    ("rule", "source"),
    [
        ("F401", "import json\n"),
        ("BLE001", "try:\n    size = 1\nexcept Exception:\n    size = 2\n"),
        ("S608", "def sql(name: str) -> str:\n    return f'SELECT * FROM study WHERE name = {name}'\n"),
        ("DTZ005", "import datetime\n\nNOW = datetime.datetime.now()\n"),
    ],
)
def test_what_the_linter_knows_is_refused(tree: Tree, rule: str, source: str) -> None:
    tree.write("stow/parts.py", source)
    assert rule in tree.refusal("lint")


def test_an_untyped_function_is_refused_in_each_package(tree: Tree) -> None:
    for package in PACKAGES:
        tree.write(f"{package}/sample.py", '"""A sample."""\n\n\ndef double(size):\n    return 2 * size\n')
    said = tree.refusal("types")
    for package in PACKAGES:
        assert f"{package}/sample.py:4: error: Function is missing a type annotation" in said


@pytest.mark.parametrize(
    ("contract", "path", "line"),
    [
        ("The levels of the module map", "archive/index/reader.py", "import archive.cli"),
        ("The levels of the module map", "archive/scope.py", "import archive.dicom"),
        ("The levels of the module map", "archive/ingest.py", "import auth"),
        ("The levels of the module map", "auth/access.py", "import qido"),
        ("The levels of the module map", "archive/errors.py", "import archive.identifiers"),
        ("The levels of the module map", "wado/frames.py", "import qido"),
        ("The levels of the module map", "archive/store/files.py", "import archive.dicom"),
        ("The levels of the module map", "archive/ingest.py", "import archive.resources"),
        ("Every module of archive has its level", "archive/helpers.py", ""),
        ("aiohttp only where the web is spoken", "archive/index/reader.py", "import aiohttp"),
        ("aiohttp only where the web is spoken", "archive/ingest.py", "from aiohttp import web"),
        ("The pixel core knows no web", "wado/pixels/render.py", "import aiohttp"),
        ("The pixel core knows no web", "wado/pixels/render.py", "import wado.routes"),
        ("Database drivers and migrations only in archive.database", "archive/index/reader.py", "import sqlite3"),
        ("Database drivers and migrations only in archive.database", "auth/shares.py", "import aiosqlite"),
        ("Database drivers and migrations only in archive.database", "archive/cli.py", "import alembic"),
        ("Database drivers and migrations only in archive.database", "archive/jobs.py", "import asyncpg"),
        ("SQL stands with its tables' owners", "qido/results.py", "import sqlalchemy"),
        ("pydicom only where DICOM is read", "wado/metadata.py", "import pydicom"),
        ("pydicom only where DICOM is read", "archive/ingest.py", "from pydicom.uid import UID"),
        ("Settings are read at the top and handed down", "archive/store/files.py", "import archive.config"),
        ("Settings are read at the top and handed down", "archive/pages/desk.py", "from archive import config"),
        ("The conformance suite knows nothing of ours", "conformance/report.py", "import archive.errors"),
        ("Nothing of ours leans on the conformance suite", "archive/cli.py", "import conformance"),
    ],
)
def test_an_import_against_the_map_is_refused(tree: Tree, contract: str, path: str, line: str) -> None:
    for module in ("dicom/__init__", "identifiers", "index/__init__", "pages/__init__", "resources", "store/__init__"):
        tree.write(f"archive/{module}.py", '"""A module."""\n')
    tree.write("wado/routes.py", '"""Routes."""\n\nimport aiohttp\n')
    held, said = tree.check("imports")
    assert held, said
    tree.write(path, f'"""A sample."""\n\n{line}\n')
    assert contract in tree.refusal("imports").partition("Broken contracts")[2]


def test_a_test_that_warns_is_refused(tree: Tree) -> None:
    tree.write(
        "tests/test_warns.py",
        """\
        import warnings


        def test_it_warns() -> None:
            warnings.warn("soon gone", DeprecationWarning)
        """,
    )
    said = tree.refusal("tests")
    assert "DeprecationWarning: soon gone" in said
    assert "1 failed, 1 passed" in said[said.index("=== summary") :]


def test_a_file_left_open_by_a_test_is_refused(tree: Tree) -> None:
    tree.write("tests/test_leaks.py", "def test_it_leaks() -> None:\n    open(__file__)\n")
    assert "ResourceWarning" in tree.refusal("tests")


def test_a_tree_without_tests_is_refused(tree: Tree) -> None:
    (tree.root / "tests" / "test_sums.py").unlink()
    assert "no tests ran" in tree.refusal("tests")


def test_a_wheel_without_a_data_file_is_refused(tree: Tree) -> None:
    tree.write("archive/pages/static/page.css", "body { margin: 0 }\n")
    configuration = (tree.root / "pyproject.toml").read_text()
    table = "[tool.hatch.build.targets.wheel]\n"
    assert table in configuration
    tree.write("pyproject.toml", configuration.replace(table, table + 'exclude = ["*.css", "*.typed"]\n'))
    said = tree.refusal("wheel")
    assert "the wheel lacks: archive/pages/static/page.css, archive/py.typed, auth/py.typed" in said


def test_a_module_that_only_imports_inside_the_tree_is_refused(tree: Tree) -> None:
    tree.write("qido/results.py", '"""Rows."""\n\nfrom pathlib import Path\n\nNAMES = Path("README.md").read_text()\n')
    assert "No such file or directory: 'README.md'" in tree.refusal("wheel")


def test_a_module_that_needs_what_only_the_tests_bring_is_refused(tree: Tree) -> None:
    tree.write("qido/results.py", '"""Rows."""\n\nimport pytest\n')
    assert "pytest comes with no requirement of lightbox-archive" in tree.refusal("wheel")


def test_a_package_that_forgets_its_types_is_refused(tree: Tree) -> None:
    (tree.root / "stow" / "py.typed").unlink()
    assert "stow has no py.typed" in tree.refusal("wheel")


@pytest.mark.parametrize(
    ("spoilt", "complaint"),
    [
        (('if sys.argv[1] == "serve":', "if False:"), "does not get ready"),
        (("sys.exit(0)", "sys.exit(3)"), "did not stop cleanly"),
    ],
)
def test_a_server_that_does_not_come_and_go_is_refused(tree: Tree, spoilt: tuple[str, str], complaint: str) -> None:
    tree.write("archive/cli.py", SMALLEST_ARCHIVE.replace(*spoilt))
    assert complaint in tree.refusal("wheel")


def test_a_gate_nobody_knows_is_named(tree: Tree) -> None:
    assert "no gate is called 'speed'" in tree.refusal("speed")
