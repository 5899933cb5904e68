"""The playground as an open page sees it: over HTTP, while the bot and the person act at once."""

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import aiohttp

from bot.app import open_app
from bot.config import Settings
from bot.models import utc_now
from bot.sandbox.playground import Playground, open_playground

LONGEST_SECONDS = 30
LOOK_SECONDS = 0.05


class OpenPage:
    """What a browser does for a page: asks for its state twice a second, and posts what a person does."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._base, _, self._capability = url.partition("#")
        self._sequence = 0
        self.state: dict[str, Any] = {}

    async def open(self) -> None:
        self.state = await self._ask("POST", "api/pages", json={})

    async def look(self) -> dict[str, Any]:
        """Take what the server published last."""
        self.state = await self._ask("GET", "api/state")
        return self.state

    async def act(self, kind: str, **body: Any) -> dict[str, Any]:
        """Act on what the page shows, however old that is; return the receipt."""
        self._sequence += 1
        return await self._ask(
            "POST",
            "api/action",
            json={
                "kind": kind,
                "protocol_version": 3,
                "sequence": self._sequence,
                "request_id": f"request-{self._sequence}",
                "generation": self.state["context"]["generation"],
                "bot_generation": self.state["botGeneration"],
                "published_revision": self.state["publishedRevision"],
                **body,
            },
        )

    async def say(self, content: str) -> dict[str, Any]:
        """Send a message."""
        return await self.act("send_message", content=content, target_id=None, reply_to_id=None)

    async def shows(self, condition: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """Look until the messages shown are so; nobody asks the server to refresh."""
        async with asyncio.timeout(LONGEST_SECONDS):
            while True:
                state = await self.look()
                shown = [state["messages"][one] for one in state["timeline"]]
                if condition(shown):
                    return shown
                await asyncio.sleep(LOOK_SECONDS)

    async def file(self, asset_id: str) -> bytes:
        """Fetch a file as the page's player does."""
        async with self._session.get(f"{self._base}api/assets/{asset_id}", headers=self._headers) as answer:
            assert answer.status == 200
            assert answer.content_type == "video/mp4"
            return await answer.read()

    @property
    def _headers(self) -> dict[str, str]:
        context = {"X-Simcord-Context": self.state["context"]["id"]} if self.state else {}
        return {"X-Simcord-Capability": self._capability, **context}

    async def _ask(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        async with self._session.request(
            method, f"{self._base}{path}", headers=self._headers, **more
        ) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()


@contextlib.asynccontextmanager
async def open_pages(folder: Path, count: int) -> AsyncGenerator[tuple[Playground, list[OpenPage]]]:
    """Open a playground and so many pages of it."""
    origins: dict[str, str] = {}
    settings = Settings.model_construct(data_dir=folder)
    async with (
        open_app(settings, picture_origins=origins, render_seconds=0) as app,
        open_playground(app, origins, clock=utc_now) as playground,
        playground.shown() as window,
        aiohttp.ClientSession() as session,
    ):
        pages = [OpenPage(session, window.url) for _ in range(count)]
        for page in pages:
            await page.open()
        yield playground, pages


def text_of(message: dict[str, Any]) -> str:
    return f"{message['content']} {message.get('components')}"


async def test_a_card_changes_and_a_clip_appears_without_anybody_asking(tmp_path: Path) -> None:
    async with open_pages(tmp_path, 1) as (playground, (page,)):
        await page.say(f"<@{playground.env.backend.bot_user.id}> A fox runs")

        await page.shows(lambda shown: any("Done · Sandbox" in text_of(one) for one in shown))
        (clip,) = tmp_path.glob("clips/*.mp4")
        shown = await page.shows(lambda shown: "your clip is ready" in shown[-1]["content"])
        (asset,) = (one["id"] for one in page.state["assets"].values() if one["filename"].endswith(".mp4"))
        assert shown[-1]["id"] in page.state["timeline"]
        assert await page.file(asset) == clip.read_bytes()


async def test_what_the_bot_does_meanwhile_refuses_nothing_that_a_person_does(tmp_path: Path) -> None:
    async with open_pages(tmp_path, 1) as (playground, (page,)):
        before = page.state["publishedRevision"]
        await playground.you.send(playground.channel, "from elsewhere")
        await page.shows(lambda shown: any(one["content"] == "from elsewhere" for one in shown))
        page.state["publishedRevision"] = before

        receipt = await page.say("from a page that is behind")

        assert not receipt["rejected"]
        assert receipt["settlement"] == "settled"


async def test_a_refusal_that_the_bot_tells_is_no_failure_of_the_bot(tmp_path: Path) -> None:
    async with open_pages(tmp_path, 0) as (playground, ()):
        told = await playground.you.slash(playground.channel, "video create", prompt="A fox", seconds=7)
        assert told.response is not None
        assert "makes clips of 10 or 15 seconds, not 7" in told.response.content
        assert playground.env.errors == []


async def test_two_pages_act_at_once_and_neither_is_refused(tmp_path: Path) -> None:
    async with open_pages(tmp_path, 2) as (playground, pages):
        receipts = await asyncio.gather(*(page.say(f"message {n}") for n, page in enumerate(pages)))

        assert [receipt["settlement"] for receipt in receipts] == ["settled", "settled"]
        said = {message.content for message in playground.channel.history()}
        assert said == {"message 0", "message 1"}


async def test_a_page_goes_to_what_the_person_caused_and_a_new_page_begins_there(tmp_path: Path) -> None:
    async with open_pages(tmp_path, 2) as (playground, (page, later)):
        await page.say(f"<@{playground.env.backend.bot_user.id}> A fox runs")
        await page.shows(lambda shown: "your clip is ready" in shown[-1]["content"])
        newest = page.state["timeline"][-1]
        await later.open()

        assert later.state["targetId"] == newest


async def test_time_in_the_playground_is_the_real_time(tmp_path: Path) -> None:
    async with open_pages(tmp_path, 0) as (playground, _):
        before = utc_now()
        now = playground.env.now()
        await playground.env.advance_time(60)

        assert before <= now <= utc_now()
        assert playground.env.now() - now >= dt.timedelta(seconds=60)


async def test_the_record_of_requests_does_not_grow_while_the_playground_is_shown(tmp_path: Path) -> None:
    async with open_pages(tmp_path, 1) as (playground, (page,)):
        await page.say("hello")
        await playground.you.send(playground.channel, "from elsewhere")
        await page.shows(lambda shown: any(one["content"] == "from elsewhere" for one in shown))

        assert playground.env.backend.transcript == []
        assert playground.env.http_requests == []


async def test_mentions_and_moments_are_readable_in_the_terminal(tmp_path: Path) -> None:
    async with open_pages(tmp_path, 0) as (playground, _):
        now = int(utc_now().timestamp())
        lines = [
            f"<@{playground.you.id}> <@1>",
            f"<t:{now + 3 * 86_400 + 9}:R>",
            f"<t:{now - 200}:R>",
            "<t:0:f>",
        ]
        await playground.you.send(playground.channel, "\n".join(lines))
        await playground.you.slash(playground.channel, "quota show")

        told = playground.transcript()
        assert "you: @you @somebody\nin 3 days\n3 minutes ago\n1970-01-01 00:00 UTC" in told
        assert "Video bot to @you (only you see this): **$10.00 left**" in told
