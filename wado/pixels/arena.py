"""Memory that a worker and the server share: in it one result at a time is handed over."""

import mmap
import os
import tempfile
from typing import Self

import numpy as np

RETAINED_BYTES = 16 << 20
"""What an arena keeps between results; more is given back at once."""


def create_arena() -> int:
    """A descriptor of memory that no path names; it ends with the last process that holds it."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("lightbox-frame", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile() as file:  # systems without memfd
        return os.dup(file.fileno())


class Arena:
    """One side's view of the shared memory. The worker puts, then the server takes; never both at once."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._map: mmap.mmap | None = None

    def put(self, result: "bytes | np.ndarray[tuple[int, ...], np.dtype[np.generic]]") -> int:
        """Lay the result at the beginning; returns its length in bytes."""
        length = len(result) if isinstance(result, bytes) else result.nbytes
        if length == 0:
            return 0
        if os.fstat(self._descriptor).st_size < length:
            os.ftruncate(self._descriptor, length)
        mapped = self._mapped(length)
        if isinstance(result, bytes):
            mapped[:length] = result
        else:
            place = np.frombuffer(mapped, result.dtype, result.size).reshape(result.shape)
            np.copyto(place, result)
        return length

    def take(self, length_bytes: int) -> bytes:
        """Copy the result out, and give back memory over `RETAINED_BYTES`.

        Raises ValueError when the memory is shorter than that: the other side does not keep to the rules.
        """
        if length_bytes == 0:
            return b""
        if os.fstat(self._descriptor).st_size < length_bytes:
            raise ValueError(length_bytes)
        result = self._mapped(length_bytes)[:length_bytes]
        if length_bytes > RETAINED_BYTES:
            self._unmap()
            os.ftruncate(self._descriptor, RETAINED_BYTES)
        return result

    def _mapped(self, length_bytes: int) -> mmap.mmap:
        """A mapping of at least that length. One that reaches past the end is no harm: only what is put is touched."""
        if self._map is None or len(self._map) < length_bytes:
            self._unmap()
            self._map = mmap.mmap(self._descriptor, os.fstat(self._descriptor).st_size)
        return self._map

    def _unmap(self) -> None:
        if self._map is not None:
            self._map.close()
            self._map = None

    def close(self) -> None:
        """Give the memory up; may be called again."""
        self._unmap()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
