"""A Discord with one server in it, over real sockets, for a bot that runs as a process.

It keeps every message, takes a nonce once, tells the bot of commands and presses, and keeps what the bot
answers to them. People in it are numbers: `LEAD` may manage the server, `MEMBER` may not.
"""

import asyncio
import copy
import datetime as dt
import itertools
import json
from typing import Any

import discord
from aiohttp import web

from tests.discord_standin import USER, DiscordStandin, json_answer

SERVER, VIDEOS, STAFF = 1000, 1001, 1002
LEAD, MEMBER = 2001, 2002
STAFF_ROLE = 1003
BOT = int(USER["id"])
NAMES = {LEAD: "lead", MEMBER: "member"}

_EVERYTHING = str(discord.Permissions.all().value)
_USUAL = str(discord.Permissions(view_channel=True, send_messages=True).value)


class Answer:
    """What the bot answers to one command or press, as the person sees it last."""

    def __init__(self) -> None:
        self.message: dict[str, Any] | None = None
        self.told = asyncio.Event()

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
    """One server with two channels. `messages` holds what is in each channel, oldest first."""

    def __init__(self) -> None:
        super().__init__()
        self._ids = itertools.count(5_000_000)
        self._sequence = itertools.count(2)
        self._answers: dict[str, Answer] = {}
        self._nonces: dict[str, dict[str, Any]] = {}
        self.messages: dict[int, list[dict[str, Any]]] = {VIDEOS: [], STAFF: []}
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
            web.get("/guilds/{guild:\\d+}/members/{user:\\d+}", self._fetch_member),
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

    # What people do

    async def use(self, user_id: int, command: str, *, channel_id: int = VIDEOS, **options: Any) -> Answer:
        """Use a command, named with its groups; channels, roles and members are given by their ids."""
        name, *path = command.split()
        registered = next(one for one in self.registered[-1] if one["name"] == name)
        leaf = registered
        for part in path:
            leaf = next(one for one in leaf["options"] if one["name"] == part)
        kinds = {option["name"]: option["type"] for option in leaf["options"]}
        given: list[dict[str, Any]] = [
            {"name": key, "type": kinds[key], "value": value} for key, value in options.items()
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
            number = str(next(self._ids))
            url = f"http://{self.host}/attachments/{number}"
            self.files[url] = data
            name = part.filename  # pyright: ignore[reportAttributeAccessIssue]
            attachments.append(
                {"id": number, "filename": name, "size": len(data), "url": url, "proxy_url": url}
            )
        return payload, attachments

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
            "embeds": [],
            "pinned": False,
            "components": parts,
            "flags": payload.get("flags") or 0,
        }
        if "message_reference" in payload:
            message["message_reference"] = payload["message_reference"]
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
            "channels": [_channel(VIDEOS), _channel(STAFF)],
            "members": [_member(BOT)],
            "member_count": 3,
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


def _resolved(options: dict[str, Any], kinds: dict[str, int]) -> dict[str, Any]:
    """Describe the people and channels among the options, as Discord does."""
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
        "name": {VIDEOS: "videos", STAFF: "staff"}.get(channel_id, "other"),
        "position": 0,
        "permission_overwrites": [],
        "nsfw": False,
        "flags": 0,
        "parent_id": None,
    }


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat()
