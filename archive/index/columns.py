"""Where in the tables an attribute lies: in a column of its own, or in a document of DICOM JSON."""

import sqlalchemy as sa

from archive.attributes import SEQUENCE_PATHS, Level
from archive.database.index_tables import instance_metadata, instances, series, studies
from archive.index.query import Key
from archive.index.texts import FOLDED, INSTANCE_COLUMNS, SERIES_COLUMNS, STUDY_COLUMNS

COLUMNS: dict[str, sa.ColumnElement[str]] = {
    **{tag: studies.c[name] for name, tag in STUDY_COLUMNS.items()},
    **{tag: series.c[name] for name, tag in SERIES_COLUMNS.items()},
    **{tag: instances.c[name] for name, tag in INSTANCE_COLUMNS.items()},
    "0020000D": studies.c.study_uid,
    "0020000E": series.c.series_uid,
    "00080018": instances.c.instance_uid,
    "00080016": instances.c.sop_class_uid,
}
NAME_COLUMNS = {STUDY_COLUMNS[name]: name for name in FOLDED}
DOCUMENTS: dict[Level, sa.Column[bytes]] = {
    Level.STUDY: studies.c.attributes,
    Level.SERIES: series.c.attributes,
    Level.INSTANCE: instance_metadata.c.document,
}


def is_searched_by_document(key: Key) -> bool:
    """Whether matching the key means to read the documents of instances: nothing of it is kept apart."""
    kept = key.tag in COLUMNS if len(key.path) == 1 else SEQUENCE_PATHS.get(key.dotted) is Level.INSTANCE
    return key.level is Level.INSTANCE and not kept
