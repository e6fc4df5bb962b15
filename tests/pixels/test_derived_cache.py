"""The derived cache: what was kept is found again, the bound holds, and deleting it hurts nobody."""

import os
import time
from pathlib import Path

from archive.identifiers import Digest
from wado.pixels.cache import PARTIAL, STALE_S, DerivedCache, DerivedKey
from wado.pixels.pool import is_worth_keeping
from wado.pixels.syntaxes import EXPLICIT_LE, HTJ2K_LOSSLESS, JPEG_2000_LOSSLESS, RLE


def key(number: int, recipe: str = "frame 0 native") -> DerivedKey:
    return DerivedKey(Digest(f"{number:064x}"), recipe)


def age(cache: DerivedCache, kept: DerivedKey, seconds: float) -> None:
    when = time.time() - seconds
    os.utime(cache.path(kept), (when, when))


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_what_is_saved_is_found_by_digest_and_recipe(tmp_path: Path) -> None:
    cache = DerivedCache(tmp_path / "derived", 1000)
    assert cache.find(key(1)) is None
    cache.save(key(1), b"one")
    cache.save(key(1, "frame 1 native"), b"two")
    assert cache.find(key(1)) == b"one"
    assert cache.find(key(1, "frame 1 native")) == b"two"
    assert cache.find(key(2)) is None
    assert DerivedCache(tmp_path / "derived", 1000).find(key(1)) == b"one"


def test_a_sweep_removes_what_was_used_least_recently_until_the_bound_holds(tmp_path: Path) -> None:
    cache = DerivedCache(tmp_path, 1000)
    for number in range(10):
        cache.save(key(number), bytes(200))
        age(cache, key(number), 1000 - number)
    assert cache.find(key(0)) is not None  # used again, so now the newest
    assert cache.sweep() <= 1000
    assert sum(path.stat().st_size for path in files(tmp_path)) <= 1000
    assert cache.find(key(0)) is not None
    assert cache.find(key(1)) is None
    assert cache.find(key(9)) is not None


def test_a_sweep_below_the_bound_removes_nothing(tmp_path: Path) -> None:
    cache = DerivedCache(tmp_path, 1000)
    cache.save(key(1), bytes(900))
    assert cache.sweep() == 900
    assert cache.find(key(1)) is not None


def test_a_sweep_is_due_after_a_sixteenth_of_the_bound(tmp_path: Path) -> None:
    cache = DerivedCache(tmp_path, 1600)
    cache.save(key(1), bytes(100))
    assert not cache.sweep_is_due
    cache.save(key(2), bytes(1))
    assert cache.sweep_is_due
    cache.sweep()
    assert not cache.sweep_is_due


def test_half_written_files_of_killed_processes_are_swept_when_they_are_old(tmp_path: Path) -> None:
    cache = DerivedCache(tmp_path, 1000)
    cache.save(key(1), b"whole")
    folder = Path(cache.path(key(1))).parent
    old, new = folder / f"a{PARTIAL}", folder / f"b{PARTIAL}"
    old.write_bytes(b"half")
    new.write_bytes(b"half")
    when = time.time() - 2 * STALE_S
    os.utime(old, (when, when))
    cache.sweep()
    assert (old.exists(), new.exists()) == (False, True)
    assert cache.find(key(1)) == b"whole"


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    blocked = tmp_path / "derived"
    blocked.write_bytes(b"a file, not a folder")
    cache = DerivedCache(blocked, 1000)
    cache.save(key(1), b"lost")
    assert cache.find(key(1)) is None
    assert cache.sweep() == 0


def test_two_servers_may_sweep_and_write_at_once(tmp_path: Path) -> None:
    one, other = DerivedCache(tmp_path, 1000), DerivedCache(tmp_path, 1000)
    for number in range(20):
        (one if number % 2 else other).save(key(number), bytes(100))
    one.sweep()
    other.sweep()
    assert sum(path.stat().st_size for path in files(tmp_path)) <= 1000
    other.save(key(50), b"new")
    assert one.find(key(50)) == b"new"


def test_what_decodes_as_fast_as_a_file_is_written_is_not_kept() -> None:
    assert [is_worth_keeping(stored, EXPLICIT_LE) for stored in (RLE, HTJ2K_LOSSLESS, EXPLICIT_LE)] == [False] * 3
    assert is_worth_keeping(JPEG_2000_LOSSLESS, EXPLICIT_LE)
    assert is_worth_keeping(EXPLICIT_LE, HTJ2K_LOSSLESS)
