"""What Dagster was told of months, so that it is told again when they have changed since."""

from pipeline.store.migrations import run_sql

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__, "up")


def downgrade() -> None:
    run_sql(__file__, "down")
