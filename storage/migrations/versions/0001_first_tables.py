"""Create members, jobs, their history, the ledger, limits, outages and marks."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_STAGES = (
    "stage IN ('queued', 'submitting', 'uncertain', 'rendering', 'fetching', 'delivering', "
    "'done', 'failed', 'cancelled')"
)

_LEDGER_RULES = (
    """
    CREATE TRIGGER ledger_is_never_updated BEFORE UPDATE ON ledger
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END
    """,
    """
    CREATE TRIGGER ledger_is_never_deleted BEFORE DELETE ON ledger
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END
    """,
    # INSERT OR REPLACE deletes what it replaces without asking the trigger above.
    """
    CREATE TRIGGER ledger_is_never_replaced BEFORE INSERT ON ledger
    WHEN EXISTS (
        SELECT 1 FROM ledger
        WHERE entry_id = NEW.entry_id OR (job_id = NEW.job_id AND kind = NEW.kind)
    )
    BEGIN SELECT RAISE(ABORT, 'a job has one entry of a kind, and the ledger is append-only'); END
    """,
    # Without a hold the sum is NULL: as if -1 were held, so that not even nothing can be spent of it.
    """
    CREATE TRIGGER ledger_spends_only_what_is_held BEFORE INSERT ON ledger
    WHEN NEW.kind IN ('settle', 'release') AND (
        SELECT COALESCE(SUM(CASE kind WHEN 'hold' THEN amount_micros ELSE -amount_micros END), -1)
        FROM ledger WHERE job_id = NEW.job_id AND kind IN ('hold', 'settle', 'release')
    ) < NEW.amount_micros
    BEGIN SELECT RAISE(ABORT, 'more is spent or released than is held'); END
    """,
)


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "marks",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "members",
        sa.Column("member_id", sa.Integer(), nullable=False),
        sa.Column("server_id", sa.Integer(), nullable=False),
        sa.Column("discord_id", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("member_id"),
        sa.UniqueConstraint("server_id", "discord_id", name="member_is_one_row_per_server"),
    )
    op.create_table(
        "outages",
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("failure", sa.String(), nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        sa.Column("since", sa.String(), nullable=False),
        sa.CheckConstraint("scope IN ('key', 'model')", name="outage_scope_is_known"),
        sa.PrimaryKeyConstraint("scope", "subject"),
    )
    op.create_table(
        "jobs",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("server_id", sa.Integer(), nullable=False),
        sa.Column("channel_id", sa.Integer(), nullable=False),
        sa.Column("member_id", sa.Integer(), nullable=False),
        sa.Column("mode", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("gateway", sa.String(), nullable=False),
        sa.Column("prompt", sa.String(), nullable=False),
        sa.Column("seconds", sa.Integer(), nullable=False),
        sa.Column("shape", sa.String(), nullable=False),
        sa.Column("quality", sa.String(), nullable=True),
        sa.Column("keep_watermark", sa.Integer(), nullable=True),
        sa.Column("picture_name", sa.String(), nullable=True),
        sa.Column("picture_type", sa.String(), nullable=True),
        sa.Column("picture_width", sa.Integer(), nullable=True),
        sa.Column("picture_height", sa.Integer(), nullable=True),
        sa.Column("picture_cropped", sa.Integer(), nullable=True),
        sa.Column("note", sa.String(), server_default="", nullable=False),
        sa.Column("stage", sa.String(), nullable=False),
        sa.Column("failure", sa.String(), nullable=True),
        sa.Column("failure_detail", sa.String(), nullable=True),
        sa.Column("failure_code", sa.String(), nullable=True),
        sa.Column("waiting_for", sa.String(), server_default="", nullable=False),
        sa.Column("task_id", sa.String(), nullable=True),
        sa.Column("submit_tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("result_urls", sa.String(), server_default="[]", nullable=False),
        sa.Column("clip_name", sa.String(), nullable=True),
        sa.Column("quote_micros", sa.Integer(), nullable=False),
        sa.Column("estimate", sa.Integer(), nullable=False),
        sa.Column("card_message_id", sa.Integer(), nullable=True),
        sa.Column("card_stage", sa.String(), nullable=True),
        sa.Column("video_message_id", sa.Integer(), nullable=True),
        sa.Column("told_stage", sa.String(), nullable=True),
        sa.Column("created_at", sa.String(), nullable=False),
        sa.Column("submitted_at", sa.String(), nullable=True),
        sa.Column("fetched_at", sa.String(), nullable=True),
        sa.Column("finished_at", sa.String(), nullable=True),
        sa.CheckConstraint("account IN ('real', 'sandbox')", name="job_account_is_known"),
        sa.CheckConstraint(
            "stage <> 'delivering' OR clip_name IS NOT NULL", name="delivering_job_has_a_clip"
        ),
        sa.CheckConstraint("stage <> 'failed' OR failure IS NOT NULL", name="failed_job_has_a_reason"),
        sa.CheckConstraint("stage <> 'rendering' OR task_id IS NOT NULL", name="rendering_job_has_a_task"),
        sa.CheckConstraint(
            _STAGES,
            name="job_stage_is_known",
        ),
        sa.CheckConstraint("quote_micros >= 0", name="job_quote_is_not_negative"),
        sa.ForeignKeyConstraint(
            ["member_id"],
            ["members.member_id"],
        ),
        sa.PrimaryKeyConstraint("job_id"),
        sa.UniqueConstraint("gateway", "task_id", name="task_belongs_to_one_job"),
        sa.UniqueConstraint("origin", name="job_is_ordered_once"),
    )
    op.create_index("jobs_by_member", "jobs", ["member_id", "created_at"], unique=False)
    op.create_index("jobs_by_stage", "jobs", ["stage"], unique=False)
    op.create_table(
        "limits",
        sa.Column("member_id", sa.Integer(), nullable=False),
        sa.Column("monthly_micros", sa.Integer(), nullable=False),
        sa.Column("set_by", sa.Integer(), nullable=False),
        sa.Column("set_at", sa.String(), nullable=False),
        sa.CheckConstraint("monthly_micros >= 0", name="limit_is_not_negative"),
        sa.ForeignKeyConstraint(
            ["member_id"],
            ["members.member_id"],
        ),
        sa.ForeignKeyConstraint(
            ["set_by"],
            ["members.member_id"],
        ),
        sa.PrimaryKeyConstraint("member_id"),
    )
    op.create_table(
        "ledger",
        sa.Column("entry_id", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.String(), nullable=True),
        sa.Column("server_id", sa.Integer(), nullable=False),
        sa.Column("member_id", sa.Integer(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("amount_micros", sa.Integer(), nullable=False),
        sa.Column("model", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("ordered_at", sa.String(), nullable=False),
        sa.Column("created_at", sa.String(), nullable=False),
        sa.CheckConstraint("account IN ('real', 'sandbox')", name="entry_account_is_known"),
        sa.CheckConstraint(
            "kind IN ('hold', 'settle', 'release', 'possible_charge', 'grant', 'correction')",
            name="entry_kind_is_known",
        ),
        sa.CheckConstraint("amount_micros >= 0", name="entry_is_not_negative"),
        sa.CheckConstraint(
            "job_id IS NOT NULL OR kind IN ('grant', 'correction')", name="entry_names_its_job"
        ),
        sa.ForeignKeyConstraint(
            ["job_id"],
            ["jobs.job_id"],
        ),
        sa.ForeignKeyConstraint(
            ["member_id"],
            ["members.member_id"],
        ),
        sa.PrimaryKeyConstraint("entry_id"),
        sa.UniqueConstraint("job_id", "kind", name="job_has_one_entry_of_a_kind"),
    )
    op.create_index(
        "ledger_by_member",
        "ledger",
        ["account", "member_id", "ordered_at", "kind", "amount_micros"],
        unique=False,
    )
    op.create_index(
        "ledger_by_time", "ledger", ["account", "ordered_at", "kind", "amount_micros"], unique=False
    )
    op.create_table(
        "stage_history",
        sa.Column("entry_id", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("stage", sa.String(), nullable=False),
        sa.Column("note", sa.String(), server_default="", nullable=False),
        sa.Column("at", sa.String(), nullable=False),
        sa.CheckConstraint(
            _STAGES,
            name="history_stage_is_known",
        ),
        sa.ForeignKeyConstraint(
            ["job_id"],
            ["jobs.job_id"],
        ),
        sa.PrimaryKeyConstraint("entry_id"),
    )
    op.create_index("stage_history_by_job", "stage_history", ["job_id"], unique=False)

    for rule in _LEDGER_RULES:
        op.execute(rule)
