"""Remember what successors of Sora let one choose, and which model the bot chose."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Apply."""
    for column in ("sound", "seed", "end_width", "end_height", "end_cropped", "stopper_id"):
        op.add_column("jobs", sa.Column(column, sa.Integer(), nullable=True))
    for column in ("negative_prompt", "style", "end_name", "end_type", "fell_from", "fell_to"):
        op.add_column("jobs", sa.Column(column, sa.String(), nullable=True))
    op.add_column("jobs", sa.Column("is_auto", sa.Integer(), nullable=False, server_default="0"))
    op.create_index(
        "jobs_by_end",
        "jobs",
        ["model", "finished_at"],
        unique=False,
        sqlite_where=sa.text("finished_at IS NOT NULL"),
    )
    op.add_column("drafts", sa.Column("end_name", sa.String(), nullable=True))
    op.add_column("servers", sa.Column("auto_policy", sa.String(), nullable=True))
    op.add_column("servers", sa.Column("auto_models", sa.String(), nullable=True))
