"""The error tree. Gateways' refusals are values (`models.Failure`), not exceptions.

BotError
├── UserError               a person did or asked something that cannot be; owns its sentence
│   ├── BadOrder            the order contradicts the catalogue or itself
│   ├── BadPicture          the file cannot be used as a picture
│   ├── ModelUnavailable    the model cannot be ordered now
│   ├── OverLimit           the money is not there
│   ├── NotHere             the bot may not work in this server or channel
│   ├── NotAllowed          staff paused orders, or their access rules refuse this person or channel
│   ├── NoSuchJob           no job of that id is this person's to see
│   └── StorageTrouble      the disk or the database cannot be used now; the same may work later
├── ChannelClosed           Discord will not let the bot post there: gone, locked or forbidden
├── DiscordTrouble          Discord did not answer properly; the same may work later
└── StartupError            the program cannot start; owns its exit code
    ├── SettingsError       2  a setting or the catalogue is wrong
    ├── FolderInUse         3  another process holds the data folder
    ├── SchemaError         4  the database is newer than this program, or broken
    ├── TokenRefused        5  Discord does not know the token
    └── DiskUnusable        6  the data folder's disk is full, read-only or failing, or the file is in use
"""

from bot import text, troubles
from bot.troubles import Trouble


class BotError(Exception):
    """Base of everything this program raises on purpose."""


class UserError(BotError):
    """Something a person can mend; `str(error)` is the sentence they read, in private."""

    @property
    def public_sentence(self) -> str:
        """What may be said in front of everybody: the sentence, where it names no amounts."""
        return str(self)


class BadOrder(UserError):
    """The order has something the model has not, or lacks something it needs."""


class BadPicture(UserError):
    """The attached file is no picture this bot can use."""


class ModelUnavailable(UserError):
    """The model is unknown, retired, out, or has no working key."""


class OverLimit(UserError):
    """The order costs more than a limit leaves. `draft_id` names it where staff may be asked for more."""

    def __init__(
        self, sentence: str, *, public_sentence: str, price: str, draft_id: str | None = None
    ) -> None:
        super().__init__(sentence)
        self._public_sentence = public_sentence
        self.price = price
        self.draft_id = draft_id

    @property
    def public_sentence(self) -> str:
        """Name the limit, without amounts."""
        return self._public_sentence


class NotHere(UserError):
    """The bot takes no orders in this server, or lacks a permission in this channel."""


class NotAllowed(UserError):
    """Staff paused orders, or their access rules refuse this person or channel."""

    def __init__(self, sentence: str, *, public_sentence: str) -> None:
        super().__init__(sentence)
        self._public_sentence = public_sentence

    @property
    def public_sentence(self) -> str:
        """Refuse without staff's reason and without naming whom they allow."""
        return self._public_sentence


class NoSuchJob(UserError):
    """The job does not exist, or is somebody else's."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"You have no job {text.code(job_id, 20)} here. `/video list` shows yours.")


class StorageTrouble(UserError):
    """The disk or the database cannot be used now. What was to be written was not, and nothing of it."""

    def __init__(self, trouble: Trouble, detail: str) -> None:
        super().__init__(troubles.for_members(trouble))
        self.trouble = trouble
        self.detail = detail


class ChannelClosed(BotError):
    """A channel or message is gone, or the bot may not post there; asking again does not help."""


class DiscordTrouble(BotError):
    """Discord failed or was not reached; asking again may help."""


class StartupError(BotError):
    """The program cannot start; the message is one line: what, why, how to mend."""

    exit_code = 1


class SettingsError(StartupError):
    """A setting or the catalogue is wrong."""

    exit_code = 2


class FolderInUse(StartupError):
    """Another process holds the lock on the data folder."""

    exit_code = 3


class SchemaError(StartupError):
    """The database was written by a newer version, or is broken."""

    exit_code = 4


class TokenRefused(StartupError):
    """Discord refused DISCORD_TOKEN."""

    exit_code = 5


class DiskUnusable(StartupError):
    """The disk is full, read-only or failing, or another process holds the database."""

    exit_code = 6
