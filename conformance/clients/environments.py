"""Environments of their own for other people's packages: none of them comes into the one that runs this."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

INSTALL_LIMIT_S = 600
ROOT = Path(__file__).resolve().parents[2]


class NotInstalled(Exception):  # noqa: N818 - a state, not a fault of ours
    """A client could not be installed, or a program is not there."""


@dataclass(frozen=True, slots=True)
class Environments:
    """Makes environments below `folder`, once each; a folder that is kept makes the next run quick."""

    folder: Path

    def python(self, requirements: tuple[str, ...]) -> str:
        """A Python that has these packages: this one when it has them all, else one in a new virtual environment."""
        if all(_is_here(each) for each in requirements):
            return sys.executable
        place = self.folder / _name_of(requirements)
        python = place / "bin" / "python"
        if not (place / "ready").exists():
            shutil.rmtree(place, ignore_errors=True)
            _run([sys.executable, "-m", "venv", str(place)], self.folder)
            _run(
                [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check", *requirements], self.folder
            )
            (place / "ready").touch()
        return str(python)

    def node(self, packages: tuple[str, ...]) -> Path:
        """A folder in whose `node_modules` these packages are."""
        place = self.folder / _name_of(packages)
        if not (place / "ready").exists():
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
            (place / "package.json").write_text('{"private": true}', encoding="utf-8")
            quiet = ("--no-audit", "--no-fund", "--loglevel=error")
            _run([program("npm"), "install", *quiet, *packages], place)
            (place / "ready").touch()
        return place


def program(name: str) -> str:
    """The path of a program of the system.

    Raises
    ------
    NotInstalled
        It is not on the PATH.
    """
    found = shutil.which(name)
    if found is None:
        raise NotInstalled(f"{name} is not on the PATH")
    return found


def python_version_of(python: str, package: str) -> str:
    """The version of a distribution in the environment of this Python."""
    code = f"from importlib.metadata import version; print(version({package!r}))"
    return _run([python, "-c", code], ROOT).strip()


def child_environment() -> dict[str, str]:
    """What a driven client's process sees: this package on its path, and no proxy between it and the server."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return kept | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}


def _is_here(requirement: str) -> bool:
    name = re.split(r"[<>=!~\[; ]", requirement, maxsplit=1)[0]
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _name_of(packages: tuple[str, ...]) -> str:
    return re.sub(r"[^a-z0-9]+", "-", " ".join(packages).lower()).strip("-")[:80]


def _run(command: list[str], folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(  # noqa: S603 - the commands are ours
        command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_LIMIT_S, check=False
    )
    if done.returncode != 0:
        raise NotInstalled(f"{' '.join(command[:4])} …: {done.stderr.strip()[-300:]}")
    return done.stdout
