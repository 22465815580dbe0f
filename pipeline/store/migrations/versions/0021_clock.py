"""One present for all that counts minutes: the server's, or that of a rehearsal's clock."""

from pipeline.store.migrations import run_sql

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__, "up")


def downgrade() -> None:
    run_sql(__file__, "down")
