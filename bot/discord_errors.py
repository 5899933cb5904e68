"""Translates what discord.py raises into what this program knows, once."""

import contextlib
from collections.abc import Generator

import aiohttp
import discord

from bot.errors import ChannelClosed, DiscordTrouble

# https://discord.com/developers/docs/topics/opcodes-and-status-codes
_OLD_MESSAGE_EDITED_TOO_OFTEN = 30046
_ENTITY_TOO_LARGE = 40005
_HTTP_TOO_LARGE = 413
_HTTP_PASSING = frozenset({401, 429})
_SERVER_ERROR = 500


class TooLarge(ChannelClosed):
    """Discord took no file of this size."""


@contextlib.contextmanager
def discord_errors() -> Generator[None]:
    """Translate the library's errors.

    Raises:
        ChannelClosed: it is gone, or the bot may not.
        DiscordTrouble: the same may work later.
    """
    try:
        yield
    except (discord.Forbidden, discord.NotFound) as error:
        raise ChannelClosed(str(error)) from error
    except discord.RateLimited as error:
        raise DiscordTrouble(str(error)) from error
    except discord.HTTPException as error:
        if error.status == _HTTP_TOO_LARGE or error.code == _ENTITY_TOO_LARGE:
            raise TooLarge(str(error)) from error
        # A token that was reset while the bot runs says nothing of the channel: the process is about to end.
        is_passing = error.status in _HTTP_PASSING or error.status >= _SERVER_ERROR
        if is_passing or error.code == _OLD_MESSAGE_EDITED_TOO_OFTEN:
            raise DiscordTrouble(str(error)) from error
        raise ChannelClosed(str(error)) from error
    except (aiohttp.ClientError, OSError) as error:
        raise DiscordTrouble(f"{type(error).__name__}: {error}") from error
