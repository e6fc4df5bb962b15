"""The list of what was installed. Written last: a folder without it, or with another recipe, is not an install."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import orjson

from archive.viewer.release import Release

RECIPE = 1
"""Raised whenever the packing rules change, so that an older install is replaced."""

MANIFEST_NAME = "lightbox-viewer.json"


@dataclass(frozen=True, slots=True)
class PackedFile:
    """One file to be served; `length_bytes` and `sha256` are those of the uncompressed bytes."""

    length_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """`files` maps the path below the folder, with `/`, to what was written there."""

    version: str
    integrity: str
    recipe: int
    brotli_quality: int
    files: dict[str, PackedFile]


def is_installed(folder: Path, release: Release, *, brotli_quality: int) -> bool:
    """Whether the folder holds a whole install of this release, compressed at least that well; looks at sizes only."""
    manifest = read_manifest(folder)
    if manifest is None or manifest.recipe != RECIPE or manifest.brotli_quality < brotli_quality:
        return False
    if (manifest.version, manifest.integrity) != (release.version, release.integrity):
        return False
    return all(_has_length(folder / path, file.length_bytes) for path, file in manifest.files.items())


def read_manifest(folder: Path) -> Manifest | None:
    """Return the folder's manifest, None when there is none or it cannot be understood."""
    try:
        content = orjson.loads((folder / MANIFEST_NAME).read_bytes())
        files = {
            path: PackedFile(int(file["length_bytes"]), str(file["sha256"])) for path, file in content["files"].items()
        }
        return Manifest(
            version=str(content["version"]),
            integrity=str(content["integrity"]),
            recipe=int(content["recipe"]),
            brotli_quality=int(content["brotli_quality"]),
            files=files,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def write_manifest(folder: Path, release: Release, paths: list[str], *, brotli_quality: int) -> Manifest:
    """Describe the files below the folder and write the manifest, durably, as the last file."""
    files = {path: _describe(folder / path) for path in sorted(paths)}
    manifest = Manifest(release.version, release.integrity, RECIPE, brotli_quality, files)
    with (folder / MANIFEST_NAME).open("wb") as file:
        file.write(orjson.dumps(manifest, option=orjson.OPT_INDENT_2))
        file.flush()
        os.fsync(file.fileno())
    return manifest


def _describe(path: Path) -> PackedFile:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return PackedFile(path.stat().st_size, digest)


def _has_length(path: Path, length_bytes: int) -> bool:
    try:
        return path.stat().st_size == length_bytes
    except OSError:
        return False
