"""What the settings say of the store and of what comes in: for the server, and for commands that need no server."""

from archive.config import Settings
from archive.dicom.coercion import Coercion, by_tag
from archive.ingest import IngestLimits
from archive.store.contract import Store
from archive.store.derived import Derived
from archive.store.files import FileStore
from archive.store.objects import Bucket, ObjectStore
from archive.store.room import Room


def open_store(settings: Settings) -> Store:
    """The bucket that the settings name, or the folder."""
    derived = Derived((settings.derived_folder, settings.copies_folder))
    if not settings.store_url:
        return FileStore(settings.store_folder, derived)
    secret = settings.store_secret_key.get_secret_value()
    bucket = Bucket(
        settings.store_url, settings.store_endpoint, settings.store_region, settings.store_access_key, secret
    )
    return ObjectStore(bucket, settings.store_folder, settings.store_cache_bytes, derived)


def limits_of(settings: Settings) -> IngestLimits:
    """What the settings say of every instance that comes in. Raises BadRequestError for what cannot be coerced."""
    changes, missing = by_tag(settings.coerce), by_tag(settings.coerce_missing)
    coercion = Coercion(changes, missing, system=settings.site_name[:64])
    room = Room((settings.data, settings.store_folder), settings.reserve_bytes)
    return IngestLimits(
        settings.instance_limit_bytes, coercion=coercion, notes_uncopied=settings.copy_frames, room=room
    )
