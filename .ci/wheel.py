"""Build the wheel and prove that it works away from the tree it was built from.

Usage: wheel.py     in the tree to build
"""

import os
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.error
import urllib.request
import venv
import zipfile
from collections.abc import Iterable
from pathlib import Path

from tree import PACKAGES, files

LOOK = Path(__file__).resolve().with_name("look.py")
READY_WITHIN_S = 60
STOP_WITHIN_S = 30


class WheelError(Exception):
    """The wheel is not what the tree promises; the message is for the person at the terminal."""


def environment() -> dict[str, str]:
    """Return the environment without anything that would lead Python back to the tree."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def build(folder: Path) -> Path:
    """Build the wheel into the folder. The build tools are those at hand: `pip install .` tried the others."""
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), "."]
    outcome = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    if outcome.returncode != 0:
        raise WheelError(f"the wheel does not build:\n{outcome.stdout}{outcome.stderr}")
    return next(folder.glob("*.whl"))


def compare(tree: Iterable[str], wheel: Iterable[str]) -> None:
    """Hold the wheel's content to the tree's: each file of our packages, and nothing else."""
    ours = {name for name in wheel if ".dist-info/" not in name}
    wanted = {name for name in tree if name.partition("/")[0] in PACKAGES}
    if missing := sorted(wanted - ours):
        raise WheelError(f"the wheel lacks: {', '.join(missing)}")
    if surplus := sorted(ours - wanted):
        raise WheelError(f"the wheel carries what is not in the tree: {', '.join(surplus)}")
    print(f"{len(ours)} files in the wheel, as in the tree")


def install(wheel: Path, folder: Path) -> Path:
    """Install the wheel alone into a new environment that borrows only the dependencies; give its bin folder.

    A path in a .pth file is searched after the environment's own packages, and .pth files inside that path
    are not read, so an editable install of the tree stays out of sight.
    """
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", str(wheel)]
    subprocess.run(command, env=environment(), check=True)
    packages = next((folder / "lib").glob("python3.*")) / "site-packages"
    (packages / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return folder / "bin"


def look_from_outside(binaries: Path, outside: Path) -> None:
    """Import every module of the wheel in a folder that has nothing to do with the tree."""
    command = [str(binaries / "python"), "-P", str(LOOK), *PACKAGES]
    outcome = subprocess.run(command, cwd=outside, env=environment(), check=False)
    if outcome.returncode != 0:
        raise WheelError("the wheel's packages do not import as they should")


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def is_ready(port: int) -> bool:
    """Say whether a server on this port calls itself ready."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def serve(binaries: Path, outside: Path) -> None:
    """Run the command as someone would who has only the wheel: help, then a server that gets ready and stops."""
    lightbox = str(binaries / "lightbox")
    subprocess.run([lightbox, "--help"], cwd=outside, env=environment(), check=True, stdout=subprocess.DEVNULL)
    port = free_port()
    command = [lightbox, "serve", "--data", str(outside / "data"), "--host", "127.0.0.1", "--port", str(port)]
    log = outside / "serve.log"
    with log.open("wb") as output:
        server = subprocess.Popen(command, cwd=outside, env=environment(), stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + READY_WITHIN_S
        while not is_ready(port):
            if server.poll() is not None or time.monotonic() > deadline:
                raise WheelError(f"`lightbox serve` from the wheel does not get ready:\n{log.read_text()}")
            time.sleep(0.2)
        server.terminate()
        if server.wait(STOP_WITHIN_S) != 0:
            raise WheelError(f"`lightbox serve` did not stop cleanly:\n{log.read_text()}")
    except subprocess.TimeoutExpired as error:
        raise WheelError(f"`lightbox serve` does not stop when asked:\n{log.read_text()}") from error
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()
    print("lightbox from the wheel: --help, serve, ready, stopped")


def main() -> int:
    """Build, compare, install, import, serve."""
    with tempfile.TemporaryDirectory(prefix="lightbox-wheel-") as name:
        folder = Path(name)
        outside = folder / "outside"
        outside.mkdir()
        try:
            wheel = build(folder)
            with zipfile.ZipFile(wheel) as archive:
                compare([str(path) for path in files()], archive.namelist())
            binaries = install(wheel, folder / "environment")
            look_from_outside(binaries, outside)
            serve(binaries, outside)
        except (WheelError, subprocess.CalledProcessError) as error:
            print(error)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
