"""Every sentence a person reads about limits, purses and what was spent."""

from collections.abc import Sequence

from bot import fund_messages, quotas
from bot.messages import ago, at, price
from bot.models import Purse, Quote
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
    if standing.is_hidden or limit.measure is Measure.JOB:
        parts = [f"{told}: {limit_amount(limit)}.", costs]
    elif limit.measure is Measure.AT_ONCE:
        run = "runs" if standing.running == 1 else "run"
        now = f"{standing.running} {run} now. Order when one has ended."
        parts = [f"{told}: {limit_amount(limit)}, and {now}", costs]
    elif limit.measure is Measure.JOBS_A_DAY:
        were = "was" if standing.sums.jobs == 1 else "were"
        parts = [f"{told}: {limit_amount(limit)}, and {standing.sums.jobs} {were} ordered today.", costs]
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
        f"This would go over {limit_name(standing.limit)}. `/quota why` tells you more. Nothing was charged."
    )


def quota(standings: Sequence[Standing], purse: Purse | None, *, sandbox: bool) -> str:
    """Write where a member's own limits stand, and in a channel with a purse where that does."""
    own = [standing for standing in standings if standing.limit.layer.is_own]
    lines = [line for standing in own for line in _own_lines(standing)]
    if purse is not None:
        lines.append(fund_messages.purse_here(purse))
    return "\n".join([*lines, *account_line(sandbox=sandbox)])


def why(standings: Sequence[Standing], purse: Purse | None, *, sandbox: bool) -> str:
    """Write every limit that bears on an order of a member here, the one that binds before all others."""
    pays = purse is not None and purse.left_micros > 0
    lines = [_binding_line(standings, purse if pays else None)]
    if purse is not None:
        lines.append(fund_messages.purse_here(purse))
    names: dict[str, list[Standing]] = {}
    for standing in standings:
        names.setdefault(limit_name(standing.limit), []).append(standing)
    for name, ones in names.items():
        lines.append(f"**{name.capitalize()}**")
        for standing in ones:
            aside = " (the purse pays instead)" if pays and standing.limit.is_own_budget else ""
            lines.append(f"- {standing_line(standing)}{aside}")
    return "\n".join([*lines, *account_line(sandbox=sandbox)])


def standing_line(standing: Standing) -> str:
    """Write where one limit stands, but for whose it is."""
    limit, sums, amount = standing.limit, standing.sums, limit_amount(standing.limit)
    if limit.measure is Measure.JOB:
        return f"{amount} at most"
    if standing.is_hidden:
        return f"{amount}; what all servers together used of it only the operator sees"
    if limit.measure is Measure.AT_ONCE:
        return f"{amount}: {standing.running} now, {standing.left} left"
    turns = f", turns {ago(standing.period.turns_at)}" if standing.period is not None else ""
    if limit.measure is Measure.JOBS_A_DAY:
        return f"{amount}: {sums.jobs} ordered today, {standing.left} left{turns}"
    granted = f" and {dollars(sums.granted_micros)} granted" if sums.granted_micros else ""
    return (
        f"{amount}{granted}: {dollars(sums.spent_micros)} spent, {dollars(sums.held_micros)} held, "
        f"**{dollars(standing.left)} left**{turns}"
    )


def _binding_line(standings: Sequence[Standing], purse: Purse | None) -> str:
    """Name what will be met first; while a purse pays, the budgets of the member are not met at all."""
    bound = quotas.binding(one for one in standings if purse is None or not one.limit.is_own_budget)
    is_money = bound is not None and bound.limit.measure.is_money
    if purse is not None and (bound is None or (bound.left and is_money and bound.left > purse.left_micros)):
        return f"**Binding here: this channel's purse**, {dollars(purse.left_micros)} left."
    if bound is None:
        return "Nothing bounds orders here."
    if bound.left == 0:
        return f"**Binding here: {limit_name(bound.limit)}** of {limit_amount(bound.limit)}: nothing is left."
    if bound.is_hidden:
        return f"**Binding here: {limit_name(bound.limit)}**; what is left of it only the operator sees."
    left = "at most" if bound.limit.measure is Measure.JOB else f"{dollars(bound.left)} left of"
    return f"**Binding here: {limit_name(bound.limit)}**, {left} {limit_amount(bound.limit)}."


def account_line(*, sandbox: bool) -> list[str]:
    """Say which money it is, where it is none."""
    return ["-# This is the sandbox's play money."] if sandbox else []


def _own_lines(standing: Standing) -> list[str]:
    limit, period, sums = standing.limit, standing.period, standing.sums
    if not limit.measure.is_budget or period is None:
        return [f"{limit_name(limit).capitalize()}: {standing_line(standing)}."]
    whole = limit.amount + sums.granted_micros
    granted = f", {dollars(sums.granted_micros)} of it granted" if sums.granted_micros else ""
    role = f" ({limit_name(limit)})" if limit.layer is Layer.ROLE else ""
    return [
        f"**{dollars(standing.left)} left** of {dollars(whole)} this {limit.measure}{granted}{role}"
        if whole
        else "**You may order no videos here from your own quota:** "
        f"{limit_name(limit)} is $0.00 a {limit.measure}. Staff can raise it.",
        f"Spent: {dollars(sums.spent_micros)}",
        f"Held by running jobs: {dollars(sums.held_micros)}",
        f"The {limit.measure} turns {ago(period.turns_at)} ({at(period.turns_at)}).",
    ]


def purse_too_small(left_micros: int) -> str:
    """Say why the purse of a channel does not pay an order there."""
    return f"This channel's purse has {dollars(left_micros)} left, not enough for it: your own quota counts."


def _jobs(count: int) -> str:
    return "job" if count == 1 else "jobs"
