"""What a job's money did, as people read it: quoted, held, spent or returned, and whose budget it is."""

from bot.models import Budget, Job, Purse, Quote, Stage
from bot.money import dollars
from bot.quotas import Measure, Standing

FREE = "free"


def price(quote: Quote) -> str:
    """Write a price, marked where it is an estimate."""
    return f"{'≈' if quote.estimate else ''}{dollars(quote.micros)}" if quote.micros else FREE


def costs(quote: Quote) -> str:
    """Write what something costs, after its name: "costs $0.50"."""
    return f"costs {price(quote)}" if quote.micros else f"is {FREE}"


def line(job: Job, *, to_member: bool = False) -> str:
    """Write a job's receipt, for everybody or in words to its member.

    What is left of the budget is its owner's affair and not here.
    """
    quota = "your quota" if to_member else f"{_member(job)}'s quota"
    return f"{_amounts(job)} · {_budget(job, quota)}"


def left(budget: Standing | Purse) -> str:
    """Tell a member in private what their order left: "$9.50 left this month"."""
    if isinstance(budget, Purse):
        return f"{dollars(budget.left_micros)} left in the purse."
    turn = "today" if budget.limit.measure is Measure.DAY else f"this {budget.limit.measure}"
    return f"{dollars(budget.left)} left {turn}."


def _amounts(job: Job) -> str:
    if not job.quote.micros:
        return FREE.capitalize()
    parts = [f"Quoted {price(job.quote)}"]
    match job.stage:
        case Stage.FAILED | Stage.CANCELLED:
            parts.append(f"{dollars(job.quote.micros)} returned")
        case Stage.DELIVERING | Stage.DONE:
            parts.append(f"{dollars(job.settled_micros)} spent")
            if job.settled_micros < job.quote.micros:
                parts.append(f"{dollars(job.quote.micros - job.settled_micros)} returned")
        case _:
            parts.append(f"{dollars(job.quote.micros)} held")
    if job.corrected_micros:
        parts.append(f"{dollars(job.corrected_micros)} refunded")
    return ", ".join(parts)


def held_from(job: Job) -> str:
    """Tell a member what their order set aside: "$0.50 held from your quota"."""
    if not job.quote.micros:
        return f"{FREE} of charge"
    source = {Budget.PURSE: f" from {_purse(job)}", Budget.APPROVAL: ", as staff approved"}
    return f"{price(job.quote)} held{source.get(job.charge.budget, ' from your quota')}"


def returned(job: Job) -> str:
    """Tell a member that a job without a clip cost them nothing: "$0.50 returned to your quota"."""
    if not job.quote.micros:
        return "It was free of charge"
    target = {Budget.PURSE: f" to {_purse(job)}", Budget.APPROVAL: ""}
    return f"{dollars(job.quote.micros)} returned{target.get(job.charge.budget, ' to your quota')}"


def returned_to_member(job: Job) -> str:
    """Tell somebody else the same: "$0.50 returned to @member's quota"."""
    if job.charge.budget in {Budget.PURSE, Budget.APPROVAL} or not job.quote.micros:
        return returned(job)
    return f"{dollars(job.quote.micros)} returned to {_member(job)}'s quota"


def _budget(job: Job, quota: str) -> str:
    match job.charge.budget:
        case Budget.MEMBER:
            return quota
        case Budget.ROLE:
            return f"the limit of <@&{job.charge.subject_id}>"
        case Budget.PURSE:
            return _purse(job)
        case Budget.APPROVAL:
            return "approved by staff"


def _purse(job: Job) -> str:
    return f"the purse of <#{job.home_channel_id}>"


def _member(job: Job) -> str:
    return f"<@{job.user_id}>" if job.user_id is not None else "a former member"
