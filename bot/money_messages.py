"""Every sentence a person reads about limits, purses and what was spent."""

from collections.abc import Sequence

from bot.messages import ago, at, price
from bot.models import Quote
from bot.money import dollars
from bot.quotas import Layer, Limit, Measure, Standing

_TURNS = {
    Measure.DAY: "day",
    Measure.JOBS_A_DAY: "day",
    Measure.WEEK: "week",
    Measure.MONTH: "month",
}


def limit_name(limit: Limit) -> str:
    """Name whose limit it is, to the person it bounds."""
    match limit.layer:
        case Layer.MEMBER:
            return "your limit"
        case Layer.ROLE:
            return f"the limit of <@&{limit.subject}>"
        case Layer.CHANNEL:
            return f"the limit of <#{limit.subject}>"
        case Layer.SERVER:
            return "this server's limit"
        case Layer.KEY:
            return f"the operator's limit for {limit.subject}"
        case Layer.OPERATOR:
            return "the operator's limit for everybody"


def limit_amount(limit: Limit) -> str:
    """Write how much a limit allows: "$10.00 a month", "2 jobs at once"."""
    match limit.measure:
        case Measure.AT_ONCE:
            return f"{limit.amount:,} {_jobs(limit.amount)} at once"
        case Measure.JOBS_A_DAY:
            return f"{limit.amount:,} {_jobs(limit.amount)} a day"
        case measure:
            return f"{dollars(limit.amount)} a {measure}"


def over_limit(standing: Standing, quote: Quote) -> str:
    """Refuse an order: which limit, what it has, what this costs, and when it turns."""
    limit = standing.limit
    told = f"This would go over {limit_name(limit)}"
    costs = f"This order costs {price(quote)}."
    if standing.is_hidden:
        parts = [f"{told}.", costs]
    elif limit.measure is Measure.JOB:
        parts = [f"{told}: {limit_amount(limit)}.", costs]
    elif limit.measure is Measure.AT_ONCE:
        parts = [f"{told}: {limit_amount(limit)}, and {standing.running} run now. Order when one has ended."]
    elif limit.measure is Measure.JOBS_A_DAY:
        parts = [f"{told}: {limit_amount(limit)}, and {standing.sums.jobs} were ordered today."]
    else:
        granted = standing.sums.granted_micros
        more = f" and {dollars(granted)} granted" if granted else ""
        used = (
            f"{dollars(standing.sums.spent_micros)} is spent and {dollars(standing.sums.held_micros)} is "
            "held by running jobs"
        )
        parts = [f"{told}: {limit_amount(limit)}{more}, of which {used}.", costs]
    if standing.period is not None:
        parts.append(f"The {_TURNS[limit.measure]} turns {ago(standing.period.turns_at)}.")
    return " ".join([*parts, "Nothing was charged."])


def over_limit_in_public(standing: Standing) -> str:
    """Refuse an order in front of everybody, without amounts."""
    return (
        f"This would go over {limit_name(standing.limit)}. `/quota show` tells you more. Nothing was charged."
    )


def quota(standings: Sequence[Standing], *, sandbox: bool) -> str:
    """Write where a member's own limits stand."""
    own = [standing for standing in standings if standing.limit.layer.is_own]
    lines = [line for standing in own for line in _own_lines(standing)]
    if sandbox:
        lines.append("-# This is the sandbox's play money.")
    return "\n".join(lines)


def _own_lines(standing: Standing) -> list[str]:
    limit, period, sums = standing.limit, standing.period, standing.sums
    if not limit.measure.is_budget or period is None:
        return [f"{limit_name(limit).capitalize()}: {limit_amount(limit)}."]
    whole = limit.amount + sums.granted_micros
    granted = f", {dollars(sums.granted_micros)} of it granted" if sums.granted_micros else ""
    return [
        f"**{dollars(standing.left)} left** of {dollars(whole)} this {limit.measure}{granted}"
        if whole
        else f"**You may order no videos here:** your limit is $0.00 a {limit.measure}. Staff can raise it.",
        f"Spent: {dollars(sums.spent_micros)}",
        f"Held by running jobs: {dollars(sums.held_micros)}",
        f"The {limit.measure} turns {ago(period.turns_at)} ({at(period.turns_at)}).",
    ]


def limit_set(user_id: int, amount_micros: int) -> str:
    """Answer staff who set a limit."""
    if not amount_micros:
        return f"<@{user_id}> may order no videos here ($0.00 a month)."
    return f"<@{user_id}> may spend {dollars(amount_micros)} a month here."


def limit_cleared(user_id: int, default_micros: int, *, had_one: bool) -> str:
    """Answer staff who cleared a limit."""
    before = "" if had_one else "There was no limit of their own. "
    return f"{before}For <@{user_id}> the default counts: {dollars(default_micros)} a month here."


def purse_too_small(left_micros: int) -> str:
    """Say why a job in a channel with a purse is charged to its member."""
    return (
        f"This channel's purse has {dollars(left_micros)} left, not enough for it: "
        "it is charged to your own quota."
    )


def _jobs(count: int) -> str:
    return "job" if count == 1 else "jobs"
