"""Every sentence a person reads about a server's settings, pauses and what was deleted."""

from collections.abc import Iterable, Sequence

from bot import text
from bot.choice_messages import AUTO_TAKES
from bot.messages import ago, at
from bot.models import AutoPolicy, Pause, PauseScope, ServerSettings
from bot.money import dollars
from bot.quotas import Period

NO_ZONE = (
    "That is no time zone. Write one as the IANA list has it, like `Europe/Berlin` or `America/New_York`."
)
OWN_NEEDS_MODELS = "Name `models` with the policy `own`, the best first, and with no other policy."
NO_REASON = "Say in a few words why, for those whose orders are refused."
NOT_BOTH = "Name a gateway or a model, not both."
NOT_EVERYONE = "Everyone cannot approve requests: a limit that all may lift is none. Choose another role."

_MOST_NAMED = 10
_MOST_REASON = 200
_MOST_LINES = 12


# Settings


def zone_set(zone: str, month: Period) -> str:
    """Answer staff who set the time zone."""
    return (
        f"Days, weeks and months turn in {text.code(zone)} now. This month began {at(month.starts_at)} and "
        f"turns {at(month.turns_at)}. What was ordered counts where it falls."
    )


def cannot_post(channel_id: int, missing: Sequence[str]) -> str:
    """Refuse a staff channel in which the bot cannot work."""
    lacking = " and ".join(f"**{title}**" for title in missing)
    return f"I cannot work in <#{channel_id}>: I lack {lacking}. Allow it there, then set it again."


def staff_channel_set(channel_id: int | None, *, everybody_reads: bool = False) -> str:
    """Answer staff who chose or cleared the staff channel."""
    if channel_id is None:
        return "There is no staff channel any more: nobody can ask for more, and alerts are not posted."
    told = f"Requests, alerts and notes go to <#{channel_id}> now."
    return (
        f"{told} Everyone can read that channel; requests show prompts and sums." if everybody_reads else told
    )


def approver_set(role_id: int | None) -> str:
    """Answer staff who chose or cleared the approver role."""
    if role_id is None:
        return "Only those who may manage the server decide about requests now."
    return f"<@&{role_id}> may decide about requests now, but not about their own; staff may too."


def confirm_above_set(micros: int, *, is_default: bool) -> str:
    """Answer staff who set from which price a quote comes first."""
    if not micros:
        return "Every order that costs something is quoted now and has to be confirmed."
    default = " (the default)" if is_default else ""
    return f"Orders above {dollars(micros)}{default} are quoted now and have to be confirmed."


def auto_policy(policy: AutoPolicy, models: Sequence[str]) -> str:
    """Write by what `auto` chooses."""
    return f"{policy}: {', '.join(models)}" if models else str(policy)


def auto_set(policy: AutoPolicy, models: Sequence[str]) -> str:
    """Answer staff who set by what `auto` chooses."""
    if policy is AutoPolicy.OWN:
        named = ", ".join(map(text.code, models))
        return text.cut(f"`auto` takes the first of these now that can do it, and no others: {named}", 1900)
    return f"`auto` takes {AUTO_TAKES[policy]} of those that can do it now."


def settings(found: ServerSettings, zone: str, pause: Pause | None, rules: int) -> str:
    """Show all that is set for a server; `zone` is the one that counts."""
    channel, role = found.staff_channel_id, found.approver_role_id
    own = "" if found.zone else " (the operator's)"
    lines = [
        f"**Time zone:** {text.code(zone)}{own}",
        f"**Staff channel:** {f'<#{channel}>' if channel else 'none, so nobody can ask for more'}",
        f"**Approvers:** {f'<@&{role}> and those' if role else 'those'} who may manage the server",
        f"**Quotes to confirm:** above {dollars(found.confirm_above_micros)} a job",
        f"**`auto` takes:** {text.cut(auto_policy(found.auto_policy, found.auto_models), 500)}",
        f"**Orders:** {_since(pause) if pause else 'taken'}",
        f"**Access rules:** {rules or 'none, so everyone here may order'}",
    ]
    return "\n".join(lines)


# Pauses


def pause_name(pause: Pause) -> str:
    """Name what is paused."""
    return "this server" if pause.scope is PauseScope.SERVER else f"{pause.scope} {pause.subject}"


def paused(pause: Pause) -> str:
    """Answer whoever paused something."""
    if pause.scope is PauseScope.SERVER:
        what = "Orders in this server are"
    else:
        what = f"The {pause.scope} {text.code(pause.subject)} is, in every server,"
    return f"{what} paused now: {_reason(pause)}. Jobs that are ordered already go on."


def resumed(pause: Pause) -> str:
    """Answer whoever resumed something."""
    what = (
        "Orders in this server"
        if pause.scope is PauseScope.SERVER
        else f"Orders for the {pause.scope} {text.code(pause.subject)}"
    )
    return f"{what} are taken again. They were paused since {ago(pause.since)}: {_reason(pause)}"


def server_paused(pause: Pause) -> str:
    """Refuse an order in a paused server."""
    return (
        f"Orders in this server are {_since(pause)}. Staff can resume them with `/video-admin resume`. "
        "Nothing was charged."
    )


SERVER_PAUSED_IN_PUBLIC = "Orders in this server are paused. Nothing was charged."


def model_paused(pause: Pause) -> str:
    """Say why a model takes no orders, after "it cannot be ordered:"."""
    what = "it is" if pause.scope is PauseScope.MODEL else "its gateway is"
    return f"{what} {_since(pause)}. The bot's operator can resume it."


def not_paused(name: str, others: Iterable[Pause]) -> str:
    """Say that there is nothing to resume."""
    listed = ", ".join(map(pause_name, others))
    return f"{name} is not paused." + (f" What is paused: {listed}." if listed else "")


def pause_choice(pause: Pause) -> str:
    """Write a pause for a menu of at most 100 characters."""
    return text.one_line(f"{pause.subject} · paused: {pause.reason}", 100)


def _since(pause: Pause) -> str:
    return f"paused since {ago(pause.since)}: {_reason(pause)}"


def _reason(pause: Pause) -> str:
    return text.code(pause.reason, _MOST_REASON)


# What was deleted


_LOST = {
    "quota clear": "its limit of {detail}",
    "purse close": "its purse of {detail}; what was spent from it stays counted",
    "access clear": "its access rule ({detail})",
    "approver": "its right to decide about requests",
}


def deleted(losses: Sequence[tuple[str, str, str]], *, opened: Sequence[str]) -> str:
    """Tell staff what went with deleted roles and channels.

    `losses` are what each was called, the act and its detail; `opened` says "people" or "channels" where the
    last rule that allowed some went.
    """
    names = list(dict.fromkeys(name for name, _, _ in losses))
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    was = "was" if len(names) == 1 else "were"
    lines = [f"Deleted {was}: {', '.join(names[:_MOST_NAMED])}{more}. What went with it:"]
    lines += [f"- {name}: {_LOST[act].format(detail=detail)}" for name, act, detail in losses[:_MOST_LINES]]
    if len(losses) > _MOST_LINES:
        lines.append(f"- and {len(losses) - _MOST_LINES} more; `/video-admin audit` has all")
    if opened:
        lines.append(f"**Orders are paused here: {opened_reason(opened)}**")
    return "\n".join([*lines, "-# History and ledger keep everything."])


def opened_reason(whom: Sequence[str]) -> str:
    """Say why a server is paused whose last rule that allowed some went with what it was about."""
    return (
        f"the last rule that allowed {' and '.join(whom)} went with a deleted role or channel, and without "
        "one all could order. Say anew who may with /video-admin access, then /video-admin resume."
    )


def deleted_name(kind: str, name: str | None) -> str:
    """Name a role or channel that is gone; without a name it went while the bot was away."""
    return f"{kind} {text.code(name, 60)}" if name else f"a {kind} that went while I was away"
