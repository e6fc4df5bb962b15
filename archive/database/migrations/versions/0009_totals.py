"""How many studies, series and instances there are, and the version of the index, kept by triggers

The triggers go when the table `studies` or `share_studies` is made anew (batch mode with `recreate`): a migration that
does so makes them again.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0010"

COUNTS = {
    "study_count": "({0}.instance_count > 0)",
    "series_count": "{0}.series_count",
    "instance_count": "{0}.instance_count",
}


def upgrade() -> None:
    op.create_table(
        "index_totals",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("study_count", sa.BigInteger(), nullable=False),
        sa.Column("series_count", sa.BigInteger(), nullable=False),
        sa.Column("instance_count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_index_totals")),
    )
    op.execute(
        "INSERT INTO index_totals SELECT 1, 1, coalesce(sum(CASE WHEN instance_count > 0 THEN 1 ELSE 0 END), 0), "
        "coalesce(sum(series_count), 0), coalesce(sum(instance_count), 0) FROM studies"
    )
    if op.get_bind().dialect.name != "sqlite":
        return
    for name, event, more, less in (
        ("added", "INSERT", "new", None),
        ("removed", "DELETE", None, "old"),
        ("changed", "UPDATE", "new", "old"),
    ):
        changes = ", ".join(f"{column} = {column}{_change(rule, more, less)}" for column, rule in COUNTS.items())
        op.execute(
            f"CREATE TRIGGER studies_{name}_totals AFTER {event} ON studies "  # noqa: S608 - names of columns, none from outside
            f"BEGIN UPDATE index_totals SET version = version + 1, {changes}; END"
        )
    for name, event, rule in (
        ("added", "INSERT", "new.copy_uid IS NOT NULL"),
        ("removed", "DELETE", "old.copy_uid IS NOT NULL"),
        ("changed", "UPDATE OF copy_uid", "old.copy_uid IS NOT new.copy_uid"),
    ):
        op.execute(
            f"CREATE TRIGGER share_studies_{name}_version AFTER {event} ON share_studies WHEN {rule} "  # noqa: S608 - names of columns, none from outside
            "BEGIN UPDATE index_totals SET version = version + 1; END"
        )


def _change(rule: str, more: str | None, less: str | None) -> str:
    return (f" + {rule.format(more)}" if more else "") + (f" - {rule.format(less)}" if less else "")


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for name in ("added", "removed", "changed"):
            op.execute(f"DROP TRIGGER studies_{name}_totals")
            op.execute(f"DROP TRIGGER share_studies_{name}_version")
    op.drop_table("index_totals")
