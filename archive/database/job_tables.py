"""Tables of heavy work: jobs, the units that are still to be done, and those that could not be.

A unit is removed when it is done: its size is then part of `jobs.done`. So done, failed and the sizes of the units that
are left always add up to `jobs.total`, and the table of units is never larger than the work that waits.
"""

import sqlalchemy as sa

from archive.database.schema import metadata

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("argument", sa.Text, nullable=False),
    sa.Column("asked_by", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("claimed_ms", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("finished_ms", sa.BigInteger, nullable=True, index=True),
    sa.Column("total", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("done", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("failed", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("result", sa.Text, nullable=False, server_default="{}"),
    sqlite_autoincrement=True,  # the number of a job that was removed is not given again
)
"""`argument` and `result` are JSON; `total`, `done` and `failed` are counted in the things that units do."""

job_units = sa.Table(
    "job_units",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("job_id", sa.Integer, sa.ForeignKey("jobs.id"), nullable=False),
    sa.Column("argument", sa.Text, nullable=False),
    sa.Column("size", sa.Integer, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("worker", sa.Text, nullable=False, server_default=""),
    sa.Column("lease_until_ms", sa.BigInteger, nullable=False, server_default="0"),
    sa.Index("ix_job_units_job_id_size_id", "job_id", "size", "id"),
)
"""`size` is how many things a unit does; 0 is one that finds more units. It is `worker`'s until the lease is over."""

job_failures = sa.Table(
    "job_failures",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("job_id", sa.Integer, sa.ForeignKey("jobs.id"), nullable=False, index=True),
    sa.Column("argument", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
)
"""Units that were given up; their sizes are part of `jobs.failed`."""
