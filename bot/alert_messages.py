"""Every sentence of an alert: a share of a limit or purse that is used up."""

from bot import text
from bot.messages import ago, at
from bot.models import Account, Audience
from bot.money import dollars
from bot.quotas import Layer, Measure
from bot.shares import Alert

CHOSEN = {
    True: (
        "I write to you alone when 50, 80 and 100 % of a limit of your own here are used up, once in its "
        "period. `/quota alerts` ends it."
    ),
    False: "I write to you about your limits here no more.",
}


def alert(alert: Alert, *, server: str) -> str:
    """Write an alert to its audience; `server` is the name of the server it is about."""
    limit = alert.limit
    if limit is None or limit.measure.is_money:
        used = f"spent or held by running jobs: {dollars(alert.used)} of {dollars(alert.whole)}"
    else:
        used = f"used: {alert.used:,} of {alert.whole:,} {'job' if alert.whole == 1 else 'jobs'}"
    play = "\n-# This is the sandbox's play money." if alert.account is Account.SANDBOX else ""
    return f"**{alert.percent} %** of {_whose(alert, server)} is {used}{_period(alert)}{play}"


def _whose(alert: Alert, server: str) -> str:
    limit, is_own = alert.limit, alert.audience is Audience.MEMBER
    if limit is None:
        return f"the purse of <#{alert.purse_channel_id}>"
    person = f"<@{alert.user_id}>" if alert.user_id is not None else "somebody forgotten"
    match limit.layer:
        case Layer.MEMBER:
            return f"your limit in {text.code(server)}" if is_own else f"the limit of {person}"
        case Layer.ROLE:
            # A direct message cannot show a role.
            role = f"<@&{limit.subject}>"
            return (
                f"the limit of your role in {text.code(server)}"
                if is_own
                else f"the limit of {role} for {person}"
            )
        case Layer.CHANNEL:
            return f"the limit of <#{limit.subject}>"
        case Layer.SERVER:
            return "this server's limit"
        case Layer.KEY:
            return f"your limit for {limit.subject}"
        case Layer.OPERATOR:
            return "your limit for everybody"


def _period(alert: Alert) -> str:
    turn = f"{ago(alert.turns_at)} ({at(alert.turns_at)})" if alert.turns_at is not None else ""
    if alert.limit is None:
        return f". It ends {turn}." if turn else "."
    measure = Measure.DAY if alert.limit.measure is Measure.JOBS_A_DAY else alert.limit.measure
    return f" {'today' if measure is Measure.DAY else f'this {measure}'}. The {measure} turns {turn}."
