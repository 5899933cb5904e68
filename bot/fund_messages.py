"""Every sentence staff read about purses, grants and refunds, and members about a channel's purse."""

import datetime as dt
from collections.abc import Sequence

from bot import text
from bot.messages import ago, at
from bot.models import Budget, Job, Purse, Stage
from bot.money import dollars
from bot.quotas import Period

NO_PURSES = "No channel here has had a purse. `/video-admin purse open` gives it one."
BAD_DAY = "That is no day I can read. Write it like `{example}` or `12 Dec`, at most five years ahead."
PAST_DAY = "That day is over. Write one from today on, like `{example}`."
NO_MONEY = "That gives nothing. Write dollars with at most two decimals, like `12.50`, up to $1,000,000."


def purse_amount(amount_micros: int, channel_id: int, ends_at: dt.datetime | None) -> str:
    """Name a purse for good, for the audit log."""
    until = f" until {ends_at:%Y-%m-%d %H:%M} UTC" if ends_at is not None else ""
    return f"{dollars(amount_micros)} for <#{channel_id}>{until}"


def purse_opened(amount_micros: int, channel_id: int, ends_at: dt.datetime | None) -> str:
    """Answer staff who opened a purse."""
    until = f" until {at(ends_at)}" if ends_at is not None else ""
    return (
        f"<#{channel_id}> has a purse of {dollars(amount_micros)}{until}. While it lasts, jobs there are "
        "charged to it and not to members' own quotas. Their limits of dollars a job, jobs at once and jobs "
        "a day hold, and so do all limits of channel, server and operator."
    )


def purse_closed(channel_id: int) -> str:
    """Answer staff who closed a purse."""
    return (
        f"The purse of <#{channel_id}> is closed. Jobs that were charged to it go on; new ones are "
        "charged to their members. `/video-admin purse show` keeps its sums."
    )


def no_purse(channel_id: int) -> str:
    """Refuse to close what is not there."""
    return f"<#{channel_id}> has no open purse. `/video-admin purse show` lists them."


def purse_line(purse: Purse, now: dt.datetime) -> str:
    """Write a purse of a list, also one that is over."""
    used = f"{dollars(purse.spent_micros)} spent, {dollars(purse.held_micros)} held"
    ends_at = min(filter(None, [purse.ends_at, purse.closed_at]), default=None)
    opened = f"opened {at(purse.opened_at)}"
    if ends_at is not None and ends_at <= now:
        state = "closed" if ends_at == purse.closed_at else "over"
        of = dollars(purse.amount_micros)
        return f"<#{purse.channel_id}> **{state}** {at(ends_at)} · {used} of {of} · {opened}"
    until = f" · until {at(ends_at)}" if ends_at is not None else ""
    return (
        f"<#{purse.channel_id}> **{dollars(purse.left_micros)} left** of {dollars(purse.amount_micros)} · "
        f"{used}{until} · {opened}"
    )


def purses(found: Sequence[Purse], now: dt.datetime) -> str:
    """Write a page of a server's purses."""
    return "\n".join(purse_line(purse, now) for purse in found) or NO_PURSES


def purse_here(purse: Purse) -> str:
    """Tell a member of the purse of the channel they are in."""
    until = f", until {at(purse.ends_at)}" if purse.ends_at is not None else ""
    return (
        f"**This channel's purse: {dollars(purse.left_micros)} left** of {dollars(purse.amount_micros)} "
        f"({dollars(purse.spent_micros)} spent, {dollars(purse.held_micros)} held{until}). "
        + (
            "Orders here are charged to it, not to your own quota, while it can pay them."
            if purse.left_micros
            else "It is used up: orders here are charged to your own quota."
        )
    )


def granted(user_id: int, amount_micros: int, month: Period) -> str:
    """Answer staff who granted money."""
    return (
        f"<@{user_id}> may spend {dollars(amount_micros)} more this month, on top of their own limit or that "
        f"of their role; a limit for the day or the week is raised for this day or week alone. "
        f"The month turns {ago(month.turns_at)}. Limits of the channel, the server and the operator hold."
    )


def refunded(job: Job) -> str:
    """Answer staff who refunded a job."""
    whose = f"<@{job.user_id}>" if job.user_id is not None else "its member"
    target = {
        Budget.PURSE: f"to the purse of <#{job.home_channel_id}>",
        Budget.APPROVAL: "; it had been approved by staff, so no limit of its member changes",
    }.get(job.charge.budget, f"to {whose}'s quota")
    space = "" if target.startswith(";") else " "
    return (
        f"Job `{job.job_id}`: {dollars(job.corrected_micros)} given back{space}{target}. "
        f"It counts for the time in which the job was ordered, {at(job.created_at)}."
    )


def no_job(job_id: str) -> str:
    """Say that a server has no such job."""
    return f"There is no job {text.code(job_id, 20)} in this server. Its card names a job's id."


def not_refundable(job: Job) -> str:
    """Say why there is nothing to give back for a job."""
    name = f"Job `{job.job_id}`"
    if job.corrected_micros:
        return (
            f"{name} was refunded already: {dollars(job.corrected_micros)} of {dollars(job.settled_micros)}."
        )
    if job.stage in {Stage.FAILED, Stage.CANCELLED}:
        return f"{name} cost nothing: what it held was returned when it ended."
    if job.stage is Stage.UNCERTAIN:
        return (
            f"{name} has spent nothing yet: it is unclear whether the gateway has it, so its "
            f"{dollars(job.held_micros)} stays held. `/video-admin uncertain release` gives it back."
        )
    if job.held_micros:
        return (
            f"{name} has spent nothing yet: {dollars(job.held_micros)} is held. "
            "It can be refunded once its clip is there; a failure returns the money by itself."
        )
    return f"{name} cost nothing."
