"""What is made of blobs lies in folders of its own, at `xx/DIGEST/`, and goes with its blob."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from archive.identifiers import Digest


@dataclass(frozen=True, slots=True)
class Derived:
    """Folders of derived results; none by default."""

    folders: tuple[Path, ...] = ()

    def remove(self, digest: Digest) -> None:
        """Remove all that was made of a blob; harmless where there is nothing."""
        for folder in self.folders:
            shutil.rmtree(folder / digest[:2] / digest, ignore_errors=True)
