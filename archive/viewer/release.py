"""OHIF's published build: which one, that it is that one, and its files on disk.

The npm client fetches, so that its registry, proxy and cache settings hold; the digest is compared here, over the
bytes on disk, with the one pinned below.
"""

import base64
import binascii
import hashlib
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from archive.errors import LightboxError

MAXIMUM_FILES = 2_000
MAXIMUM_UNPACKED_BYTES = 500_000_000
FETCH_TIMEOUT_S = 600
_CHUNK_BYTES = 1 << 20


class ViewerInstallError(LightboxError):
    """The viewer could not be fetched or prepared; the message says what to do."""

    code = "viewer-install"


@dataclass(frozen=True, slots=True)
class Release:
    """One version on the npm registry; `integrity` is its Subresource Integrity text, `sha512-…`."""

    package: str
    version: str
    integrity: str


OHIF = Release(
    package="@ohif/app",
    version="3.13.2",
    integrity="sha512-WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA==",
)


def find_program(name: str) -> str:
    """Return the path of `node` or `npm`, or raise with what to install."""
    found = shutil.which(name)
    if found is None:
        raise ViewerInstallError(
            f"The program '{name}' is not there. Fetching and packing the viewer needs Node.js 18 or later with npm: "
            "on Debian and Ubuntu 'apt-get install nodejs npm', elsewhere https://nodejs.org/. "
            "They are needed for this step only, not by the server."
        )
    return found


def run_program(arguments: list[str], folder: Path) -> str:
    """Run in the folder and return standard output; a failure is told with the last lines of its output."""
    try:
        done = subprocess.run(  # noqa: S603 - the arguments are ours, no shell reads them
            arguments, cwd=folder, capture_output=True, text=True, timeout=FETCH_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ViewerInstallError(f"'{Path(arguments[0]).name}' did not end within {FETCH_TIMEOUT_S} s.") from error
    if done.returncode != 0:
        tail = "\n".join(done.stderr.strip().splitlines()[-8:])
        raise ViewerInstallError(f"'{Path(arguments[0]).name} {arguments[1]}' failed:\n{tail}")
    return done.stdout


def fetch(release: Release, folder: Path) -> Path:
    """Download the release's tarball into the empty folder; its digest is not yet checked."""
    npm = find_program("npm")
    run_program([npm, "pack", f"{release.package}@{release.version}", "--ignore-scripts", "--silent"], folder)
    tarballs = list(folder.glob("*.tgz"))
    if len(tarballs) != 1:
        raise ViewerInstallError(f"npm pack left {len(tarballs)} tarballs where one was expected.")
    return tarballs[0]


def check_integrity(tarball: Path, release: Release) -> None:
    """Compare the SHA-512 of the bytes on disk with the pinned one.

    Raises
    ------
    ViewerInstallError
        When they differ; nothing of the tarball has been unpacked then.
    """
    algorithm, _, expected_text = release.integrity.partition("-")
    try:
        expected = base64.b64decode(expected_text, validate=True)
    except binascii.Error as error:
        raise ViewerInstallError("The pinned integrity text is not base64.") from error
    with tarball.open("rb") as file:
        digest = hashlib.file_digest(file, "sha512").digest()
    if algorithm != "sha512" or digest != expected:
        raise ViewerInstallError(
            f"The tarball of {release.package} {release.version} is not the one this version of Lightbox was made "
            "for (its SHA-512 differs). Nothing was installed. Check the npm registry or mirror in use."
        )


def unpack(tarball: Path, folder: Path, is_wanted: Callable[[PurePosixPath], bool]) -> list[PurePosixPath]:
    """Write the wanted files of `package/dist/` and the licence below the folder; return their paths.

    Links, devices and paths that climb out are refused, and so is more than `MAXIMUM_FILES` or
    `MAXIMUM_UNPACKED_BYTES`.
    """
    written: list[PurePosixPath] = []
    total_bytes = 0
    with tarfile.open(tarball, "r:gz") as archive:
        for member in archive:
            path = _path_in_site(member)
            if path is None or not is_wanted(path):
                continue
            total_bytes += member.size
            if len(written) >= MAXIMUM_FILES or total_bytes > MAXIMUM_UNPACKED_BYTES:
                raise ViewerInstallError("The tarball holds more than any release of the viewer should.")
            source = archive.extractfile(member)
            if source is not None:
                _write(source, folder.joinpath(*path.parts))
                written.append(path)
    if not written:
        raise ViewerInstallError("The tarball has no dist folder.")
    return written


def _path_in_site(member: tarfile.TarInfo) -> PurePosixPath | None:
    """Where the member belongs, None for what is not part of the build."""
    path = PurePosixPath(member.name)
    if path == PurePosixPath("package/LICENSE") and member.isfile():
        return PurePosixPath("LICENSE.txt")
    if path.parts[:2] != ("package", "dist") or member.isdir():
        return None
    if not member.isfile() or ".." in path.parts or "\\" in member.name or "\0" in member.name:
        raise ViewerInstallError("The tarball holds a link or a path that leaves its folder.")
    return PurePosixPath(*path.parts[2:])


def _write(source: IO[bytes], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        shutil.copyfileobj(source, file, _CHUNK_BYTES)
