"""The `.br` and `.gz` that stand beside a file and are sent in its place."""

import gzip
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import brotli

WORKERS = 2
MINIMUM_BYTES = 512
"""Below this the headers outweigh what is saved."""

_BROTLI_WINDOW = 24  # the widest that every browser takes


@dataclass(frozen=True, slots=True)
class Sidecars:
    path: Path
    brotli_bytes: int
    gzip_bytes: int


def compress_all(paths: list[Path], *, brotli_quality: int) -> Iterator[Sidecars]:
    """Write both sidecars of each file, in two processes, the largest first; yield as they are done."""
    largest_first = sorted(paths, key=lambda path: path.stat().st_size, reverse=True)
    work = partial(compress, brotli_quality=brotli_quality)
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        for done in as_completed([pool.submit(work, path) for path in largest_first]):
            yield done.result()


def compress(path: Path, *, brotli_quality: int) -> Sidecars:
    """Write `.br` and `.gz` beside the file unless they would not be smaller."""
    data = path.read_bytes()
    mode = brotli.MODE_GENERIC if path.suffix == ".wasm" else brotli.MODE_TEXT
    with_brotli = brotli.compress(data, mode=mode, quality=brotli_quality, lgwin=_BROTLI_WINDOW)
    with_gzip = gzip.compress(data, compresslevel=9, mtime=0)
    for suffix, small in ((".br", with_brotli), (".gz", with_gzip)):
        if len(small) < len(data):
            path.with_name(path.name + suffix).write_bytes(small)
    return Sidecars(path, len(with_brotli), len(with_gzip))
