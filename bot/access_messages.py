"""Every sentence a person reads about access rules: who may order, and where."""

from collections.abc import Collection, Sequence

from bot.models import AccessRule, RuleScope

EXACTLY_ONE = "Name exactly one of `role`, `member` and `channel`."

NOT_ALLOWED_IN_PUBLIC = "You may not order here; `/video create` tells you why. Nothing was charged."

_RULES = """\
A member's own rule comes first. Without one, a denied role refuses; and where people or roles are allowed, \
a person needs one of them. A denied channel takes no orders; and where channels are allowed, only those do. \
A thread counts as its channel. The rules bind staff too, on top of Server Settings → Integrations."""

_MOST_NAMED = 10


def rule_subject(rule: AccessRule) -> str:
    """Mention whom or what a rule is about."""
    match rule.scope:
        case _ if rule.subject_id is None:
            return "somebody forgotten"
        case RuleScope.ROLE:
            return f"<@&{rule.subject_id}>"
        case RuleScope.MEMBER:
            return f"<@{rule.subject_id}>"
        case RuleScope.CHANNEL:
            return f"<#{rule.subject_id}>"


def access_set(rule: AccessRule) -> str:
    """Answer staff who made a rule."""
    verb = "allowed" if rule.allows else "denied"
    return f"{rule_subject(rule)} is {verb} now. `/video-admin access show` shows all the rules together."


def access_cleared(rule: AccessRule, *, had_one: bool) -> str:
    """Answer staff who took a rule away."""
    return f"There is no rule for {rule_subject(rule)} {'any more' if had_one else 'here'}."


def access(rules: Sequence[AccessRule]) -> str:
    """Show a server's rules, and how they work together."""
    if not rules:
        return f"There are no access rules: everyone here may order, in every channel.\n-# {_RULES}"
    lines: list[str] = []
    for title, is_channel, allows in (
        ("Allowed people", False, True),
        ("Denied people", False, False),
        ("Allowed channels", True, True),
        ("Denied channels", True, False),
    ):
        named = [
            rule_subject(rule)
            for rule in rules
            if rule.allows is allows and (rule.scope is RuleScope.CHANNEL) is is_channel
        ]
        if named:
            lines.append(f"**{title}:** {', '.join(named)}")
    return "\n".join([*lines, f"-# {_RULES}"])


def denied_yourself() -> str:
    """Refuse a person whom staff denied."""
    return "Staff do not let you order here. Ask them. Nothing was charged."


def denied_role(role_ids: Collection[int]) -> str:
    """Refuse a person for their roles."""
    return f"Staff let nobody with {_named('<@&{}>', role_ids)} order here. Nothing was charged."


def needs_role(role_ids: Collection[int]) -> str:
    """Refuse a person who has none of the roles; members allowed by themselves are not named."""
    if not role_ids:
        return "Only people whom staff chose may order here. Ask them. Nothing was charged."
    one = "one of " if len(role_ids) > 1 else ""
    return f"You need {one}{_named('<@&{}>', role_ids)} to order here. Nothing was charged."


def denied_channel(channel_id: int) -> str:
    """Refuse a channel that staff denied."""
    return f"No orders are taken in <#{channel_id}>. Nothing was charged."


def needs_channel(channel_ids: Collection[int]) -> str:
    """Refuse a channel that is none of those that staff allowed."""
    return f"Orders are taken in {_named('<#{}>', channel_ids)}. Nothing was charged."


def _named(form: str, ids: Collection[int]) -> str:
    named = [form.format(one) for one in sorted(ids)[:_MOST_NAMED]]
    more = len(ids) - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "")
