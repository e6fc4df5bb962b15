"""What an owner gets to see of the audit trail: everything done on the own links, by whom, in plain words' keys."""

import json
from dataclasses import dataclass

import sqlalchemy as sa

from archive.database.access_tables import audit_events, shares
from auth.limits import network_of

MAXIMUM_ENTRIES = 500
SHOWN = (
    "share-create",
    "share-open",
    "share-step",
    "share-revoke",
    "ticket-create",
    "ticket-revoke",
    "view",
    "metadata",
    "download",
    "owner-open",
    "owner-step",
    "link-check",
    "request-create",
    "request-change",
    "import",
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the trail. `what` is the key of its words; the network is a prefix, never a whole address."""

    time_ms: int
    what: str
    refused: bool
    share_id: str
    who: str
    device: str
    network: str
    series_uid: str
    count: int


def read_trail(connection: sa.Connection, request_id: str) -> list[Entry]:
    """The newest events on a request and all its shares."""
    owned = sa.select(shares.c.id).where(shares.c.owner_id == request_id)
    query = (
        sa.select(audit_events)
        .where(
            sa.or_(audit_events.c.share_id.in_(owned), audit_events.c.share_id == request_id),
            audit_events.c.action.in_(SHOWN),
            ~sa.and_(audit_events.c.who_kind == "owner", audit_events.c.action == "metadata"),  # the own page
        )
        .order_by(audit_events.c.id.desc())
        .limit(MAXIMUM_ENTRIES)
    )
    return [_entry(row) for row in connection.execute(query)]


def prefix_of(address: str) -> str:
    """Enough of an address to tell home from elsewhere: IPv4 /24, IPv6 /64."""
    network = network_of(address)
    return network.rpartition(".")[0] + ".…" if network.count(".") == 3 else network


def _entry(row: sa.Row[*tuple[object, ...]]) -> Entry:
    fields = row._mapping
    return Entry(
        fields["time_ms"],
        fields["action"],
        fields["outcome"] != "success",
        fields["share_id"],
        fields["who_kind"],
        json.loads(fields["detail"]).get("device", ""),
        prefix_of(fields["address"]) if fields["address"] else "",
        fields["series_uid"],
        fields["count"],
    )
