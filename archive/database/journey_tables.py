"""Tables of the patient's way: requests with consent, named people, codes, passkeys, staff, messages, notices.

`…_encrypted` is encrypted with a key that is not in the database (`archive.vault`); `…_digest` is keyed by it.
The columns that count tries (`failures` … `paused_until_ms`) are named as in `shares`.
"""

import sqlalchemy as sa

from archive.database.schema import metadata


def _tries() -> list[sa.Column[int]]:
    names = ("failures", "window_failures", "window_started_ms", "paused_until_ms")
    return [sa.Column(name, sa.BigInteger, nullable=False, server_default="0") for name in names]


requests = sa.Table(
    "requests",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("secret_sha256", sa.LargeBinary(32), nullable=True),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Column("changed_ms", sa.BigInteger, nullable=False),
    sa.Column("state", sa.Text, nullable=False, index=True),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    sa.Column("language", sa.Text, nullable=False),
    sa.Column("name_encrypted", sa.LargeBinary, nullable=True),
    sa.Column("email_encrypted", sa.LargeBinary, nullable=True),
    sa.Column("mobile_encrypted", sa.LargeBinary, nullable=True),
    sa.Column("helper_encrypted", sa.LargeBinary, nullable=True),
    sa.Column("passphrase_argon2", sa.Text, nullable=True),
    sa.Column("patient_id", sa.Text, nullable=False, server_default=""),
    sa.Column("accession_number", sa.Text, nullable=False, server_default="", index=True),
    sa.Column("consent_version", sa.Text, nullable=False, server_default=""),
    sa.Column("consent_ms", sa.BigInteger, nullable=True),
    sa.Column("consent_by", sa.Text, nullable=False, server_default=""),
    sa.Column("expires_ms", sa.BigInteger, nullable=False),
    sa.Column("sent_ms", sa.BigInteger, nullable=True),
    sa.Column("opened_ms", sa.BigInteger, nullable=True),
    sa.Column("verified_ms", sa.BigInteger, nullable=True),
    sa.Column("shared_ms", sa.BigInteger, nullable=True),
    sa.Column("ready_ms", sa.BigInteger, nullable=True),
    sa.Column("check_ms", sa.BigInteger, nullable=True),
    sa.Column("check_result", sa.Text, nullable=False, server_default="[]"),
    *_tries(),
)

request_studies = sa.Table(
    "request_studies",
    metadata,
    sa.Column("request_id", sa.Text, sa.ForeignKey("requests.id"), primary_key=True),
    sa.Column("study_uid", sa.Text, primary_key=True, index=True),
    sa.Column("matched_ms", sa.BigInteger, nullable=False),
    sa.Column("matched_by", sa.Text, nullable=False),
    sa.Column("patient_id", sa.Text, nullable=True),
    sa.Column("held_ms", sa.BigInteger, nullable=True),
)
"""`patient_id` and `held_ms` as in `share_studies`."""

people = sa.Table(
    "people",
    metadata,
    sa.Column("share_id", sa.Text, sa.ForeignKey("shares.id"), primary_key=True),
    sa.Column("name_encrypted", sa.LargeBinary, nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("contact_encrypted", sa.LargeBinary, nullable=False),
    sa.Column("totp_encrypted", sa.LargeBinary, nullable=True),
    sa.Column("totp_step", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("enrolled_ms", sa.BigInteger, nullable=True),
)

access_requests = sa.Table(
    "access_requests",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("share_id", sa.Text, sa.ForeignKey("shares.id"), nullable=False, index=True),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("name_encrypted", sa.LargeBinary, nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("contact_encrypted", sa.LargeBinary, nullable=False),
    sa.Column("answered_ms", sa.BigInteger, nullable=True),
    sa.Column("answer", sa.Text, nullable=False, server_default=""),
)

codes = sa.Table(
    "codes",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("session_id", sa.Integer, sa.ForeignKey("sessions.id"), nullable=False, index=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("code_digest", sa.LargeBinary, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("expires_ms", sa.BigInteger, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
    sa.Column("ended_ms", sa.BigInteger, nullable=True),
    sa.Index("ix_codes_kind_subject", "kind", "subject"),
)

passkeys = sa.Table(
    "passkeys",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("credential_id", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("public_key", sa.LargeBinary, nullable=False),
    sa.Column("sign_count", sa.BigInteger, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("used_ms", sa.BigInteger, nullable=True),
    sa.Index("ix_passkeys_kind_subject", "kind", "subject"),
)

staff = sa.Table(
    "staff",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("roles", sa.Text, nullable=False),
    sa.Column("password_argon2", sa.Text, nullable=True),
    sa.Column("must_change", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("totp_encrypted", sa.LargeBinary, nullable=True),
    sa.Column("totp_step", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("oidc_subject", sa.Text, nullable=True, unique=True),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("signed_in_ms", sa.BigInteger, nullable=True),
    sa.Column("ended_ms", sa.BigInteger, nullable=True),
    *_tries(),
)

sign_ins = sa.Table(
    "sign_ins",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("state_sha256", sa.LargeBinary(32), nullable=False, unique=True),
    sa.Column("browser_sha256", sa.LargeBinary(32), nullable=False),
    sa.Column("nonce", sa.Text, nullable=False),
    sa.Column("verifier_encrypted", sa.LargeBinary, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
)

messages = sa.Table(
    "messages",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("about", sa.Text, nullable=False, index=True),
    sa.Column("contact_encrypted", sa.LargeBinary, nullable=False),
    sa.Column("contact_digest", sa.LargeBinary, nullable=False, index=True),
    sa.Column("content_encrypted", sa.LargeBinary, nullable=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
    sa.Column("next_try_ms", sa.BigInteger, nullable=False),
    sa.Column("give_up_ms", sa.BigInteger, nullable=False),
    sa.Column("changed_ms", sa.BigInteger, nullable=False),
    sa.Column("reference", sa.Text, nullable=False, server_default=""),
    sa.Index("ix_messages_state_next_try_ms", "state", "next_try_ms"),
)

notices = sa.Table(
    "notices",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("request_id", sa.Text, sa.ForeignKey("requests.id"), nullable=False, index=True),
    sa.Column("share_id", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("due_ms", sa.BigInteger, nullable=False, index=True),
    sa.Column("sent_ms", sa.BigInteger, nullable=True),
)

health_links = sa.Table(
    "health_links",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("share_id", sa.Text, sa.ForeignKey("shares.id"), nullable=False, index=True),
    sa.Column("manifest_sha256", sa.LargeBinary(32), nullable=False, unique=True),
    sa.Column("key_encrypted", sa.LargeBinary, nullable=False),
    sa.Column("passcode_argon2", sa.Text, nullable=False),
    sa.Column("tries_left", sa.Integer, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("ended_ms", sa.BigInteger, nullable=True),
)
