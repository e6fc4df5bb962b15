"""Every table of the archive: they register themselves in the metadata when they are imported."""

from archive.database import (
    access_tables,
    completeness_tables,
    copy_tables,
    import_tables,
    index_tables,
    job_tables,
    journey_tables,
)

MODULES = (
    access_tables,
    completeness_tables,
    copy_tables,
    import_tables,
    index_tables,
    job_tables,
    journey_tables,
)
