"""Give the ledger its budgets, acts and totals; add layered limits, purses, drafts, audit and the rest."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

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
        WHERE entry_id = NEW.entry_id OR (job_id = NEW.job_id AND kind = NEW.kind) OR act_id = NEW.act_id
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
    """
    CREATE TRIGGER ledger_corrects_only_what_was_settled BEFORE INSERT ON ledger
    WHEN NEW.kind = 'correction' AND COALESCE((
        SELECT amount_micros FROM ledger WHERE job_id = NEW.job_id AND kind = 'settle'
    ), -1) < NEW.amount_micros
    BEGIN SELECT RAISE(ABORT, 'more is corrected than was settled'); END
    """,
    # Also nothing without a hold: what a job does is of whom and what its money was held for.
    """
    CREATE TRIGGER ledger_keeps_to_the_hold BEFORE INSERT ON ledger
    WHEN NEW.job_id IS NOT NULL AND NEW.kind <> 'hold' AND NOT EXISTS (
        SELECT 1 FROM ledger WHERE job_id = NEW.job_id AND kind = 'hold'
          AND (account, server_id, channel_id, member_id, gateway, model, role_id, budget, budget_id,
               price_version, ordered_at)
           IS (NEW.account, NEW.server_id, NEW.channel_id, NEW.member_id, NEW.gateway, NEW.model, NEW.role_id,
               NEW.budget, NEW.budget_id, NEW.price_version, NEW.ordered_at)
    )
    BEGIN SELECT RAISE(ABORT, 'an entry says something else than the hold of its job'); END
    """,
    # A job that ends without a clip counts for no limit of jobs a day. Of a member all jobs are counted, but
    # no money that a purse pays or staff approved for one job.
    """
    CREATE TRIGGER ledger_keeps_totals AFTER INSERT ON ledger
    BEGIN
        INSERT INTO totals (
            account, scope, subject, quarter,
            spent_micros, held_micros, granted_micros, possible_micros, jobs
        )
        SELECT
            NEW.account, scope, subject,
            -- Whole seconds: SQLite would round the last half of a millisecond up, into the next month.
            CAST(strftime('%s', substr(NEW.ordered_at, 1, 19)) AS INTEGER) / 900,
            CASE NEW.kind WHEN 'settle' THEN micros WHEN 'correction' THEN -micros ELSE 0 END,
            CASE NEW.kind
                WHEN 'hold' THEN micros WHEN 'settle' THEN -micros WHEN 'release' THEN -micros ELSE 0
            END,
            CASE WHEN NEW.kind = 'grant' AND scope = 'member' THEN micros ELSE 0 END,
            CASE NEW.kind WHEN 'possible_charge' THEN micros ELSE 0 END,
            CASE
                WHEN NEW.kind = 'hold' THEN 1
                WHEN NEW.kind = 'release' AND NOT EXISTS (
                    SELECT 1 FROM ledger WHERE job_id = NEW.job_id AND kind = 'settle'
                ) THEN -1
                ELSE 0
            END
        FROM (
            SELECT 'member' AS scope, CAST(NEW.member_id AS TEXT) AS subject,
                CASE WHEN NEW.budget IN ('member', 'role') THEN NEW.amount_micros ELSE 0 END AS micros
            UNION ALL
            SELECT 'purse', CAST(NEW.budget_id AS TEXT), NEW.amount_micros WHERE NEW.budget = 'purse'
            UNION ALL
            SELECT 'channel', CAST(NEW.channel_id AS TEXT), NEW.amount_micros
            WHERE NEW.channel_id IS NOT NULL
            UNION ALL
            SELECT 'server', CAST(NEW.server_id AS TEXT), NEW.amount_micros
            UNION ALL
            SELECT 'key', NEW.gateway, NEW.amount_micros WHERE NEW.gateway IS NOT NULL
            UNION ALL
            SELECT 'operator', '', NEW.amount_micros
        )
        WHERE true
        ON CONFLICT (account, scope, subject, quarter) DO UPDATE SET
            spent_micros = spent_micros + excluded.spent_micros,
            held_micros = held_micros + excluded.held_micros,
            granted_micros = granted_micros + excluded.granted_micros,
            possible_micros = possible_micros + excluded.possible_micros,
            jobs = jobs + excluded.jobs;
    END
    """,
    # Not a CHECK: that would look at what an upsert adds, which may be negative, before it is added.
    """
    CREATE TRIGGER totals_begin_at_nothing AFTER INSERT ON totals
    WHEN NEW.spent_micros < 0 OR NEW.held_micros < 0 OR NEW.jobs < 0
    BEGIN SELECT RAISE(ABORT, 'a total is never negative'); END
    """,
    """
    CREATE TRIGGER totals_are_never_negative AFTER UPDATE ON totals
    WHEN NEW.spent_micros < 0 OR NEW.held_micros < 0 OR NEW.jobs < 0
    BEGIN SELECT RAISE(ABORT, 'a total is never negative'); END
    """,
    """
    CREATE TRIGGER totals_are_never_deleted BEFORE DELETE ON totals
    BEGIN SELECT RAISE(ABORT, 'a total is never deleted'); END
    """,
    """
    CREATE TRIGGER members_keep_who_they_are BEFORE UPDATE ON members
    WHEN (NEW.member_id, NEW.server_id) IS NOT (OLD.member_id, OLD.server_id)
      OR (NEW.discord_id IS NOT NULL AND NEW.discord_id IS NOT OLD.discord_id)
    BEGIN SELECT RAISE(ABORT, 'a member is blanked, and never another'); END
    """,
    """
    CREATE TRIGGER members_are_never_deleted BEFORE DELETE ON members
    BEGIN SELECT RAISE(ABORT, 'a member is blanked, and never deleted'); END
    """,
    """
    CREATE TRIGGER members_are_never_replaced BEFORE INSERT ON members
    WHEN EXISTS (
        SELECT 1 FROM members
        WHERE member_id = NEW.member_id OR (server_id = NEW.server_id AND discord_id = NEW.discord_id)
    )
    BEGIN SELECT RAISE(ABORT, 'a member has one row in a server'); END
    """,
    """
    CREATE TRIGGER acts_are_never_updated BEFORE UPDATE ON acts
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END
    """,
    """
    CREATE TRIGGER acts_are_never_deleted BEFORE DELETE ON acts
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END
    """,
    """
    CREATE TRIGGER acts_are_never_replaced BEFORE INSERT ON acts
    WHEN EXISTS (SELECT 1 FROM acts WHERE act_id = NEW.act_id OR rowid = NEW.rowid)
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END
    """,
)


def upgrade() -> None:
    """Apply."""
    op.add_column("members", sa.Column("wants_alerts", sa.Integer(), server_default="0", nullable=False))
    op.add_column("jobs", sa.Column("home_channel_id", sa.Integer(), nullable=True))
    op.add_column("jobs", sa.Column("budget", sa.String(), server_default="member", nullable=False))
    op.add_column("jobs", sa.Column("budget_id", sa.Integer(), nullable=True))
    op.add_column("jobs", sa.Column("role_id", sa.Integer(), nullable=True))
    op.add_column("jobs", sa.Column("price_version", sa.String(), server_default="", nullable=False))
    op.add_column("jobs", sa.Column("cost_micros", sa.Integer(), nullable=True))
    op.create_index("jobs_by_server", "jobs", ["server_id", "created_at"], unique=False)
    for column in ("stage", "model"):
        op.create_index(f"jobs_by_server_and_{column}", "jobs", ["server_id", column, "created_at"])
    _create_tables()
    _move_ledger()
    _move_limits()


def _create_tables() -> None:
    op.create_table(
        "acts",
        sa.Column("act_id", sa.String(), nullable=False),
        sa.Column("server_id", sa.Integer(), nullable=False),
        sa.Column("actor_id", sa.Integer(), nullable=True),
        sa.Column("act", sa.String(), nullable=False),
        sa.Column("about_id", sa.Integer(), nullable=True),
        sa.Column("what", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("at", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["actor_id"], ["members.member_id"]),
        sa.ForeignKeyConstraint(["about_id"], ["members.member_id"]),
        sa.PrimaryKeyConstraint("act_id"),
    )
    op.create_index("acts_by_server", "acts", ["server_id", "at"], unique=False)
    op.create_index("acts_by_actor", "acts", ["actor_id", "at"], unique=False)
    op.create_index("acts_by_member", "acts", ["about_id", "at"], unique=False)
    op.create_table(
        "totals",
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("quarter", sa.Integer(), nullable=False),
        sa.Column("spent_micros", sa.Integer(), nullable=False),
        sa.Column("held_micros", sa.Integer(), nullable=False),
        sa.Column("granted_micros", sa.Integer(), nullable=False),
        sa.Column("possible_micros", sa.Integer(), nullable=False),
        sa.Column("jobs", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("account", "scope", "subject", "quarter"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "purses",
        sa.Column("purse_id", sa.Integer(), nullable=False),
        sa.Column("server_id", sa.Integer(), nullable=False),
        sa.Column("channel_id", sa.Integer(), nullable=False),
        sa.Column("amount_micros", sa.Integer(), nullable=False),
        sa.Column("opened_at", sa.String(), nullable=False),
        sa.Column("ends_at", sa.String(), nullable=True),
        sa.Column("closed_at", sa.String(), nullable=True),
        sa.CheckConstraint("amount_micros > 0", name="purse_has_money"),
        sa.CheckConstraint("typeof(amount_micros) = 'integer'", name="purse_is_whole_micros"),
        sa.PrimaryKeyConstraint("purse_id"),
    )
    op.create_index(
        "channel_has_one_purse",
        "purses",
        ["server_id", "channel_id"],
        unique=True,
        sqlite_where=sa.text("closed_at IS NULL"),
    )
    op.create_index("purses_by_server", "purses", ["server_id"], unique=False)
    op.create_table(
        "servers",
        sa.Column("server_id", sa.Integer(), nullable=False),
        sa.Column("zone", sa.String(), nullable=True),
        sa.Column("staff_channel_id", sa.Integer(), nullable=True),
        sa.Column("approver_role_id", sa.Integer(), nullable=True),
        sa.Column("confirm_above_micros", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("server_id"),
    )
    op.create_table(
        "drafts",
        sa.Column("draft_id", sa.String(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("server_id", sa.Integer(), nullable=False),
        sa.Column("channel_id", sa.Integer(), nullable=False),
        sa.Column("member_id", sa.Integer(), nullable=False),
        sa.Column("order_json", sa.String(), nullable=False),
        sa.Column("picture_name", sa.String(), nullable=True),
        sa.Column("stage", sa.String(), nullable=False),
        sa.Column("why", sa.String(), server_default="", nullable=False),
        sa.Column("created_at", sa.String(), nullable=False),
        sa.Column("expires_at", sa.String(), nullable=False),
        sa.Column("staff_channel_id", sa.Integer(), nullable=True),
        sa.Column("staff_message_id", sa.Integer(), nullable=True),
        sa.Column("shown_stage", sa.String(), nullable=True),
        sa.Column("decided_by", sa.Integer(), nullable=True),
        sa.Column("job_id", sa.String(), nullable=True),
        sa.CheckConstraint(
            "stage IN ('quoted', 'refused', 'asked', 'ordered', 'denied', 'dropped', 'expired')",
            name="draft_stage_is_known",
        ),
        sa.ForeignKeyConstraint(["member_id"], ["members.member_id"]),
        sa.ForeignKeyConstraint(["decided_by"], ["members.member_id"]),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.job_id"]),
        sa.PrimaryKeyConstraint("draft_id"),
        sa.UniqueConstraint("origin", name="order_has_one_draft"),
    )
    op.create_index("drafts_by_stage", "drafts", ["stage", "expires_at"], unique=False)
    op.create_index(
        "drafts_unshown",
        "drafts",
        ["created_at"],
        unique=False,
        sqlite_where=sa.text("staff_channel_id IS NOT NULL AND shown_stage IS NOT stage"),
    )
    op.create_table(
        "alerts",
        sa.Column("alert_id", sa.Integer(), nullable=False),
        sa.Column("audience", sa.String(), nullable=False),
        sa.Column("server_id", sa.Integer(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("layer", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("measure", sa.String(), nullable=False),
        sa.Column("starts_at", sa.String(), nullable=False),
        sa.Column("turns_at", sa.String(), nullable=True),
        sa.Column("percent", sa.Integer(), nullable=False),
        sa.Column("whole", sa.Integer(), nullable=False),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.Column("member_id", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.String(), nullable=False),
        sa.Column("told_at", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["member_id"], ["members.member_id"]),
        sa.CheckConstraint("audience IN ('staff', 'member', 'operator')", name="alert_audience_is_known"),
        sa.PrimaryKeyConstraint("alert_id"),
        sa.UniqueConstraint(
            "audience",
            "server_id",
            "account",
            "layer",
            "subject",
            "measure",
            "starts_at",
            "percent",
            name="alert_is_given_once",
        ),
    )
    op.create_index(
        "alerts_untold", "alerts", ["alert_id"], unique=False, sqlite_where=sa.text("told_at IS NULL")
    )
    op.create_table(
        "notes",
        sa.Column("note_id", sa.Integer(), nullable=False),
        sa.Column("server_id", sa.Integer(), nullable=False),
        sa.Column("content", sa.String(), nullable=False),
        sa.Column("created_at", sa.String(), nullable=False),
        sa.Column("told_at", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("note_id"),
    )
    op.create_index(
        "notes_untold", "notes", ["note_id"], unique=False, sqlite_where=sa.text("told_at IS NULL")
    )
    op.create_table(
        "pauses",
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("since", sa.String(), nullable=False),
        sa.CheckConstraint("scope IN ('server', 'gateway', 'model')", name="pause_scope_is_known"),
        sa.PrimaryKeyConstraint("scope", "subject"),
    )
    op.create_table(
        "access_rules",
        sa.Column("server_id", sa.Integer(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("subject_id", sa.Integer(), nullable=False),
        sa.Column("allows", sa.Integer(), nullable=False),
        sa.CheckConstraint("scope IN ('role', 'member', 'channel')", name="rule_scope_is_known"),
        sa.PrimaryKeyConstraint("server_id", "scope", "subject_id"),
    )
    op.create_table(
        "balances",
        sa.Column("reading_id", sa.Integer(), nullable=False),
        sa.Column("gateway", sa.String(), nullable=False),
        sa.Column("balance_micros", sa.Integer(), nullable=False),
        sa.Column("read_at", sa.String(), nullable=False),
        sa.Column("untold", sa.String(), server_default="", nullable=False),
        sa.CheckConstraint("typeof(balance_micros) = 'integer'", name="balance_is_whole_micros"),
        sa.Column("is_off", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("reading_id"),
    )
    op.create_index("balances_by_gateway", "balances", ["gateway", "read_at"], unique=False)
    op.create_index("balances_in_turn", "balances", ["gateway", "reading_id"], unique=False)
    op.create_index("balances_untold", "balances", ["reading_id"], sqlite_where=sa.text("untold <> ''"))


def _move_ledger() -> None:
    """Write every entry anew, so that the triggers check it and the totals count it."""
    op.rename_table("ledger", "ledger_before")
    for name in ("ledger_by_member", "ledger_by_time"):
        op.drop_index(name)
    op.create_table(
        "ledger",
        sa.Column("entry_id", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.String(), nullable=True),
        sa.Column("server_id", sa.Integer(), nullable=False),
        sa.Column("channel_id", sa.Integer(), nullable=True),
        sa.Column("member_id", sa.Integer(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("amount_micros", sa.Integer(), nullable=False),
        sa.Column("model", sa.String(), nullable=True),
        sa.Column("gateway", sa.String(), nullable=True),
        sa.Column("role_id", sa.Integer(), nullable=True),
        sa.Column("budget", sa.String(), nullable=False),
        sa.Column("budget_id", sa.Integer(), nullable=True),
        sa.Column("price_version", sa.String(), nullable=False),
        sa.Column("actor_id", sa.Integer(), nullable=True),
        sa.Column("act_id", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("ordered_at", sa.String(), nullable=False),
        sa.Column("created_at", sa.String(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('hold', 'settle', 'release', 'possible_charge', 'grant', 'correction')",
            name="entry_kind_is_known",
        ),
        sa.CheckConstraint("job_id IS NOT NULL OR kind = 'grant'", name="entry_names_its_job"),
        sa.CheckConstraint(
            "(act_id IS NOT NULL) = (kind IN ('grant', 'correction'))", name="entry_names_its_act"
        ),
        sa.CheckConstraint("account IN ('real', 'sandbox')", name="entry_account_is_known"),
        sa.CheckConstraint("budget IN ('member', 'role', 'purse', 'approval')", name="entry_budget_is_known"),
        sa.CheckConstraint("amount_micros >= 0", name="entry_is_not_negative"),
        sa.CheckConstraint("typeof(amount_micros) = 'integer'", name="entry_is_whole_micros"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.job_id"]),
        sa.ForeignKeyConstraint(["member_id"], ["members.member_id"]),
        sa.ForeignKeyConstraint(["actor_id"], ["members.member_id"]),
        sa.ForeignKeyConstraint(["act_id"], ["acts.act_id"]),
        sa.PrimaryKeyConstraint("entry_id"),
        sa.UniqueConstraint("job_id", "kind", name="job_has_one_entry_of_a_kind"),
        sa.UniqueConstraint("act_id", name="act_makes_one_entry"),
    )
    op.create_index("ledger_by_server", "ledger", ["server_id", "account", "ordered_at"], unique=False)
    op.create_index("ledger_by_member", "ledger", ["member_id", "account", "ordered_at"], unique=False)
    op.create_index("ledger_by_gateway", "ledger", ["gateway", "created_at"], unique=False)
    for rule in (
        "ledger_is_never_updated",
        "ledger_is_never_deleted",
        "ledger_is_never_replaced",
        "ledger_spends_only_what_is_held",
    ):
        op.execute(f"DROP TRIGGER {rule}")
    for rule in _LEDGER_RULES:
        op.execute(rule)
    op.execute(
        f"""
        INSERT INTO acts (act_id, server_id, act, about_id, what, reason, at)
        SELECT 'entry-' || entry_id, server_id, kind, member_id, {_dollars("amount_micros")}, reason,
               created_at
        FROM ledger_before WHERE kind IN ('grant', 'correction')
        """  # noqa: S608 - a name of our own
    )
    op.execute(
        """
        INSERT INTO ledger (
            entry_id, job_id, server_id, channel_id, member_id, account, kind, amount_micros, model, gateway,
            budget, price_version, act_id, reason, ordered_at, created_at
        )
        SELECT entry_id, job_id, entry.server_id, channel_id, entry.member_id, entry.account, kind,
               amount_micros, entry.model, gateway, 'member', '',
               CASE WHEN kind IN ('grant', 'correction') THEN 'entry-' || entry_id END,
               reason, ordered_at, entry.created_at
        FROM ledger_before AS entry LEFT JOIN jobs USING (job_id) ORDER BY entry_id
        """
    )
    op.drop_table("ledger_before")


def _move_limits() -> None:
    """Keep members' monthly limits, and who set them as an act."""
    op.rename_table("limits", "limits_before")
    op.create_table(
        "limits",
        sa.Column("server_id", sa.Integer(), nullable=False),
        sa.Column("layer", sa.String(), nullable=False),
        sa.Column("subject_id", sa.Integer(), nullable=False),
        sa.Column("measure", sa.String(), nullable=False),
        sa.Column("amount", sa.Integer(), nullable=False),
        sa.CheckConstraint("layer IN ('member', 'role', 'channel', 'server')", name="limit_layer_is_known"),
        sa.CheckConstraint(
            "measure IN ('day', 'week', 'month', 'job', 'at once', 'jobs a day')",
            name="limit_measure_is_known",
        ),
        sa.CheckConstraint("amount >= 0", name="limit_is_not_negative"),
        sa.CheckConstraint("typeof(amount) = 'integer'", name="limit_is_whole"),
        sa.PrimaryKeyConstraint("server_id", "layer", "subject_id", "measure"),
    )
    op.execute(
        """
        INSERT INTO limits (server_id, layer, subject_id, measure, amount)
        SELECT server_id, 'member', member_id, 'month', monthly_micros
        FROM limits_before JOIN members USING (member_id)
        """
    )
    op.execute(
        f"""
        INSERT INTO acts (act_id, server_id, actor_id, act, about_id, what, reason, at)
        SELECT 'limit-' || limits_before.member_id, server_id, set_by, 'quota set', limits_before.member_id,
               'monthly limit of ' || {_dollars("monthly_micros")}, '', set_at
        FROM limits_before JOIN members USING (member_id)
        """  # noqa: S608 - a name of our own
    )
    op.drop_table("limits_before")


def _dollars(column: str) -> str:
    """Write a column of micro-dollars as people read it, with more places only where cents lie."""
    return f"printf(CASE {column} % 10000 WHEN 0 THEN '$%.2f' ELSE '$%.6f' END, {column} / 1000000.0)"
