"""Every sentence a person reads about asking for more than a limit leaves."""

from bot import messages, money_messages
from bot.models import Draft, DraftStage, Job, Quote
from bot.money import dollars
from bot.quotas import Layer, Measure, Standing

HOW_TO_ALLOW_ASKING = (
    "Staff can let members ask for more: they set a channel for it with `/video-admin staff-channel`."
)
NO_SUCH_REQUEST = "There is no such request here."
NOT_YOURS = "Only the member who ordered this can ask for it."
NOT_YOUR_OWN = "Nobody approves their own request unless they are staff. Somebody else has to decide."
ROOM_NOW = "There is room for it now. Order it again; nothing was charged."
NO_STAFF_CHANNEL = f"Nobody can be asked here now. {HOW_TO_ALLOW_ASKING} Nothing was charged."
MOST_ASKED = 5
TOO_MANY = (
    f"Staff have {MOST_ASKED} requests of yours to decide on. Wait until they have decided on one, then "
    "press the button again. Nothing was charged."
)
NOT_POSTED = (
    "Your request could not be posted in the staff channel, so nobody was asked. Tell staff that I cannot "
    "post there; then press the button again. Nothing was charged."
)
LEFT = "They are no longer in this server: the request is closed, and nothing was charged."
TRY_AGAIN = "Discord does not say now who is in this server. Press again in a moment; nothing was decided."

_TITLES = {
    DraftStage.ASKED: "Request for {price}",
    DraftStage.ORDERED: "Approved: {price}",
    DraftStage.DENIED: "Denied: {price}",
    DraftStage.DROPPED: "Closed: {price}",
    DraftStage.EXPIRED: "Expired: {price}",
    DraftStage.REFUSED: "Given back: {price}",
}


def why(standing: Standing) -> str:
    """Say to staff which limit refused an order, with its numbers."""
    limit, sums = standing.limit, standing.sums
    whose = "their own limit" if limit.layer is Layer.MEMBER else money_messages.limit_name(limit)
    told = f"It would go over {whose}: {money_messages.limit_amount(limit)}"
    match limit.measure:
        case Measure.JOB:
            told += "."
        case Measure.AT_ONCE:
            told += f", and {standing.running} run now."
        case Measure.JOBS_A_DAY:
            told += f", and {sums.jobs} were ordered today."
        case _:
            granted = f" and {dollars(sums.granted_micros)} granted" if sums.granted_micros else ""
            told += (
                f"{granted}, of which {dollars(sums.spent_micros)} is spent and {dollars(sums.held_micros)} "
                "is held by running jobs."
            )
    if standing.period is not None:
        told += f" It turns {messages.ago(standing.period.turns_at)}."
    return told


def price_changed(before: Quote, now: Quote) -> str:
    """Say that approving costs something else than when it was asked."""
    return f"**The price has changed:** it was {messages.price(before)}, now it is {messages.price(now)}."


# The request in the staff channel


def title(draft: Draft) -> str:
    """Head the request."""
    return _TITLES[draft.stage].format(price=messages.price(draft.new.quote))


def request_lines(draft: Draft) -> str:
    """Say who asks, where, for what, and which limit refused it."""
    new = draft.new
    what = f"{messages.settings_line(new.request)}, {messages.price(new.quote)}"
    return f"{_requester(draft)} asks in <#{new.channel_id}>: {what}.\n{draft.why}"


def moved(draft: Draft, channel_id: int) -> str:
    """Say where a request is now that staff have set another channel."""
    return f"Request `{draft.draft_id}` of {_requester(draft)} is in <#{channel_id}> now."


def outcome(draft: Draft) -> str:
    """Say what has become of the request."""
    by = f" by <@{draft.decider_user_id}>" if draft.decider_user_id is not None else ""
    match draft.stage:
        case DraftStage.ORDERED:
            return f"Approved{by}: it is job `{draft.job_id}`."
        case DraftStage.DENIED:
            return f"Denied{by}. Nothing was charged."
        case DraftStage.DROPPED:
            return f"{_requester(draft)} is no longer in this server. Nothing was charged."
        case DraftStage.EXPIRED:
            return "Nobody decided within 24 hours. Nothing was charged."
        case DraftStage.REFUSED:
            return "This is no longer a channel for requests, so nobody decides on it. Nothing was charged."
        case _:
            return f"Expires {messages.ago(draft.expires_at)} ({messages.at(draft.expires_at)})."


# To who asks


def asked(draft: Draft) -> str:
    """Answer who asked."""
    return (
        f"Staff were asked for {messages.price(draft.new.quote)}. They can decide until "
        f"{messages.at(draft.expires_at)}, and I tell you what they say. Nothing is charged until then."
    )


def stands(draft: Draft) -> str:
    """Answer who asks again, or decides on what is no longer to be decided."""
    match draft.stage:
        case DraftStage.ASKED:
            return f"Staff were asked already. They can decide until {messages.at(draft.expires_at)}."
        case DraftStage.ORDERED:
            return f"It was ordered already: job `{draft.job_id}`."
        case DraftStage.DENIED:
            by = f" by <@{draft.decider_user_id}>" if draft.decider_user_id is not None else ""
            return f"It was denied already{by}. Nothing was charged."
        case DraftStage.DROPPED:
            return "This request is closed. Nothing was charged."
        case DraftStage.EXPIRED:
            return (
                "This is over: nobody said yes within 24 hours. It can be ordered again; nothing was charged."
            )
        case DraftStage.QUOTED | DraftStage.REFUSED:
            return "Nobody asks for this now. Nothing was charged."


def told(draft: Draft) -> tuple[str, str] | None:
    """Tell who asked what became of it: in private, and in the channel without amounts."""
    match draft.stage:
        case DraftStage.ORDERED:
            became = f"was approved: job `{draft.job_id}` is ordered, and its card is in the channel."
        case DraftStage.DENIED:
            became = "was denied. Nothing was charged."
        case DraftStage.EXPIRED:
            became = "is over: nobody decided within 24 hours. Nothing was charged."
        case DraftStage.REFUSED:
            became = (
                "was given back: I have no channel in which staff could read it. Nothing was charged. It can "
                "be ordered and asked for again."
            )
        case _:
            return None
    new = draft.new
    what = f"{messages.price(new.quote)} in <#{new.channel_id}> ({messages.settings_line(new.request)})"
    return f"Your request for {what} {became}", f"your request {became}"


# To who decides


def may_not_decide(approver_role_id: int | None) -> str:
    """Name who may."""
    role = f" and members with <@&{approver_role_id}>" if approver_role_id is not None else ""
    return f"Only staff (Manage Server){role} can decide on this."


def approved(job: Job) -> str:
    """Answer who approved."""
    return f"Approved: job `{job.job_id}` is ordered, {messages.price(job.quote)} held by your approval."


def denied(draft: Draft) -> str:
    """Answer who denied."""
    tell = f" I tell {_requester(draft)}." if draft.new.user_id else ""
    return f"Denied.{tell} Nothing was charged."


def look_again(draft: Draft) -> str:
    """Say that an approval was not taken because the request has changed."""
    return (
        "Nothing was approved yet. Look at the request once more: it costs "
        f"{messages.price(draft.new.quote)}. Press Approve again if that is right."
    )


def not_allowed(why: str) -> str:
    """Say that orders are paused, or access rules refuse who asked, in the words they would read."""
    return f"It cannot be ordered now. Who asked would read: {why} The request stays open."


def cap_holds(standing: Standing, quote: Quote) -> str:
    """Say which limit no approval lifts."""
    return (
        f"{money_messages.over_limit(standing, quote)} An approval lifts only the limits of members and "
        "roles. The request stays open."
    )


def _requester(draft: Draft) -> str:
    return f"<@{draft.new.user_id}>" if draft.new.user_id else "A forgotten member"
