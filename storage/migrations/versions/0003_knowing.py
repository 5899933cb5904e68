"""Remember what names a job's task when its answer was lost, and how long tasks take."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Apply."""
    op.add_column("jobs", sa.Column("hook_token", sa.String(), nullable=True))
    op.add_column("jobs", sa.Column("named_task_id", sa.String(), nullable=True))
    op.add_column("jobs", sa.Column("rendered_at", sa.String(), nullable=True))
    op.add_column("jobs", sa.Column("uncertain_at", sa.String(), nullable=True))
    op.add_column("jobs", sa.Column("reminded_at", sa.String(), nullable=True))
    op.create_index("jobs_by_hook_token", "jobs", ["hook_token"], unique=True)
    op.create_index(
        "jobs_by_length",
        "jobs",
        ["model", "seconds", "rendered_at"],
        unique=False,
        sqlite_where=sa.text("rendered_at IS NOT NULL"),
    )
    for column, stage in (("rendered_at", "fetching"), ("uncertain_at", "uncertain")):
        op.execute(
            f"UPDATE jobs SET {column} = "  # noqa: S608 - both names are written above
            f"(SELECT max(at) FROM stage_history WHERE job_id = jobs.job_id AND stage = '{stage}')"
        )
    # One reason became two: nobody knows of a task, or of a known task's end.
    op.execute(
        "UPDATE jobs SET failure = CASE WHEN task_id IS NULL THEN 'submit_lost' ELSE 'no_verdict' END "
        "WHERE failure = 'uncertain'"
    )
