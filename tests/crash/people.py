"""The people of a server whose bot is killed again and again: they keep ordering, and note what is said."""

import asyncio
import contextlib
import dataclasses
import io
import random
import re
from typing import Any

from PIL import Image

from tests.crash.chat import CrashDiscord, job_in
from tests.crash.gateway import ERRS, FAILS, FALLS, REFUSED, SPOILT
from tests.discord_server import CHANNELS, LEAD, MEMBER, OTHERS, STAFF, Answer, components, texts

POOR = OTHERS[-1]
ROOMS = tuple(channel for channel in CHANNELS if channel != STAFF)
PURSE_ROOM = ROOMS[1]
SECONDS_BETWEEN_ORDERS = 0.35
MOST_OPEN = 8

_ACKNOWLEDGED = re.compile(r"[Jj]ob `(\w+)` is ordered")  # to who orders, or who approves
_CANCELLED = re.compile(r"Job `(\w+)` is cancelled")
_NUMBER = re.compile(r"number (\d+)")

_SORA, _PRO, _PIXAZO = "apixo/sora-2", "apixo/sora-2-pro", "pixazo/sora-2-pro"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wish:
    """A kind of order."""

    model: str
    more: str = ""
    seconds: int | None = None
    has_picture: bool = False
    is_stopped: bool = False  # by its member, as soon as its card is there
    is_asked: bool = False  # over its member's limit, so that staff have to decide


WISHES = {
    "plain": Wish(model=_SORA),
    "picture": Wish(model=_SORA, has_picture=True),
    "fails": Wish(model=_SORA, more=FAILS),
    "refused": Wish(model=_SORA, more=REFUSED),
    "spoilt": Wish(model=_SORA, more=SPOILT),
    "pixazo": Wish(model=_PIXAZO, seconds=4),
    "pixazo picture": Wish(model=_PIXAZO, seconds=4, has_picture=True),
    "pixazo errs": Wish(model=_PIXAZO, seconds=4, more=ERRS),
    "dear": Wish(model=_PIXAZO, seconds=8),
    "falls": Wish(model="auto", seconds=4, more=FALLS),
    "stopped": Wish(model=_PRO, seconds=4, is_stopped=True),
    "asked": Wish(model=_PIXAZO, seconds=4, is_asked=True),
}
_WEIGHTS = {"plain": 10, "picture": 3, "dear": 2, "stopped": 2, "falls": 4}

# What must be ordered for a kind of request to come.
_NEEDED = {
    "submit to pixazo": "pixazo",
    "look at pixazo": "pixazo",
    "callback of pixazo": "pixazo",
    "post end": "fails",
    "read message": "picture",
    "read picture": "picture",
    "post notice": "asked",
    "read member": "asked",
    "open direct": "asked",
    "write directly": "asked",
}

# What is set before anybody orders: limits, a purse, prices to confirm, and who is told.
_SETTINGS: tuple[tuple[int, str, dict[str, Any]], ...] = (
    (LEAD, "video-admin staff-channel", {"channel": str(STAFF)}),
    (LEAD, "video-admin quota set", {"amount": "1.20", "member": str(POOR)}),
    (LEAD, "video-admin purse open", {"amount": "3", "channel": str(PURSE_ROOM)}),
    (LEAD, "video-admin confirm-above", {"amount": "2"}),
    (LEAD, "video-admin auto", {"policy": "own", "models": f"{_PIXAZO}, {_PRO}"}),
    (POOR, "quota alerts", {"tell": "on"}),
)
_DENIES_EACH = 4


@dataclasses.dataclass
class Ordered:
    """One order: who gave it, and what they were told."""

    number: int
    user_id: int
    wish: Wish
    answers: list[Answer]

    def told(self, pattern: re.Pattern[str]) -> str:
        """Return the job id in an answer of this kind; empty where there is none."""
        for answer in self.answers:
            if answer.message is not None and (found := pattern.search(_words(answer.message))):
                return found[1]
        return ""

    @property
    def job_id(self) -> str:
        """The job that was acknowledged."""
        return self.told(_ACKNOWLEDGED)

    @property
    def is_cancelled(self) -> bool:
        """Whether the member was told that the job costs nothing."""
        return bool(self.told(_CANCELLED))


class People:
    """Order while the bot is there. `orders` holds each order by its number."""

    def __init__(self, discord: CrashDiscord, rng: random.Random, *, settings: bool = True) -> None:
        self._discord = discord
        self._rng = rng
        self._is_set = not settings
        self._ended: set[str] = set()
        self._cards: set[str] = set()
        self._acts: set[asyncio.Task[None]] = set()
        self.orders: dict[int, Ordered] = {}
        self.needed = ""  # the kind of request that must come
        discord.on_post = self._read

    async def run(self) -> None:
        """Go on until cancelled."""
        try:
            while True:
                await asyncio.sleep(SECONDS_BETWEEN_ORDERS)
                if not self._discord.is_connected:
                    continue
                if not self._is_set:
                    await self._settle_in()
                    continue
                await self._decide()
                if len(self._cards - self._ended) < MOST_OPEN:
                    await self.order(self._next())
        finally:
            for act in self._acts:
                act.cancel()

    async def order(self, name: str) -> Ordered:
        """Order one clip."""
        wish = WISHES[name]
        number = len(self.orders) + 1
        user_id = POOR if wish.is_asked else self._rng.choice((MEMBER, *OTHERS))
        ordered = self.orders[number] = Ordered(number, user_id, wish, [])
        options: dict[str, Any] = {
            "prompt": f"A paper boat, number {number} {wish.more}".strip(),
            "model": wish.model,
        }
        if wish.seconds:
            options["seconds"] = wish.seconds
        if wish.has_picture:
            options["image"] = self._discord.attach("boat.png", _PICTURE)
        channel_id = self._rng.choice(ROOMS)
        answer = await self._discord.use(user_id, "video create", channel_id=channel_id, **options)
        ordered.answers.append(answer)
        if wish is WISHES["dear"]:
            self._begin(self._confirm(ordered, answer, channel_id))
        if wish.is_asked:
            self._begin(self._ask(ordered, answer, channel_id))
        return ordered

    def _next(self) -> str:
        name = _NEEDED.get(self.needed, "")
        if name and self._rng.random() < 0.7:
            return name
        if self._rng.random() < 0.25:
            return self._rng.choice(list(WISHES))
        return self._rng.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]

    async def _settle_in(self) -> None:
        with contextlib.suppress(TimeoutError):
            for user_id, command, options in _SETTINGS:
                answer = await self._discord.use(user_id, command, **options)
                await answer.text(within_seconds=3)
            self._is_set = True

    async def _confirm(self, ordered: Ordered, answer: Answer, channel_id: int) -> None:
        """Say yes to a price, twice as nervous people do."""
        with contextlib.suppress(TimeoutError):
            await answer.text(within_seconds=5)
            if _has(answer.shown, "Confirm"):
                shown = dict(answer.shown)
                for _ in range(2):
                    pressed = await self._discord.press(
                        ordered.user_id, shown, "Confirm", channel_id=channel_id
                    )
                    ordered.answers.append(pressed)

    async def _ask(self, ordered: Ordered, answer: Answer, channel_id: int) -> None:
        """Ask staff for what was refused."""
        with contextlib.suppress(TimeoutError):
            await answer.text(within_seconds=5)
            if _has(answer.shown, "Ask for"):
                await self._discord.press(ordered.user_id, answer.shown, "Ask for", channel_id=channel_id)

    async def _decide(self) -> None:
        """Let staff answer the oldest request that has its buttons, again until it has none."""
        message = next((one for one in self._discord.messages[STAFF] if _has(one, "Approve")), None)
        found = _NUMBER.search(_words(message)) if message is not None else None
        if message is None or found is None:
            return
        number = int(found[1])
        label = "Approve" if number % _DENIES_EACH else "Deny"
        pressed = await self._discord.press(LEAD, message, label, channel_id=STAFF)
        self.orders[number].answers.append(pressed)

    async def _stop(self, ordered: Ordered, message: dict[str, Any]) -> None:
        if _has(message, "Cancel"):
            pressed = await self._discord.press(
                ordered.user_id, message, "Cancel", channel_id=int(message["channel_id"])
            )
            ordered.answers.append(pressed)

    def _read(self, kind: str, message: dict[str, Any]) -> None:
        """See what is new in a channel."""
        job_id = job_in(message)
        if kind in {"post clip", "post end"}:
            self._ended.add(job_id)
        if kind != "post card":
            return
        self._cards.add(job_id)
        found = _NUMBER.search(_words(message))
        ordered = self.orders.get(int(found[1])) if found else None
        if ordered is not None and (ordered.wish.is_stopped or ordered.wish is WISHES["falls"]):
            self._ended.add(job_id)  # it may end without a word
        if ordered is not None and ordered.wish.is_stopped:
            self._begin(self._stop(ordered, message))

    def _begin(self, act: Any) -> None:
        task = asyncio.create_task(act)
        self._acts.add(task)
        task.add_done_callback(self._acts.discard)


def _has(message: dict[str, Any], label: str) -> bool:
    """Return whether a message has a button with this label, or one that begins so."""
    return any(part.get("label", "").startswith(label) for part in components(message["components"]))


def _words(message: dict[str, Any]) -> str:
    return "\n".join([message["content"], *texts(message["components"])])


def _picture() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (128, 72), "navy").save(file, "PNG")
    return file.getvalue()


_PICTURE = _picture()
