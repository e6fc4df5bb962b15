"""Whether the holder of an owner link may import discs; the desk says so for each request."""

import sqlalchemy as sa

from archive.audit import Action
from archive.database.import_tables import import_permits
from auth.requests import tell


def may_import(connection: sa.Connection, request_id: str) -> bool:
    """Whether the desk has allowed it."""
    query = sa.select(import_permits.c.request_id).where(import_permits.c.request_id == request_id)
    return connection.execute(query).first() is not None


def permit_import(connection: sa.Connection, request_id: str, by: str, now_ms: int, *, allowed: bool) -> None:
    """Allow it, or take that back."""
    if may_import(connection, request_id) == allowed:
        return
    if allowed:
        row = {"request_id": request_id, "permitted_ms": now_ms, "permitted_by": by}
        connection.execute(sa.insert(import_permits).values(row))
    else:
        connection.execute(sa.delete(import_permits).where(import_permits.c.request_id == request_id))
    tell(connection, Action.REQUEST_CHANGE, request_id, by, {"import": "allowed" if allowed else "refused"}, now_ms)
