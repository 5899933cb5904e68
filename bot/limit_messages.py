"""Every sentence staff read about the limits of their server."""

import itertools
from collections.abc import Iterable, Sequence

from bot.money import dollars
from bot.money_messages import limit_amount, standing_line
from bot.quotas import Layer, Limit, Measure, SetLimit, Standing

ONE_SUBJECT = (
    "Name one of `member`, `role` and `channel`, or none for the whole server, like "
    "`amount:12.50 member:@Ann`."
)
BAD_COUNT = "That is no number of jobs. Write a whole number from 0 to 1,000, like `3`."


def limit_of(limit: Limit) -> str:
    """Name a limit for good, for the audit log, but for the member whose it is."""
    return f"{limit_amount(limit)}{_of(limit)}"


def cleared_of(limit: Limit) -> str:
    """Name a limit that is taken away, for the audit log."""
    return f"the limit {measured(limit.measure)}{_of(limit)}"


def measured(measure: Measure) -> str:
    """Write what a limit counts: "a month", "jobs at once"."""
    match measure:
        case Measure.AT_ONCE:
            return "of jobs at once"
        case Measure.JOBS_A_DAY:
            return "of jobs a day"
        case _:
            return f"a {measure}"


def limit_set(limit: Limit, user_id: int | None) -> str:
    """Answer staff who set a limit."""
    here = " here" if limit.layer in {Layer.MEMBER, Layer.ROLE} else ""
    if not limit.amount:
        paid = " from their own quota" if limit.is_own_budget else ""
        return f"{_whose(limit, user_id)} may order no videos{here}{paid} ({limit_amount(limit)})."
    may = {Measure.AT_ONCE: "have", Measure.JOBS_A_DAY: "order"}.get(limit.measure, "spend")
    return f"{_whose(limit, user_id)} may {may} {limit_amount(limit)}{here}."


def limit_cleared(limit: Limit, user_id: int | None, default_micros: int, *, had_one: bool) -> str:
    """Answer staff who cleared a limit, and say what counts instead."""
    is_members = limit.layer is Layer.MEMBER
    if is_members and limit.measure is Measure.MONTH:
        before = "" if had_one else "There was no limit of their own. "
        return f"{before}For <@{user_id}> the default counts: {dollars(default_micros)} a month here."
    if not had_one:
        return f"There was no limit {measured(limit.measure)} of {_subject(limit, user_id)}."
    return f"The limit {measured(limit.measure)} of {_subject(limit, user_id)} is cleared."


def listed(found: Sequence[SetLimit], default_micros: int) -> list[str]:
    """Write every limit of a server, one part for each whose they are."""
    parts = [f"**Members without a limit of their own or of a role:** {dollars(default_micros)} a month"]
    for _, group in itertools.groupby(
        found, key=lambda one: (one.limit.layer, one.limit.subject, one.user_id)
    ):
        ones = list(group)
        amounts = " · ".join(limit_amount(one.limit) for one in ones)
        parts.append(f"**{_whose(ones[0].limit, ones[0].user_id)}:** {amounts}")
    return parts


def of_one(found: Iterable[SetLimit], limit: Limit, user_id: int | None) -> str:
    """Write what is set for one subject alone."""
    amounts = [limit_amount(one.limit) for one in found]
    told = " · ".join(amounts) or "no limit is set"
    return f"**{_whose(limit, user_id)}:** {told}"


def standings(user_id: int, found: Iterable[Standing]) -> str:
    """Write where a member's own limits stand, for staff."""
    lines = [f"What counts for <@{user_id}> now:"]
    for standing in found:
        limit = standing.limit
        by_role = f" (by <@&{limit.subject}>)" if limit.layer is Layer.ROLE else ""
        lines.append(f"- {standing_line(standing)}{by_role}")
    return "\n".join(lines)


def _whose(limit: Limit, user_id: int | None) -> str:
    match limit.layer:
        case Layer.MEMBER:
            return f"<@{user_id}>" if user_id is not None else "Somebody forgotten"
        case Layer.ROLE:
            return f"Each member with <@&{limit.subject}>"
        case Layer.CHANNEL:
            return f"All together in <#{limit.subject}>"
        case _:
            return "All members of this server together"


def _subject(limit: Limit, user_id: int | None) -> str:
    match limit.layer:
        case Layer.MEMBER:
            return f"<@{user_id}>"
        case Layer.SERVER:
            return "this server"
        case _:
            return _of(limit).removeprefix(" of ")


def _of(limit: Limit) -> str:
    match limit.layer:
        case Layer.ROLE:
            return f" of <@&{limit.subject}>"
        case Layer.CHANNEL:
            return f" of <#{limit.subject}>"
        case Layer.SERVER:
            return " of the server"
        case _:
            return ""
