"""The tables as queries see them; `migrations/` creates them, and a test keeps the two alike."""

import datetime as dt
from collections.abc import Iterable
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Integer, String, UniqueConstraint

from bot.models import Account, Audience, Budget, DraftStage, OutageScope, PauseScope, RuleScope, Stage
from bot.quotas import Layer, Measure

FIXED_ISO = "%Y-%m-%dT%H:%M:%S.%fZ"


class UtcTime(sa.types.TypeDecorator[dt.datetime]):
    """An aware UTC time as fixed-width ISO 8601 text, so that text order is time order."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: sa.Dialect) -> str | None:  # noqa: ARG002
        """Write the time; a naive one is a programming error."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a stored time must be aware")
        return value.astimezone(dt.UTC).strftime(FIXED_ISO)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> dt.datetime | None:  # noqa: ARG002
        """Read the time back as aware UTC."""
        return None if value is None else dt.datetime.strptime(value, FIXED_ISO).replace(tzinfo=dt.UTC)


class ForeignText(sa.types.TypeDecorator[str]):
    """Text that somebody else wrote: half a surrogate pair in it, which JSON can carry, becomes `?`."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:  # noqa: ARG002
        """Write what UTF-8 can hold."""
        return None if value is None else value.encode("utf-8", "replace").decode("utf-8")


class EntryKind(StrEnum):
    """What an entry of the ledger does. The last two name the act that made them."""

    HOLD = "hold"  # set aside when the job is ordered
    SETTLE = "settle"  # spent, out of what is held
    RELEASE = "release"  # given back, out of what is held
    POSSIBLE_CHARGE = "possible_charge"  # the operator's: what a gateway took, or may have, beyond settles
    GRANT = "grant"  # on top of a member's limit in the periods it is made in, or for one approved job
    CORRECTION = "correction"  # of what was settled, given back by staff


def _one_of(column: str, values: Iterable[StrEnum]) -> str:
    return f"{column} IN ({', '.join(repr(str(value)) for value in values)})"


metadata = sa.MetaData()

members = sa.Table(
    "members",
    metadata,
    Column("member_id", Integer, primary_key=True),
    Column("server_id", Integer, nullable=False),
    # The one place with a person's Discord id; blanking it forgets the person and keeps the sums. Triggers
    # refuse any other change but of `wants_alerts`, and that a row goes.
    Column("discord_id", Integer, nullable=True),
    Column("wants_alerts", Integer, nullable=False, server_default="0"),
    UniqueConstraint("server_id", "discord_id", name="member_is_one_row_per_server"),
)

jobs = sa.Table(
    "jobs",
    metadata,
    Column("job_id", String, primary_key=True),
    Column("origin", String, nullable=False),
    Column("account", String, nullable=False),
    Column("server_id", Integer, nullable=False),
    Column("channel_id", Integer, nullable=False),
    Column("member_id", Integer, ForeignKey("members.member_id"), nullable=False),
    Column("mode", String, nullable=False),
    Column("model", String, nullable=False),
    Column("gateway", String, nullable=False),
    Column("prompt", ForeignText, nullable=False),
    Column("seconds", Integer, nullable=False),
    Column("shape", String, nullable=False),
    Column("quality", String, nullable=True),
    Column("keep_watermark", Integer, nullable=True),
    Column("picture_name", String, nullable=True),
    Column("picture_type", String, nullable=True),
    Column("picture_width", Integer, nullable=True),
    Column("picture_height", Integer, nullable=True),
    Column("picture_cropped", Integer, nullable=True),
    Column("note", ForeignText, nullable=False, server_default=""),
    Column("stage", String, nullable=False),
    Column("failure", String, nullable=True),
    Column("failure_detail", ForeignText, nullable=True),
    Column("failure_code", ForeignText, nullable=True),
    Column("waiting_for", ForeignText, nullable=False, server_default=""),
    Column("task_id", String, nullable=True),
    Column("submit_tries", Integer, nullable=False, server_default="0"),
    Column("result_urls", String, nullable=False, server_default="[]"),
    Column("clip_name", String, nullable=True),
    Column("quote_micros", Integer, nullable=False),
    Column("estimate", Integer, nullable=False),
    Column("card_message_id", Integer, nullable=True),
    Column("card_stage", String, nullable=True),
    Column("video_message_id", Integer, nullable=True),
    Column("told_stage", String, nullable=True),
    Column("created_at", UtcTime, nullable=False),
    Column("submitted_at", UtcTime, nullable=True),
    Column("fetched_at", UtcTime, nullable=True),
    Column("finished_at", UtcTime, nullable=True),
    # The channel whose limits and purse count: of a thread its parent. NULL where it is `channel_id`.
    Column("home_channel_id", Integer, nullable=True),
    Column("budget", String, nullable=False, server_default="member"),
    Column("budget_id", Integer, nullable=True),
    Column("role_id", Integer, nullable=True),  # the member's highest when they ordered
    Column("price_version", String, nullable=False, server_default=""),
    Column("cost_micros", Integer, nullable=True),  # what the gateway says it took
    Column("hook_token", String, nullable=True),  # ends the address of the job's own callback
    Column("named_task_id", String, nullable=True),  # what its callback says; not believed until looked at
    Column("rendered_at", UtcTime, nullable=True),  # when the clip was ready; NULL where nobody can say
    Column("uncertain_at", UtcTime, nullable=True),
    Column("reminded_at", UtcTime, nullable=True),  # when staff were told again that it is uncertain
    # What some models let one choose; NULL where nobody did.
    Column("sound", Integer, nullable=True),
    Column("seed", Integer, nullable=True),
    Column("end_width", Integer, nullable=True),  # of the picture that the clip ends with
    Column("end_height", Integer, nullable=True),
    Column("end_cropped", Integer, nullable=True),
    Column("negative_prompt", ForeignText, nullable=True),
    Column("style", String, nullable=True),
    Column("end_name", String, nullable=True),
    Column("end_type", String, nullable=True),
    Column("fell_from", String, nullable=True),  # the model that was chosen first, where it failed
    Column("fell_to", String, nullable=True),  # the job that goes on in the stead of this one
    Column("is_auto", Integer, nullable=False, server_default="0"),  # the bot chose the model
    # Who had the gateway asked to end the task; NULL where nobody did. By their `member_id`.
    Column("stopper_id", Integer, nullable=True),
    UniqueConstraint("origin", name="job_is_ordered_once"),
    UniqueConstraint("gateway", "task_id", name="task_belongs_to_one_job"),
    CheckConstraint(_one_of("stage", Stage), name="job_stage_is_known"),
    CheckConstraint(_one_of("account", Account), name="job_account_is_known"),
    CheckConstraint("quote_micros >= 0", name="job_quote_is_not_negative"),
    CheckConstraint("stage <> 'rendering' OR task_id IS NOT NULL", name="rendering_job_has_a_task"),
    CheckConstraint("stage <> 'delivering' OR clip_name IS NOT NULL", name="delivering_job_has_a_clip"),
    CheckConstraint("stage <> 'failed' OR failure IS NOT NULL", name="failed_job_has_a_reason"),
    Index("jobs_by_stage", "stage"),
    Index("jobs_by_member", "member_id", "created_at"),
    Index("jobs_by_server", "server_id", "created_at"),
    Index("jobs_by_server_and_stage", "server_id", "stage", "created_at"),
    Index("jobs_by_server_and_model", "server_id", "model", "created_at"),
    Index("jobs_by_hook_token", "hook_token", unique=True),
    Index(
        "jobs_by_length",
        "model",
        "seconds",
        "rendered_at",
        sqlite_where=sa.text("rendered_at IS NOT NULL"),
    ),
    Index("jobs_by_end", "model", "finished_at", sqlite_where=sa.text("finished_at IS NOT NULL")),
)

stage_history = sa.Table(
    "stage_history",
    metadata,
    Column("entry_id", Integer, primary_key=True),
    Column("job_id", String, ForeignKey("jobs.job_id"), nullable=False),
    Column("stage", String, nullable=False),
    Column("note", ForeignText, nullable=False, server_default=""),
    Column("at", UtcTime, nullable=False),
    CheckConstraint(_one_of("stage", Stage), name="history_stage_is_known"),
    Index("stage_history_by_job", "job_id"),
)

ledger = sa.Table(
    "ledger",
    metadata,
    Column("entry_id", Integer, primary_key=True),
    Column("job_id", String, ForeignKey("jobs.job_id"), nullable=True),
    Column("server_id", Integer, nullable=False),
    Column("channel_id", Integer, nullable=True),
    Column("member_id", Integer, ForeignKey("members.member_id"), nullable=False),
    Column("account", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("amount_micros", Integer, nullable=False),
    Column("model", String, nullable=True),
    Column("gateway", String, nullable=True),
    Column("role_id", Integer, nullable=True),
    Column("budget", String, nullable=False),
    Column("budget_id", Integer, nullable=True),
    Column("price_version", String, nullable=False),
    # Who caused it; NULL is the bot itself.
    Column("actor_id", Integer, ForeignKey("members.member_id"), nullable=True),
    Column("act_id", String, ForeignKey("acts.act_id"), nullable=True),
    Column("reason", ForeignText, nullable=False),
    # When the job was ordered: every entry of a job counts in that period, however late it is made.
    Column("ordered_at", UtcTime, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    UniqueConstraint("job_id", "kind", name="job_has_one_entry_of_a_kind"),
    UniqueConstraint("act_id", name="act_makes_one_entry"),
    CheckConstraint(_one_of("kind", EntryKind), name="entry_kind_is_known"),
    CheckConstraint("job_id IS NOT NULL OR kind = 'grant'", name="entry_names_its_job"),
    CheckConstraint("(act_id IS NOT NULL) = (kind IN ('grant', 'correction'))", name="entry_names_its_act"),
    CheckConstraint(_one_of("account", Account), name="entry_account_is_known"),
    CheckConstraint(_one_of("budget", Budget), name="entry_budget_is_known"),
    CheckConstraint("amount_micros >= 0", name="entry_is_not_negative"),
    CheckConstraint("typeof(amount_micros) = 'integer'", name="entry_is_whole_micros"),
    Index("ledger_by_server", "server_id", "account", "ordered_at"),
    Index("ledger_by_member", "member_id", "account", "ordered_at"),
    Index("ledger_by_gateway", "gateway", "created_at"),
)

# Sums of the ledger by what they count for and the quarter of an hour (of UTC, since the epoch) in which the
# jobs were ordered: any calendar period of any time zone is whole quarters. A trigger on the ledger writes
# them, so that no sum ever rescans the history. SQLite cannot tell a trigger's writes from others: it refuses
# to delete a total, but that none is changed by hand only `storage/proof.py` finds, by summing the entries.
totals = sa.Table(
    "totals",
    metadata,
    Column("account", String, primary_key=True),
    Column("scope", String, primary_key=True),
    Column("subject", String, primary_key=True),
    Column("quarter", Integer, primary_key=True),
    Column("spent_micros", Integer, nullable=False),
    Column("held_micros", Integer, nullable=False),
    Column("granted_micros", Integer, nullable=False),
    Column("possible_micros", Integer, nullable=False),
    Column("jobs", Integer, nullable=False),
    sqlite_with_rowid=False,
)

# Members' limits by their `member_id`, so that no Discord id of a person is here.
limits = sa.Table(
    "limits",
    metadata,
    Column("server_id", Integer, primary_key=True),
    Column("layer", String, primary_key=True),
    Column("subject_id", Integer, primary_key=True),
    Column("measure", String, primary_key=True),
    Column("amount", Integer, nullable=False),
    CheckConstraint(
        _one_of("layer", [layer for layer in Layer if not layer.is_operators]), name="limit_layer_is_known"
    ),
    CheckConstraint(_one_of("measure", Measure), name="limit_measure_is_known"),
    CheckConstraint("amount >= 0", name="limit_is_not_negative"),
    CheckConstraint("typeof(amount) = 'integer'", name="limit_is_whole"),
)

purses = sa.Table(
    "purses",
    metadata,
    Column("purse_id", Integer, primary_key=True),
    Column("server_id", Integer, nullable=False),
    Column("channel_id", Integer, nullable=False),
    Column("amount_micros", Integer, nullable=False),
    Column("opened_at", UtcTime, nullable=False),
    Column("ends_at", UtcTime, nullable=True),
    Column("closed_at", UtcTime, nullable=True),
    CheckConstraint("amount_micros > 0", name="purse_has_money"),
    CheckConstraint("typeof(amount_micros) = 'integer'", name="purse_is_whole_micros"),
    Index(
        "channel_has_one_purse",
        "server_id",
        "channel_id",
        unique=True,
        sqlite_where=sa.text("closed_at IS NULL"),
    ),
    Index("purses_by_server", "server_id"),
)

servers = sa.Table(
    "servers",
    metadata,
    Column("server_id", Integer, primary_key=True),
    Column("zone", String, nullable=True),
    Column("staff_channel_id", Integer, nullable=True),
    Column("approver_role_id", Integer, nullable=True),
    Column("confirm_above_micros", Integer, nullable=True),
    Column("auto_policy", String, nullable=True),
    Column("auto_models", String, nullable=True),  # JSON: the ids of models in staff's own order
)

# What only an operator or staff do, for good: who, when, what and why.
acts = sa.Table(
    "acts",
    metadata,
    Column("act_id", String, primary_key=True),
    Column("server_id", Integer, nullable=False),
    Column("actor_id", Integer, ForeignKey("members.member_id"), nullable=True),
    Column("act", String, nullable=False),
    Column("about_id", Integer, ForeignKey("members.member_id"), nullable=True),
    Column("what", ForeignText, nullable=False),
    Column("reason", ForeignText, nullable=False),
    Column("at", UtcTime, nullable=False),
    Index("acts_by_server", "server_id", "at"),
    Index("acts_by_actor", "actor_id", "at"),
    Index("acts_by_member", "about_id", "at"),
)

# Orders that wait for a yes: their member's to the price, or staff's to more than a limit leaves.
drafts = sa.Table(
    "drafts",
    metadata,
    Column("draft_id", String, primary_key=True),
    Column("origin", String, nullable=False),
    Column("server_id", Integer, nullable=False),
    Column("channel_id", Integer, nullable=False),
    Column("member_id", Integer, ForeignKey("members.member_id"), nullable=False),
    Column("order_json", String, nullable=False),
    Column("picture_name", String, nullable=True),
    Column("stage", String, nullable=False),
    Column("why", ForeignText, nullable=False, server_default=""),
    Column("created_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("staff_channel_id", Integer, nullable=True),
    Column("staff_message_id", Integer, nullable=True),
    Column("shown_stage", String, nullable=True),
    Column("decided_by", Integer, ForeignKey("members.member_id"), nullable=True),
    Column("job_id", String, ForeignKey("jobs.job_id"), nullable=True),
    Column("end_name", String, nullable=True),
    UniqueConstraint("origin", name="order_has_one_draft"),
    CheckConstraint(_one_of("stage", DraftStage), name="draft_stage_is_known"),
    Index("drafts_by_stage", "stage", "expires_at"),
    Index(
        "drafts_unshown",
        "created_at",
        sqlite_where=sa.text("staff_channel_id IS NOT NULL AND shown_stage IS NOT stage"),
    ),
)

# Each share of a limit or purse that was reached, once a period for each audience; `told_at` is NULL until
# they were told. The subject of a role's limit names the member too, since it is an allowance of each.
alerts = sa.Table(
    "alerts",
    metadata,
    Column("alert_id", Integer, primary_key=True),
    Column("audience", String, nullable=False),
    Column("server_id", Integer, nullable=False),
    Column("account", String, nullable=False),
    Column("layer", String, nullable=False),  # or "purse"
    Column("subject", String, nullable=False),
    Column("measure", String, nullable=False),
    Column("starts_at", UtcTime, nullable=False),
    Column("turns_at", UtcTime, nullable=True),
    Column("percent", Integer, nullable=False),
    # In micro-dollars, or jobs where the measure counts them.
    Column("whole", Integer, nullable=False),
    Column("used", Integer, nullable=False),
    Column("member_id", Integer, ForeignKey("members.member_id"), nullable=True),
    Column("created_at", UtcTime, nullable=False),
    Column("told_at", UtcTime, nullable=True),
    UniqueConstraint(
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
    CheckConstraint(_one_of("audience", Audience), name="alert_audience_is_known"),
    Index("alerts_untold", "alert_id", sqlite_where=sa.text("told_at IS NULL")),
)

# What staff are to read in their channel besides alerts and requests; `told_at` is NULL until they did.
notes = sa.Table(
    "notes",
    metadata,
    Column("note_id", Integer, primary_key=True),
    Column("server_id", Integer, nullable=False),
    Column("content", ForeignText, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("told_at", UtcTime, nullable=True),
    Index("notes_untold", "note_id", sqlite_where=sa.text("told_at IS NULL")),
)

pauses = sa.Table(
    "pauses",
    metadata,
    Column("scope", String, primary_key=True),
    Column("subject", String, primary_key=True),
    Column("reason", ForeignText, nullable=False),
    Column("since", UtcTime, nullable=False),
    CheckConstraint(_one_of("scope", PauseScope), name="pause_scope_is_known"),
)

# Members by their `member_id`, as in limits.
access_rules = sa.Table(
    "access_rules",
    metadata,
    Column("server_id", Integer, primary_key=True),
    Column("scope", String, primary_key=True),
    Column("subject_id", Integer, primary_key=True),
    Column("allows", Integer, nullable=False),
    CheckConstraint(_one_of("scope", RuleScope), name="rule_scope_is_known"),
)

balances = sa.Table(
    "balances",
    metadata,
    Column("reading_id", Integer, primary_key=True),
    Column("gateway", String, nullable=False),
    Column("balance_micros", Integer, nullable=False),
    Column("read_at", UtcTime, nullable=False),
    # What the operator has to be told of this reading; empty once they were, or where there is nothing.
    Column("untold", String, nullable=False, server_default=""),
    # Whether it was off: what was lost before it has been told, and is not told again.
    Column("is_off", Integer, nullable=False, server_default="0"),
    CheckConstraint("typeof(balance_micros) = 'integer'", name="balance_is_whole_micros"),
    Index("balances_by_gateway", "gateway", "read_at"),
    Index("balances_in_turn", "gateway", "reading_id"),
    Index("balances_untold", "reading_id", sqlite_where=sa.text("untold <> ''")),
)

outages = sa.Table(
    "outages",
    metadata,
    Column("scope", String, primary_key=True),
    Column("subject", String, primary_key=True),
    Column("failure", String, nullable=False),
    Column("detail", ForeignText, nullable=False),
    Column("since", UtcTime, nullable=False),
    CheckConstraint(_one_of("scope", OutageScope), name="outage_scope_is_known"),
)

marks = sa.Table(
    "marks",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", String, nullable=False),
)
