"""What several tests need to act on a world: other channels, operators, files and rushes."""

import contextlib
from collections.abc import AsyncGenerator, Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import aiohttp
import discord
from simcord import interactions
from simcord.backend import serializers
from simcord.backend.models import Overwrite
from simcord.enums import InteractionType, OverwriteType
from simcord.results import InteractionResult

from bot.availability import Availability
from bot.models import Failure, FailureKind
from storage.database import Database
from storage.outages import MarkStore
from tests.discord_server import components
from tests.world import World, come_to_rest, open_world

CHEAP = """
[models."apixo/sora-2".price]
unit = "video"
rows = [ { usd = "0.30" } ]
"""

ONE_AT_A_TIME = """
[models."apixo/sora-2".limits]
concurrent_tasks = 1
"""

MANY = "\n".join(
    f"""
[models."apixo/clip-{number:02}"]
like = "apixo/sora-2-pro"
title = "Clip {number}"
note = "{"A note of the operator that goes on for quite a while. " * 4}"
"""
    for number in range(25)
)

GONE = Failure(kind=FailureKind.MODEL_GONE, detail="model not found <@1> `x`")
NO_BALANCE = Failure(kind=FailureKind.NO_BALANCE, detail="Insufficient credits: balance is $0.13")


@contextlib.asynccontextmanager
async def world_with(folder: Path, models: str, **settings: Any) -> AsyncGenerator[World]:
    """Open a world whose operator has a MODELS_FILE."""
    file = folder / "models.toml"
    file.write_text(models)
    async with open_world(folder / "data", models_file=file, **settings) as world:
        yield world


@contextlib.asynccontextmanager
async def world_with_a_waiting_job(folder: Path) -> AsyncGenerator[World]:
    """Open a world in which the one place at the gateway is taken, and the member's job waits."""
    async with world_with(folder, ONE_AT_A_TIME) as world:
        await world.create(by=world.other, prompt="The first in line")
        await world.until(lambda: world.gateway.submitted)
        await world.create(prompt="A fox")
        await has_card(world)
        yield world
        await world.settled()


async def has_card(world: World, member: Any = None) -> None:
    """Wait until the member's newest job has its card."""

    async def posted() -> bool:
        return (await world.jobs(of=member))[0].card_message_id is not None

    await world.until(posted)


async def forget_registration(world: World) -> None:
    """Let the next start of the same folder tell Discord of the commands again."""
    database = Database(world.app.folder.database)
    await MarkStore(database).set("registered commands", "the digest of an older version")
    await database.close()


def channel_without(world: World, *permissions: str, name: str = "closed") -> Any:
    """Make a channel in which the bot lacks permissions."""
    denied = discord.PermissionOverwrite(**dict.fromkeys(permissions, False))
    me = world.guild.me
    assert me is not None
    return world.guild.create_text_channel(name, overwrites={me: denied})


def availability(world: World) -> Availability:
    """Return what a gateway's refusals would change, to change it without one."""
    return world.app.bot.menu._availability  # noqa: SLF001 - the root hands it to nobody outside


async def click(member: Any, result: Any, label: str) -> Any:
    """Press a button of a private answer."""
    return await member.click(result.response, label=label)


def make_operator(world: World, member: Any) -> None:
    """Let a member own the bot's Discord application."""
    world.app.bot.owner_id = member.id


async def press_at_once(world: World, message: Any, *presses: tuple[Any, str]) -> list[InteractionResult]:
    """Press buttons of one message in the same instant: who does it, and the label."""
    backend = world.env.backend
    stored = backend.get_message(message.channel_id, message.id)
    shown = serializers.message_payload(backend, stored)
    buttons = [part for part in components(stored.components) if "custom_id" in part]
    ids = {button["label"]: button["custom_id"] for button in buttons if "label" in button}
    records: list[Any] = []
    for member, label in presses:
        record, payload = interactions.base_payload(
            backend,
            type=InteractionType.MESSAGE_COMPONENT,
            channel_id=stored.channel_id,
            guild_id=member.guild.id,
            user_id=member.id,
            data={"custom_id": ids[label], "component_type": 2},
        )
        record.source_message_id = stored.id
        backend.emit("INTERACTION_CREATE", {**payload, "message": dict(shown)})
        records.append(record)
    await world.env.settle(timeout=20)
    return [InteractionResult(world.env, record) for record in records]


def dismiss(world: World, member: Any) -> None:
    """Take all roles from a member, and what they may do by them."""
    world.env.backend.get_member(world.guild.id, member.id).role_ids.clear()


async def rush(world: World, command: str, options: dict[str, str], times: int) -> list[str]:
    """Use a command many times in the same instant; return what the person reads."""
    return await at_once(world, *[(world.member, command, options)] * times)


async def at_once(world: World, *uses: tuple[Any, str, dict[str, str]]) -> list[str]:
    """Use commands in the same instant: who, which, and its options; return what each of them reads."""
    backend = world.env.backend
    records: list[Any] = []
    for member, command, options in uses:
        group, name = command.split()
        root = backend.find_command(group, world.guild.id, type=1)
        values = [{"name": key, "type": 3, "value": value} for key, value in options.items()]
        record, payload = interactions.base_payload(
            backend,
            type=InteractionType.APPLICATION_COMMAND,
            channel_id=world.channel.id,
            guild_id=world.guild.id,
            user_id=member.id,
            data={
                "id": root["id"],
                "name": group,
                "type": 1,
                "options": [{"name": name, "type": 1, "options": values}],
            },
        )
        backend.emit("INTERACTION_CREATE", payload)
        records.append(record)
    await come_to_rest()  # SimCord's own way to wait takes long where many things happen at once
    await world.env.settle(timeout=20)
    return [backend.get_message(record.channel_id, record.message_id).content for record in records]


def lose_answer(
    world: World, path: str, *, method: str = "POST", meanwhile: Callable[[], object] = lambda: None
) -> None:
    """Let Discord do what the next such request asks for, and the connection break before it says so."""
    http = world.app.bot.http
    ask = http.request
    lost: list[str] = []

    async def request(route: Any, **more: Any) -> Any:
        answer = await ask(route, **more)
        if route.method == method and fnmatch(route.url.split("/api/v10")[-1], path) and not lost:
            lost.append(path)
            meanwhile()
            raise aiohttp.ServerDisconnectedError
        return answer

    http.request = request


def deny(world: World, *permissions: str) -> None:
    """Take permissions from the bot in the world's channel."""
    denied = discord.Permissions(**dict.fromkeys(permissions, True)).value
    me = world.env.backend.bot_user.id
    overwrite = Overwrite(target_id=me, type=OverwriteType.MEMBER, deny=denied)
    world.env.backend.set_overwrite(world.channel.id, overwrite)
