"""Gates on the files themselves: names at the top, folders that are packages, length of modules.

Usage: tree.py top-level | packages | size     in the tree to look at
"""

import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

PACKAGES = ("archive", "auth", "conformance", "qido", "stow", "wado")
TOP_LEVEL = {
    *PACKAGES,
    ".ci",
    ".gitignore",
    "CHANGELOG.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "pyproject.toml",
    "tests",
}
LONGEST_MODULE_LINES = 450
RUN_BY_PATH = PurePosixPath("archive/database/migrations")  # Alembic reads these as files; nobody imports them


def files() -> list[PurePosixPath]:
    """Return the files of the tree that Git keeps or would keep: its ignore list is the only one."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return sorted(PurePosixPath(name) for name in listing.split("\0") if name and Path(name).exists())


def strangers(paths: Iterable[PurePosixPath]) -> list[str]:
    """Return a complaint for each name at the top that nobody agreed to."""
    names = sorted({path.parts[0] for path in paths} - TOP_LEVEL)
    return [f"{name}: no agreed name at the top; move it, or add it to TOP_LEVEL on purpose" for name in names]


def hidden(paths: Iterable[PurePosixPath]) -> list[str]:
    """Return a complaint for each folder of modules that the import rules and the type checker would not see."""
    paths = set(paths)
    folders = {path.parent for path in paths if path.suffix == ".py" and path.parts[0] in PACKAGES}
    complaints = [
        f"{folder}: modules without an __init__.py; the import contracts would not see them"
        for folder in sorted(folders)
        if not folder.is_relative_to(RUN_BY_PATH) and folder / "__init__.py" not in paths
    ]
    inits = sorted(path for path in paths if path.parts[0] == "tests" and path.name == "__init__.py")
    return complaints + [f"{path}: tests are files, not a package" for path in inits]


def overgrown(paths: Iterable[PurePosixPath]) -> list[str]:
    """Return a complaint for each module that is longer than allowed."""
    complaints = []
    for path in paths:
        if path.suffix == ".py" or path.as_posix() == ".ci/check":
            length_lines = len(Path(path).read_text(encoding="utf-8").splitlines())
            if length_lines > LONGEST_MODULE_LINES:
                complaints.append(f"{path}: {length_lines} lines, more than {LONGEST_MODULE_LINES}; it is two nouns")
    return complaints


GATES: dict[str, Callable[[Iterable[PurePosixPath]], list[str]]] = {
    "top-level": strangers,
    "packages": hidden,
    "size": overgrown,
}


def main() -> int:
    """Print every complaint of the gate asked for."""
    complaints = GATES[sys.argv[1]](files())
    for complaint in complaints:
        print(complaint)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
