"""The tables as queries see them; `migrations/` creates them, and a test keeps the two alike."""

import datetime as dt
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Integer, String, UniqueConstraint

from bot.models import Account, OutageScope, Stage

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
    """What an entry of the ledger does. All but the last two belong to a job, once each."""

    HOLD = "hold"  # set aside when the job is ordered
    SETTLE = "settle"  # spent, out of what is held
    RELEASE = "release"  # given back, out of what is held
    POSSIBLE_CHARGE = "possible_charge"  # the operator's: a gateway may have taken it for a failure
    GRANT = "grant"
    CORRECTION = "correction"


def _one_of(column: str, values: type[StrEnum]) -> str:
    return f"{column} IN ({', '.join(repr(str(value)) for value in values)})"


metadata = sa.MetaData()

members = sa.Table(
    "members",
    metadata,
    Column("member_id", Integer, primary_key=True),
    Column("server_id", Integer, nullable=False),
    # The one place with a person's Discord id; blanking it forgets the person and keeps the sums.
    Column("discord_id", Integer, nullable=True),
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
    Column("member_id", Integer, ForeignKey("members.member_id"), nullable=False),
    Column("account", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("amount_micros", Integer, nullable=False),
    Column("model", String, nullable=True),
    Column("reason", String, nullable=False),
    # When the job was ordered: every entry of a job counts in that month, however late it is made.
    Column("ordered_at", UtcTime, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    UniqueConstraint("job_id", "kind", name="job_has_one_entry_of_a_kind"),
    CheckConstraint(_one_of("kind", EntryKind), name="entry_kind_is_known"),
    CheckConstraint("job_id IS NOT NULL OR kind IN ('grant', 'correction')", name="entry_names_its_job"),
    CheckConstraint(_one_of("account", Account), name="entry_account_is_known"),
    CheckConstraint("amount_micros >= 0", name="entry_is_not_negative"),
    Index("ledger_by_member", "account", "member_id", "ordered_at", "kind", "amount_micros"),
    Index("ledger_by_time", "account", "ordered_at", "kind", "amount_micros"),
)

limits = sa.Table(
    "limits",
    metadata,
    Column("member_id", Integer, ForeignKey("members.member_id"), primary_key=True),
    Column("monthly_micros", Integer, nullable=False),
    Column("set_by", Integer, ForeignKey("members.member_id"), nullable=False),
    Column("set_at", UtcTime, nullable=False),
    CheckConstraint("monthly_micros >= 0", name="limit_is_not_negative"),
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
