"""Some of the disks is kept free of stored files: for the trail, sign-ins and the caches that reading needs."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from archive.errors import StorageFullError


@dataclass(frozen=True, slots=True)
class Room:
    """The folders on whose disks `reserve_bytes` stay free."""

    folders: Sequence[Path] = ()
    reserve_bytes: int = 0

    def require(self) -> None:
        """Raise StorageFullError where a disk has no more than the reserve."""
        for folder in self.folders:
            disk = os.statvfs(folder)
            if disk.f_bavail * disk.f_frsize <= self.reserve_bytes:
                raise StorageFullError("There is no room for more files; what is left of the disk is kept for reading.")
