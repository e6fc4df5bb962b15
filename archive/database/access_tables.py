"""Tables of access: tokens, shares, sessions, tickets, and the audit trail.

Every secret is kept as SHA-256 (they have 128 bits or more) or, where a person chose it, as Argon2id. Times are
milliseconds since 1970, UTC. `ended_…` says that and why something was switched off; rows are never removed,
but those of `network_counts`.
"""

import sqlalchemy as sa

from archive.database.schema import metadata

tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("token_sha256", sa.LargeBinary(32), nullable=False, unique=True),
    sa.Column("roles", sa.Text, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("expires_ms", sa.BigInteger, nullable=True),
    sa.Column("used_ms", sa.BigInteger, nullable=True),
    sa.Column("ended_ms", sa.BigInteger, nullable=True),
)

shares = sa.Table(
    "shares",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("parent_id", sa.Text, sa.ForeignKey("shares.id"), nullable=True, index=True),
    sa.Column("owner_id", sa.Text, nullable=True, index=True),
    sa.Column("secret_sha256", sa.LargeBinary(32), nullable=False),
    sa.Column("label", sa.Text, nullable=False),
    sa.Column("mode", sa.Text, nullable=False),
    sa.Column("password_argon2", sa.Text, nullable=True),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Column("expires_ms", sa.BigInteger, nullable=False),
    sa.Column("ended_ms", sa.BigInteger, nullable=True),
    sa.Column("ended_reason", sa.Text, nullable=True),
    sa.Column("frozen_ms", sa.BigInteger, nullable=True),
    sa.Column("with_reports", sa.Boolean, nullable=False),
    sa.Column("may_download", sa.Boolean, nullable=False),
    sa.Column("maximum_opens", sa.Integer, nullable=True),
    sa.Column("opens", sa.Integer, nullable=False, server_default="0"),
    sa.Column("opened_ms", sa.BigInteger, nullable=True),
    sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
    sa.Column("window_failures", sa.Integer, nullable=False, server_default="0"),
    sa.Column("window_started_ms", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("paused_until_ms", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("deidentification_key", sa.LargeBinary(32), nullable=True),
)
"""A share with a `deidentification_key` is one without the patient's name."""

share_studies = sa.Table(
    "share_studies",
    metadata,
    sa.Column("share_id", sa.Text, sa.ForeignKey("shares.id"), primary_key=True),
    sa.Column("study_uid", sa.Text, primary_key=True, index=True),
    sa.Column("copy_uid", sa.Text, nullable=True, index=True),
    sa.Column("patient_id", sa.Text, nullable=True),
    sa.Column("held_ms", sa.BigInteger, nullable=True),
)
"""`copy_uid` is the study that a share without a name shows instead: its de-identified copy.

`patient_id` is whose the study was when it was shared; `held_ms` since when it is known to be held back.
"""

share_exclusions = sa.Table(
    "share_exclusions",
    metadata,
    sa.Column("share_id", sa.Text, sa.ForeignKey("shares.id"), primary_key=True),
    sa.Column("instance_uid", sa.Text, primary_key=True),
    sa.Column("study_uid", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
)
"""Instances that a share without a name leaves out, as they cannot be cleaned; by their own UIDs."""

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("token_sha256", sa.LargeBinary(32), nullable=False, unique=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("open", sa.Boolean, nullable=False),
    sa.Column("passed", sa.Text, nullable=False, server_default=""),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("seen_ms", sa.BigInteger, nullable=False),
    sa.Column("expires_ms", sa.BigInteger, nullable=False),
    sa.Column("ended_ms", sa.BigInteger, nullable=True),
    sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
    sa.Column("next_try_ms", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("network", sa.Text, nullable=False),
    sa.Column("device", sa.Text, nullable=False),
    sa.Index("ix_sessions_kind_subject", "kind", "subject"),
)

tickets = sa.Table(
    "tickets",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("ticket_sha256", sa.LargeBinary(32), nullable=False, unique=True),
    sa.Column("share_id", sa.Text, sa.ForeignKey("shares.id"), nullable=False, index=True),
    sa.Column("label", sa.Text, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("expires_ms", sa.BigInteger, nullable=False),
    sa.Column("ended_ms", sa.BigInteger, nullable=True),
    sa.Column("used_ms", sa.BigInteger, nullable=True),
)

network_counts = sa.Table(
    "network_counts",
    metadata,
    sa.Column("what", sa.Text, primary_key=True),
    sa.Column("network", sa.Text, primary_key=True),
    sa.Column("started_ms", sa.BigInteger, nullable=False, index=True),
    sa.Column("count", sa.Integer, nullable=False),
)
"""What strangers did from a network in the last minute. Rows that are older go with the next count."""

audit_events = sa.Table(
    "audit_events",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("time_ms", sa.BigInteger, nullable=False, index=True),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("who_kind", sa.Text, nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("share_id", sa.Text, nullable=False, index=True),
    sa.Column("study_uid", sa.Text, nullable=False, index=True),
    sa.Column("series_uid", sa.Text, nullable=False),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("count", sa.Integer, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("chain_sha256", sa.LargeBinary(32), nullable=False),
)
