"""Sample images that need no download: a synthetic CT of a head, and the real files that pydicom ships."""

from archive.samples.files import sample_files
from archive.samples.study import PHANTOM_SERIES_UID, PHANTOM_STUDY_UID, head_phantom

__all__ = ["PHANTOM_SERIES_UID", "PHANTOM_STUDY_UID", "head_phantom", "sample_files"]
