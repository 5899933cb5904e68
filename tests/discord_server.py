"""A Discord with one server in it, over real sockets, for a bot that runs as a process.

It keeps every message, takes a nonce once, tells the bot of commands and presses, and keeps what the bot
answers to them. People in it are numbers: `LEAD` may manage the server, the others may not.
"""

import asyncio
import contextlib
import copy
import datetime as dt
import itertools
import json
import time
from collections.abc import Iterator
from typing import Any

import discord
from aiohttp import web

from tests.discord_standin import USER, DiscordStandin, json_answer

SERVER, VIDEOS, STAFF = 1000, 1001, 1002
LEAD, MEMBER = 2001, 2002
OTHERS = (2003, 2004, 2005)
STAFF_ROLE = 1003
BOT = int(USER["id"])
NAMES = {LEAD: "lead", MEMBER: "member", **{one: f"member-{one}" for one in OTHERS}}
CHANNELS = {VIDEOS: "videos", STAFF: "staff", **{one: f"videos-{one}" for one in range(1011, 1025)}}

# https://docs.discord.com/developers/interactions/receiving-and-responding
FIRST_ANSWER_SECONDS = 3.0

_EVERYTHING = str(discord.Permissions.all().value)
_USUAL = str(discord.Permissions(view_channel=True, send_messages=True).value)


class Answer:
    """What the bot answers to one command or press, as the person sees it last."""

    def __init__(self) -> None:
        self.message: dict[str, Any] | None = None
        self.told = asyncio.Event()
        self.asked_at = time.monotonic()
        self.is_acknowledged = False

    @property
    def shown(self) -> dict[str, Any]:
        """The message the person sees now."""
        assert self.message is not None
        return self.message

    async def text(self, *, within_seconds: float = 20) -> str:
        """Wait for words; return them with those of components."""
        async with asyncio.timeout(within_seconds):
            await self.told.wait()
        return "\n".join([self.shown["content"], *texts(self.shown["components"])])


class DiscordServer(DiscordStandin):
    """One server with its channels. `messages` holds what is in each channel, oldest first."""

    def __init__(self) -> None:
        super().__init__()
        self._ids = _snowflakes()
        self._sequence = itertools.count(2)
        self._answers: dict[str, Answer] = {}
        self._nonces: dict[str, dict[str, Any]] = {}
        self.messages: dict[int, list[dict[str, Any]]] = {channel: [] for channel in CHANNELS}
        self.files: dict[str, bytes] = {}
        self._direct: dict[int, int] = {}
        self.posted = asyncio.Event()

    def routes(self) -> list[web.RouteDef]:
        """The REST routes that a working bot uses."""
        channel = "/channels/{channel:\\d+}"
        return [
            *super().routes(),
            web.post(f"{channel}/messages", self._post),
            web.get(f"{channel}/messages", self._history),
            web.get(f"{channel}/messages/{{message:\\d+}}", self._fetch),
            web.patch(f"{channel}/messages/{{message:\\d+}}", self._edit),
            web.post("/users/@me/channels", self._open_direct),
            web.get("/guilds/{guild:\\d+}", self._fetch_guild),
            web.get("/guilds/{guild:\\d+}/members/{user:\\d+}", self._fetch_member),
            web.get("/attachments/{number:\\d+}", self._file),
            web.post("/interactions/{interaction:\\d+}/{token}/callback", self._acknowledge),
            web.patch("/webhooks/{application:\\d+}/{token}/messages/@original", self._answer),
            web.get("/webhooks/{application:\\d+}/{token}/messages/@original", self._answered),
        ]

    def greet(self) -> list[tuple[str, dict[str, Any]]]:
        """Tell a bot that identified of its server."""
        return [("GUILD_CREATE", self._guild())]

    def unavailable_guilds(self) -> list[dict[str, Any]]:
        """Name the server, which `greet` then describes."""
        return [{"id": str(SERVER), "unavailable": True}]

    def forget_nonces(self) -> None:
        """Take each nonce anew, as Discord does after some minutes."""
        self._nonces.clear()

    # What people do

    def attach(self, name: str, data: bytes) -> dict[str, Any]:
        """Upload a file, to be given to a command as an option."""
        return self._keep(name, data)

    async def use(self, user_id: int, command: str, *, channel_id: int = VIDEOS, **options: Any) -> Answer:
        """Use a command, named with its groups.

        Channels, roles and members are given by their ids, files as `attach` returns them.
        """
        name, *path = command.split()
        registered = next(one for one in self.registered[-1] if one["name"] == name)
        leaf = registered
        for part in path:
            leaf = next(one for one in leaf["options"] if one["name"] == part)
        kinds = {option["name"]: option["type"] for option in leaf["options"]}
        given: list[dict[str, Any]] = [
            {"name": key, "type": kinds[key], "value": value["id"] if isinstance(value, dict) else value}
            for key, value in options.items()
        ]
        for depth, part in enumerate(reversed(path)):
            given = [{"name": part, "type": 1 if depth == 0 else 2, "options": given}]
        number = str(self.registered[-1].index(registered) + 1)
        data = {
            "id": number,
            "name": name,
            "type": 1,
            "options": given,
            "resolved": _resolved(options, kinds),
        }
        return await self._interact(user_id, channel_id, 2, data)

    async def press(
        self, user_id: int, message: dict[str, Any], label: str, *, channel_id: int = VIDEOS
    ) -> Answer:
        """Press the button with this label (or one that begins so) on a message."""
        custom_id = next(
            part["custom_id"]
            for part in components(message["components"])
            if part.get("label", "").startswith(label)
        )
        return await self._interact(
            user_id, channel_id, 3, {"custom_id": custom_id, "component_type": 2}, message=message
        )

    async def until_posted(
        self, channel_id: int, words: str, *, within_seconds: float = 30
    ) -> dict[str, Any]:
        """Wait for a message of the bot, or an edit of one, that holds these words."""
        async with asyncio.timeout(within_seconds):
            while True:
                self.posted.clear()
                for message in self.messages[channel_id]:
                    if words in "\n".join([message["content"], *texts(message["components"])]):
                        return message
                await self.posted.wait()

    async def _interact(
        self,
        user_id: int,
        channel_id: int,
        kind: int,
        data: dict[str, Any],
        *,
        message: dict[str, Any] | None = None,
    ) -> Answer:
        number = str(next(self._ids))
        token = f"token-{number}"
        answer = self._answers[token] = Answer()
        payload = {
            "id": number,
            "application_id": str(BOT),
            "type": kind,
            "data": data,
            "guild_id": str(SERVER),
            "guild": {"id": str(SERVER), "locale": "en-US", "features": []},
            "channel_id": str(channel_id),
            "channel": _channel(channel_id),
            "member": {**_member(user_id), "permissions": _EVERYTHING if user_id == LEAD else _USUAL},
            "token": token,
            "version": 1,
            "app_permissions": _EVERYTHING,
            "locale": "en-US",
            "guild_locale": "en-US",
            "entitlements": [],
            "authorizing_integration_owners": {"0": str(SERVER)},
            "context": 0,
            "attachment_size_limit": 10 * 1024 * 1024,
        }
        if message is not None:
            payload["message"] = message
        await self.dispatch("INTERACTION_CREATE", payload)
        return answer

    async def dispatch(self, name: str, data: dict[str, Any]) -> None:
        """Tell every connected bot of an event."""
        for socket in list(self._sockets):
            with contextlib.suppress(ConnectionError):  # of a process that is gone
                await socket.send_json({"op": 0, "d": data, "s": next(self._sequence), "t": name})

    # What the bot does

    async def _post(self, request: web.Request) -> web.Response:
        channel_id = int(request.match_info["channel"])
        payload, attachments = await self._read(request)
        nonce = payload.get("nonce")
        if payload.get("enforce_nonce") and nonce in self._nonces:
            return json_answer(self._nonces[nonce])
        message = self._message(channel_id, payload, attachments)
        self.messages[channel_id].append(message)
        if nonce is not None:
            self._nonces[nonce] = message
        self.posted.set()
        return json_answer(message)

    async def _edit(self, request: web.Request) -> web.Response:
        message = self._find(request)
        payload, _ = await self._read(request)
        message.update({key: payload[key] for key in ("content", "components", "flags") if key in payload})
        _show_files(message)
        message["content"] = message["content"] or ""
        message["edited_timestamp"] = _now()
        self.posted.set()
        return json_answer(message)

    async def _fetch(self, request: web.Request) -> web.Response:
        return json_answer(self._find(request))

    async def _history(self, request: web.Request) -> web.Response:
        after = int(request.query.get("after", 0))
        before = int(request.query.get("before", 2**63))
        limit = int(request.query.get("limit", 50))
        found = [
            one
            for one in self.messages[int(request.match_info["channel"])]
            if after < int(one["id"]) < before
        ]
        found = found[:limit] if "after" in request.query else found[-limit:]
        return json_answer(found[::-1])

    async def _fetch_guild(self, _: web.Request) -> web.Response:
        return json_answer(self._guild())

    async def _file(self, request: web.Request) -> web.Response:
        data = self.files.get(f"http://{self.host}{request.path}")
        return web.Response(body=data) if data is not None else web.Response(status=404)

    async def _open_direct(self, request: web.Request) -> web.Response:
        user_id = int((await request.json())["recipient_id"])
        channel_id = self._direct.setdefault(user_id, next(self._ids))
        self.messages.setdefault(channel_id, [])
        person = _user(user_id)
        return json_answer(
            {"id": str(channel_id), "type": 1, "recipients": [person], "last_message_id": None}
        )

    async def _fetch_member(self, request: web.Request) -> web.Response:
        user_id = int(request.match_info["user"])
        if user_id not in NAMES:
            return json_answer({"message": "Unknown Member", "code": 10007}, status=404)
        return json_answer(_member(user_id))

    async def _acknowledge(self, request: web.Request) -> web.Response:
        answer = self._answers[request.match_info["token"]]
        payload, attachments = await self._read(request)
        if time.monotonic() - answer.asked_at > FIRST_ANSWER_SECONDS:
            return json_answer({"message": "Unknown interaction", "code": 10062}, status=404)
        if answer.is_acknowledged:
            already = {"message": "Interaction has already been acknowledged.", "code": 40060}
            return json_answer(already, status=400)
        answer.is_acknowledged = True
        if payload["type"] in {4, 7}:
            self._tell(answer, payload["data"], attachments)
        if "with_response" in request.query:
            message = answer.message or {}
            number = request.match_info["interaction"]
            return json_answer(
                {
                    "interaction": {"id": number, "type": 2, "response_message_id": message.get("id")},
                    "resource": {"type": payload["type"], "message": answer.message},
                }
            )
        return web.Response(status=204)

    async def _answer(self, request: web.Request) -> web.Response:
        answer = self._answers[request.match_info["token"]]
        if not answer.is_acknowledged:
            return json_answer({"message": "Unknown Webhook", "code": 10015}, status=404)
        payload, attachments = await self._read(request)
        self._tell(answer, payload, attachments)
        return json_answer(answer.message)

    async def _answered(self, request: web.Request) -> web.Response:
        return json_answer(self._answers[request.match_info["token"]].message)

    # How it keeps them

    def _tell(self, answer: Answer, payload: dict[str, Any], attachments: list[dict[str, Any]]) -> None:
        answer.message = self._message(VIDEOS, payload, attachments)
        answer.told.set()

    async def _read(self, request: web.Request) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Read a body with or without files; return it and the files as attachments."""
        if not request.content_type.startswith("multipart/"):
            return await request.json(), []
        payload: dict[str, Any] = {}
        attachments: list[dict[str, Any]] = []
        async for part in await request.multipart():
            assert not isinstance(part, list)
            data = bytes(await part.read())  # pyright: ignore[reportAttributeAccessIssue]
            if part.name == "payload_json":  # pyright: ignore[reportAttributeAccessIssue]
                payload = json.loads(data)
                continue
            attachments.append(self._keep(str(part.filename), data))  # pyright: ignore[reportAttributeAccessIssue]
        return payload, attachments

    def _keep(self, name: str, data: bytes) -> dict[str, Any]:
        """Keep a file; return the attachment that it is."""
        number = str(next(self._ids))
        url = f"http://{self.host}/attachments/{number}"
        self.files[url] = data
        return {"id": number, "filename": name, "size": len(data), "url": url, "proxy_url": url}

    def _message(
        self, channel_id: int, payload: dict[str, Any], attachments: list[dict[str, Any]]
    ) -> dict[str, Any]:
        parts = copy.deepcopy(payload.get("components") or [])
        for number, part in enumerate(components(parts), start=1):
            part.setdefault("id", number)
        message = {
            "id": str(next(self._ids)),
            "channel_id": str(channel_id),
            "guild_id": str(SERVER),
            "type": 0,
            "author": USER,
            "content": payload.get("content") or "",
            "timestamp": _now(),
            "edited_timestamp": None,
            "tts": False,
            "mention_everyone": False,
            "mentions": [],
            "mention_roles": [],
            "attachments": attachments,
            "files": attachments,
            "embeds": [],
            "pinned": False,
            "components": parts,
            "flags": payload.get("flags") or 0,
        }
        if "message_reference" in payload:
            message["message_reference"] = payload["message_reference"]
        _show_files(message)
        return message

    def _find(self, request: web.Request) -> dict[str, Any]:
        wanted = request.match_info["message"]
        found = [one for one in self.messages[int(request.match_info["channel"])] if one["id"] == wanted]
        if not found:
            raise web.HTTPNotFound(text=json.dumps({"code": 10008}), content_type="application/json")
        return found[0]

    def _guild(self) -> dict[str, Any]:
        everyone = {"id": str(SERVER), "name": "@everyone", "permissions": _EVERYTHING, "position": 0}
        staff = {"id": str(STAFF_ROLE), "name": "Staff", "permissions": _EVERYTHING, "position": 1}
        usual = {"color": 0, "colors": {}, "hoist": False, "managed": False, "mentionable": False, "flags": 0}
        return {
            "id": str(SERVER),
            "name": "Team",
            "owner_id": str(LEAD),
            "roles": [{**role, **usual} for role in (everyone, staff)],
            "channels": [_channel(channel_id) for channel_id in CHANNELS],
            "members": [_member(BOT)],
            "member_count": len(NAMES) + 1,
            "threads": [],
            "emojis": [],
            "stickers": [],
            "features": [],
            "voice_states": [],
            "presences": [],
            "stage_instances": [],
            "guild_scheduled_events": [],
            "soundboard_sounds": [],
            "premium_tier": 0,
            "preferred_locale": "en-US",
            "verification_level": 0,
            "default_message_notifications": 0,
            "explicit_content_filter": 0,
            "mfa_level": 0,
            "nsfw_level": 0,
            "system_channel_flags": 0,
            "large": False,
            "unavailable": False,
        }


def components(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return every component, in whatever others they lie."""
    found: list[dict[str, Any]] = []
    for part in parts:
        accessory = [part["accessory"]] if "accessory" in part else []
        found += [part, *components([*part.get("components", []), *accessory])]
    return found


def texts(parts: list[dict[str, Any]]) -> list[str]:
    """Return what can be read in components."""
    return [str(part[key]) for part in components(parts) for key in ("content", "label") if part.get(key)]


def _show_files(message: dict[str, Any]) -> None:
    """Resolve the files that components show: they leave the list of attachments.

    https://github.com/discord/discord-api-docs/issues/8277
    """
    files = {f"attachment://{one['filename']}": one for one in message["files"]}
    for part in components(message["components"]):
        for media in (part.get("media"), part.get("file")):
            if media and (shown := files.get(media["url"])) is not None:
                media |= {"url": shown["url"], "proxy_url": shown["url"]}
                message["attachments"] = [one for one in message["attachments"] if one is not shown]


def _resolved(options: dict[str, Any], kinds: dict[str, int]) -> dict[str, Any]:
    """Describe the people, channels and files among the options, as Discord does."""
    people = [
        int(value) for key, value in options.items() if kinds[key] == discord.AppCommandOptionType.user.value
    ]
    channels = [
        int(value)
        for key, value in options.items()
        if kinds[key] == discord.AppCommandOptionType.channel.value
    ]
    return {
        "users": {str(one): _user(one) for one in people},
        "members": {str(one): {**_member(one), "permissions": _USUAL} for one in people},
        "channels": {str(one): {**_channel(one), "permissions": _EVERYTHING} for one in channels},
        "attachments": {value["id"]: value for value in options.values() if isinstance(value, dict)},
    }


def _user(user_id: int) -> dict[str, Any]:
    if user_id == BOT:
        return USER
    return {"id": str(user_id), "username": NAMES[user_id], "discriminator": "0", "avatar": None}


def _member(user_id: int) -> dict[str, Any]:
    return {
        "user": _user(user_id),
        "roles": [str(STAFF_ROLE)] if user_id in {LEAD, BOT} else [],
        "joined_at": "2026-01-01T00:00:00+00:00",
        "deaf": False,
        "mute": False,
        "flags": 0,
    }


def _channel(channel_id: int) -> dict[str, Any]:
    return {
        "id": str(channel_id),
        "type": 0,
        "guild_id": str(SERVER),
        "name": CHANNELS.get(channel_id, "other"),
        "position": 0,
        "permission_overwrites": [],
        "nsfw": False,
        "flags": 0,
        "parent_id": None,
    }


def _snowflakes() -> Iterator[int]:
    """Make ids that rise and tell their time, as Discord's do."""
    last = 0
    while True:
        last = max(last + 1, discord.utils.time_snowflake(dt.datetime.now(dt.UTC)))
        yield last


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat()
