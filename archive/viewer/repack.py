"""Install the full viewer: fetch OHIF's build, keep what is used, move it below `/ohif/`, make it small.

    python -m archive.viewer.repack [--quick] DEST

The work is done in a folder beside DEST and takes its place when it is whole, so a server never sees half of it and
an interrupted run leaves nothing that looks finished.
"""

import argparse
import fcntl
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from archive.viewer.compress import MINIMUM_BYTES, compress_all
from archive.viewer.manifest import is_installed, write_manifest
from archive.viewer.minify import minify
from archive.viewer.release import OHIF, Release, ViewerInstallError, check_integrity, fetch, unpack
from archive.viewer.rewrite import check_bundle, is_compressed, is_rewritten, is_wanted, rewrite_page, rewrite_text

BEST_BROTLI_QUALITY = 11
QUICK_BROTLI_QUALITY = 5

Tell = Callable[[str], None]
"""Takes one line for the person who waits."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is installed and with which tools; the tests bring their own."""

    release: Release = OHIF
    brotli_quality: int = BEST_BROTLI_QUALITY
    fetch: Callable[[Release, Path], Path] = fetch
    minify: Callable[[Path, list[PurePosixPath], Path], None] = minify


def tell_on_standard_error(line: str) -> None:
    print(f"viewer: {line}", file=sys.stderr, flush=True)


def install(folder: Path, recipe: Recipe | None = None, tell: Tell = tell_on_standard_error) -> bool:
    """Make the folder hold the viewer; False when it did already.

    Raises
    ------
    ViewerInstallError
        When a tool is missing or fails, or the release is not the pinned one. The folder is then as it was.
    """
    recipe = recipe or Recipe()
    folder = folder.resolve()  # the tools run in folders of their own
    if is_installed(folder, recipe.release, brotli_quality=recipe.brotli_quality):
        return False
    with _alone(folder, tell):
        if is_installed(folder, recipe.release, brotli_quality=recipe.brotli_quality):
            return False
        partial = folder.with_name(folder.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        site, work = partial / "site", partial / "work"
        site.mkdir(parents=True)
        work.mkdir()
        try:
            _build(site, work, recipe, tell)
            _put_in_place(site, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return True


def _build(site: Path, work: Path, recipe: Recipe, tell: Tell) -> None:
    release = recipe.release
    tell(f"fetching {release.package} {release.version} through npm")
    tarball = recipe.fetch(release, work)
    check_integrity(tarball, release)
    tell("unpacking")
    paths = unpack(tarball, site, is_wanted)
    tarball.unlink()
    tell("moving paths below /ohif/")
    _rewrite_all(site, paths)
    tell("minifying")
    recipe.minify(site, [path for path in _files_below(site) if path.suffix == ".js"], work)
    packed = _files_below(site)
    _compress_packed(site, packed, recipe.brotli_quality, tell)
    write_manifest(site, release, [str(path) for path in packed], brotli_quality=recipe.brotli_quality)


def _rewrite_all(site: Path, paths: list[PurePosixPath]) -> None:
    page_path = PurePosixPath("index.html")
    if page_path not in paths:
        raise ViewerInstallError("This OHIF release has no index.html.")
    for path in paths:
        if path == page_path or not is_rewritten(path):
            continue
        text = (site / path).read_text("utf-8")
        moved = rewrite_text(path, text)
        if len(path.parts) == 1 and path.name.startswith("app.bundle.") and path.suffix == ".js":
            check_bundle(moved)
        if moved != text:
            (site / path).write_text(moved, "utf-8")
    page = rewrite_page((site / page_path).read_text("utf-8"))
    (site / page_path).write_text(page.html, "utf-8")
    for name, script in page.scripts.items():
        (site / name).write_text(script, "utf-8")


def _compress_packed(site: Path, packed: list[PurePosixPath], brotli_quality: int, tell: Tell) -> None:
    """Compress what pays; tell how far at most once in 5 seconds."""
    paths = [site / path for path in packed if is_compressed(path) and (site / path).stat().st_size >= MINIMUM_BYTES]
    total_bytes = sum(path.stat().st_size for path in paths)
    tell(f"compressing {len(paths)} files, {total_bytes / 1e6:.1f} MB")
    done_bytes = brotli_bytes = 0
    told_at = time.monotonic()
    for sidecars in compress_all(paths, brotli_quality=brotli_quality):
        done_bytes += sidecars.path.stat().st_size
        brotli_bytes += sidecars.brotli_bytes
        if time.monotonic() - told_at >= 5:
            told_at = time.monotonic()
            tell(f"compressing: {done_bytes / total_bytes:.0%}")
    tell(f"compressed to {brotli_bytes / 1e6:.1f} MB")


def _files_below(site: Path) -> list[PurePosixPath]:
    return [PurePosixPath(path.relative_to(site).as_posix()) for path in sorted(site.rglob("*")) if path.is_file()]


def _put_in_place(site: Path, folder: Path) -> None:
    """Let the finished site take the folder's name; between the two renames the folder is absent, never half."""
    old = folder.with_name(folder.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    site.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _alone(folder: Path, tell: Tell) -> Iterator[None]:
    """Hold the lock file beside the folder: of two installs the second waits and then finds the work done."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(folder.name + ".lock").open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell("another install into this folder is running; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; progress goes to standard error, the folder's path to standard output."""
    parser = argparse.ArgumentParser(prog="python -m archive.viewer.repack", description="Install the full viewer.")
    parser.add_argument("dest", type=Path, help="folder the viewer is installed in")
    parser.add_argument("--quick", action="store_true", help="compress less: a fifth of the time, a fifth more bytes")
    options = parser.parse_args(arguments)
    started = time.monotonic()

    quality = QUICK_BROTLI_QUALITY if options.quick else BEST_BROTLI_QUALITY
    folder = options.dest.resolve()
    try:
        made = install(folder, Recipe(brotli_quality=quality))
    except ViewerInstallError as error:
        tell_on_standard_error(error.message)
        return 1
    tell_on_standard_error(f"installed in {time.monotonic() - started:.0f} s" if made else "already installed")
    print(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
