"""A share of a limit or of a purse that is used up, as whoever is told of it needs it."""

import dataclasses
import datetime as dt

from bot.models import Account, Audience
from bot.quotas import Limit


@dataclasses.dataclass(frozen=True, kw_only=True)
class Alert:
    """A share of a limit, or of a channel's purse where there is no limit, that is used up.

    `whole` is the limit with what was granted on top, and `used` what is used up of it: micro-dollars, or
    jobs where the limit counts them. `user_id` is the member whose own limit it is.
    """

    alert_id: int
    audience: Audience
    server_id: int
    account: Account
    limit: Limit | None
    purse_channel_id: int | None
    user_id: int | None
    percent: int
    whole: int
    used: int
    turns_at: dt.datetime | None
    created_at: dt.datetime
