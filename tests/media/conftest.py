"""What imports a disc into an archive of the test's own."""

from pathlib import Path

import pytest
from databases import settings_at

from archive.cli.opening import open_archive
from archive.imports.discs import Summary, take_in
from archive.media.discs import open_disc
from archive.media.zips import ZipLimits

BOUNDS = ZipLimits()


@pytest.fixture
def take_disc(tmp_path: Path):
    """Import a medium; what became of its files."""

    async def take(path: Path, limits: ZipLimits = BOUNDS) -> Summary:
        summary = Summary()
        async with open_archive(settings_at(tmp_path / "data")) as archive:
            with open_disc(path, limits) as disc:
                await take_in(archive.ingest, disc, summary, lambda: None)
        return summary

    return take
