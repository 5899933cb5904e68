"""Two servers share one bot: nothing that is done in one shows, spends or changes anything of the other.

Every command with every option, every button and every autocomplete is tried from the second server with the
ids of the first. A new one is tried by itself, since the list is what the bot registers; a new form or menu
entry makes `test_every_menu_entry_is_tried` fail.
"""

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

import discord
import pytest
import sqlalchemy as sa
from simcord import interactions
from simcord.backend import serializers
from simcord.enums import InteractionType
from simcord.results import InteractionResult

from bot.models import Stage
from storage import schema
from storage.servers import ServerStore
from tests.acting import make_operator
from tests.world import START, World, picture

# What these tests run is covered elsewhere, and tracing makes them three times as long.
pytestmark = pytest.mark.no_cover

MENU = "Animate image"
PROMPT = "A very secret heron"
LIMIT = "73.31"
# What a text option means where it is no id of a job.
MEANT = {
    "amount": "1.00",
    "period": "this month",
    "by": "member",
    "prompt": "A kite",
    "model": "apixo/sora-2",
    "zone": "Europe/Berlin",
    "until": "2026-12-24",
    "reason": "for the test",
    "gateway": "apixo",
}
SUBCOMMAND, GROUP, STRING, INTEGER, BOOLEAN, USER, CHANNEL, ROLE = 1, 2, 3, 4, 5, 6, 7, 8
ATTACHMENT = 11
TARGETS = {USER, CHANNEL, ROLE}


class Other:
    """The second server, with people of its own."""

    def __init__(self, world: World) -> None:
        self.guild = world.env.create_guild("Other team")
        self.channel = self.guild.create_text_channel("elsewhere")
        staff = self.guild.create_role("Staff", permissions=discord.Permissions(manage_guild=True))
        self.staff = self.guild.add_member(world.env.create_user("stranger"), roles=[staff])


@pytest.fixture
async def other(world: World) -> Other:
    """Fill the first server with all there is to find, and open the second."""
    settings = ServerStore(world.database)
    await settings.change(
        world.guild.id,
        act="by hand",
        what="",
        by=world.staff.id,
        now=START,
        staff_channel_id=world.channel.id,
    )
    role = world.guild.create_role("Artists")
    for target in ({"member": world.member}, {"role": role}, {"channel": world.channel}, {}):
        await world.ask("video-admin quota set", by=world.staff, amount=LIMIT, **target)
    await world.create(prompt=PROMPT)
    await world.settled()
    world.gateway.keep_rendering()
    await world.create(prompt=PROMPT)
    await world.reached(Stage.RENDERING)
    await world.ask("video-admin quota set", by=world.staff, amount="0", member=world.staff)
    refused = await world.staff.slash(world.channel, "video create", prompt=PROMPT)
    await world.time.move_until(_asked(world, refused))
    await world.ask("video-admin purse open", by=world.staff, amount="33.13", channel=world.channel)
    second = Other(world)
    await world.restart(allowed_servers=[world.guild.id, second.guild.id])
    await world.until(lambda: not world.gateway.looks)
    # Time passes in these tests, and that the clip takes long would be written down once.
    await world.store.told((await world.job()).job_id, Stage.RENDERING)
    return second


async def _asked(world: World, refused: Any) -> None:
    await world.staff.click(refused.response, label="Ask for ≈$0.50")


async def rows_of(world: World, server_id: int) -> dict[str, list[tuple[Any, ...]]]:
    """Everything the database holds of a server."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    async with world.database.read() as connection:
        for table in schema.metadata.sorted_tables:
            if "server_id" in table.c:
                query = sa.select(table).where(table.c.server_id == server_id)
                found[table.name] = sorted((tuple(row) for row in await connection.execute(query)), key=repr)
        own = (
            sa.select(sa.cast(schema.members.c.member_id, sa.String)).where(
                schema.members.c.server_id == server_id
            ),
            sa.select(sa.cast(schema.ledger.c.channel_id, sa.String)).where(
                schema.ledger.c.server_id == server_id
            ),
            [str(server_id)],
        )
        sums = sa.select(schema.totals).where(
            sa.or_(*(schema.totals.c.subject.in_(subjects) for subjects in own))
        )
        found["totals"] = [tuple(row) for row in await connection.execute(sums)]
    return found


def commands(registered: list[dict[str, Any]]) -> Iterator[tuple[list[str], list[dict[str, Any]]]]:
    """Every command that can be used, with its options."""
    for command in registered:
        if command.get("type", 1) == 1:
            yield from _leaves([command["name"]], command.get("options") or [])


def _leaves(
    path: list[str], options: list[dict[str, Any]]
) -> Iterator[tuple[list[str], list[dict[str, Any]]]]:
    below = [option for option in options if option["type"] in {SUBCOMMAND, GROUP}]
    for option in below:
        yield from _leaves([*path, option["name"]], option.get("options") or [])
    if not below:
        yield path, options


def tries(options: list[dict[str, Any]], ids: dict[str, str]) -> Iterator[list[dict[str, Any]]]:
    """Fill in a command's options with what belongs to the first server: at most one target at a time."""
    targets = [option for option in options if option["type"] in TARGETS and not option.get("required")]
    plain = [option for option in options if option not in targets and option["type"] != ATTACHMENT]
    needed = [option for option in plain if option.get("required")]
    for target, rest in itertools.product([None, *targets], [plain, needed]):
        yield [_filled(option, ids) for option in [*rest, *([target] if target else [])]]


def _filled(option: dict[str, Any], ids: dict[str, str]) -> dict[str, Any]:
    kind, name = option["type"], option["name"]
    choices = option.get("choices") or []
    value: Any
    match kind:
        case _ if choices:
            value = choices[0]["value"]
        case 4:
            value = 10
        case 5:
            value = True
        case 6:
            value = ids["user"]
        case 7:
            value = ids["channel"]
        case 8:
            value = ids["role"]
        case _:
            value = MEANT.get(name, ids["job"])
    return {"type": kind, "name": name, "value": value}


async def send(world: World, other: Any, kind: InteractionType, data: dict[str, Any], **more: Any) -> Any:
    """Send what a hostile client could send from the second server, or from another place with its names."""
    record, payload = interactions.base_payload(
        world.env.backend,
        type=kind,
        channel_id=other.channel.id,
        guild_id=other.guild.id,
        user_id=other.staff.id,
        data=data,
    )
    world.env.backend.emit("INTERACTION_CREATE", {**payload, **more})
    await world.time.move_until(_settle(world))
    return record


async def _settle(world: World) -> None:
    await world.env.settle(timeout=20)


def answered(world: World, record: Any) -> str:
    """Everything the bot answered, with what is in files."""
    if record.message_id is None:
        return ""
    message = world.env.backend.get_message(record.channel_id, record.message_id)
    files = [world.env.backend.cdn.get(file["url"]) for file in message.attachments]
    return json.dumps([message.content, message.components], default=str) + repr(files)


async def ids_of(world: World) -> dict[str, str]:
    job = (await world.jobs())[0]
    return {
        "job": job.job_id,
        "draft": await draft_id(world),
        "user": str(world.member.id),
        "channel": str(world.channel.id),
        "role": await role_id(world),
    }


async def role_id(world: World) -> str:
    async with world.database.read() as connection:
        found = sa.select(schema.limits.c.subject_id).where(schema.limits.c.layer == "role")
        return str(await connection.scalar(found))


async def draft_id(world: World) -> str:
    async with world.database.read() as connection:
        return await connection.scalar(sa.select(schema.drafts.c.draft_id)) or ""


def command_data(world: World, path: list[str], given: list[dict[str, Any]]) -> dict[str, Any]:
    """Write a command with its groups as Discord does."""
    name, *below = path
    root = world.env.backend.find_command(name, world.guild.id, type=1)
    for depth, part in enumerate(reversed(below)):
        given = [{"name": part, "type": SUBCOMMAND if depth == 0 else GROUP, "options": given}]
    return {"id": root["id"], "name": name, "type": 1, "options": given}


def resolved(ids: dict[str, str]) -> dict[str, Any]:
    """Describe the first server's things as if they were here."""
    person = {"id": ids["user"], "username": "member", "discriminator": "0", "avatar": None}
    role = {
        "id": ids["role"], "name": "Staff", "permissions": "0", "position": 1, "color": 0, "hoist": False,
        "managed": False, "mentionable": False, "flags": 0,
    }  # fmt: skip
    channel = {"id": ids["channel"], "name": "videos", "type": 0, "permissions": "0"}
    return {
        "users": {ids["user"]: person},
        "channels": {ids["channel"]: channel},
        "roles": {ids["role"]: role},
        "members": {},
    }


def secrets(jobs: list[str]) -> list[str]:
    return [*jobs, "heron", LIMIT, "33.13"]


async def test_no_command_reaches_another_server(world: World, other: Other) -> None:
    make_operator(world, world.other)
    ids = await ids_of(world)
    before = await rows_of(world, world.guild.id)
    known = secrets([job.job_id for job in await world.jobs()])
    used = 0
    for path, options in commands(registered_by(world)):
        for given in tries(options, ids):
            data = command_data(world, path, given) | {"resolved": resolved(ids)}
            record = await send(world, other, InteractionType.APPLICATION_COMMAND, data)
            told = answered(world, record)
            assert "Something went wrong" not in told, (path, given, told)
            # What a person typed may be said back to them, and nothing else.
            for secret in known:
                assert secret == ids["job"] or secret not in told, (path, given, told)
            used += 1
    assert used > 60
    assert await rows_of(world, world.guild.id) == before


async def test_no_autocomplete_offers_anything_of_another_server(world: World, other: Other) -> None:
    make_operator(world, world.other)
    ids = await ids_of(world)
    known = secrets([job.job_id for job in await world.jobs()])
    typed = ["", "a", "heron", ids["job"], ids["job"][:2], ids["draft"], ids["user"], ids["channel"], "73"]
    asked = 0
    for path, options in commands(registered_by(world)):
        for option in options:
            if not option.get("autocomplete"):
                continue
            for value in typed:
                given = [{"type": option["type"], "name": option["name"], "value": value, "focused": True}]
                kind = InteractionType.APPLICATION_COMMAND_AUTOCOMPLETE
                record = await send(world, other, kind, command_data(world, path, given))
                offered = json.dumps(InteractionResult(world.env, record).autocomplete_choices, default=str)
                assert not any(secret in offered for secret in known), (path, option["name"], value, offered)
            asked += 1
    assert asked >= 6


async def test_no_button_reaches_another_server(world: World, other: Other) -> None:
    ids = await ids_of(world)
    known = secrets([job.job_id for job in await world.jobs()])
    before = await rows_of(world, world.guild.id)
    templates = [button.__discord_ui_compiled_template__.pattern for button in world.app.bot._buttons]  # noqa: SLF001
    posted = await other.staff.send(other.channel, "hello")
    for template in templates:
        for custom_id in examples(template, ids):
            stored = world.env.backend.get_message(other.channel.id, posted.id)
            message = dict(serializers.message_payload(world.env.backend, stored))
            data = {"custom_id": custom_id, "component_type": 2}
            # discord.py drops the press of a button that its message does not show.
            button = {"type": 2, "style": 2, "label": "Press", "custom_id": custom_id}
            message["components"] = [{"type": 1, "components": [button]}]
            record = await send(world, other, InteractionType.MESSAGE_COMPONENT, data, message=message)
            assert InteractionResult(world.env, record).acknowledged, custom_id
            told = answered(world, record)
            assert not any(secret != ids["job"] and secret in told for secret in known), (custom_id, told)
    assert len(templates) >= 6
    assert await rows_of(world, world.guild.id) == before


# Forms and menu entries


def test_every_menu_entry_is_tried(world: World) -> None:
    entries = [command["name"] for command in registered_by(world) if command.get("type", 1) != 1]
    assert entries == [MENU]


async def test_no_form_reaches_another_server(world: World, other: Other) -> None:
    ids = await ids_of(world)
    known = secrets([job.job_id for job in await world.jobs()])
    before = await rows_of(world, world.guild.id)
    for offer in (ids["job"], ids["draft"], ids["channel"], ids["user"]):
        message = await other.staff.send(other.channel, "look", attachments=[("a.png", picture())])
        shown = await other.staff.context_menu(other.channel, MENU, message)
        assert shown.modal is not None
        told = await fill(world, other, shown.modal["custom_id"], prompt=ids["job"], offer=f"{offer}|10")
        assert "This form offers no such model." in told
        assert not any(secret != ids["job"] and secret in told for secret in known), told
    assert await rows_of(world, world.guild.id) == before


async def test_nobody_sends_the_form_of_another_server(world: World, other: Other) -> None:
    """It would be ordered here, with the picture that somebody chose there."""
    message = await world.other.send(world.channel, "look", attachments=[("a.png", picture())])
    theirs = await world.member.context_menu(world.channel, MENU, message)
    assert theirs.modal is not None
    ids = await ids_of(world)
    before = await rows_of(world, world.guild.id)
    for custom_id in (theirs.modal["custom_id"], "animate:0", f"animate:{ids['job']}", ids["draft"]):
        told = await fill(world, other, custom_id, prompt="A kite", offer="apixo/sora-2|10")
        assert told == "" or "Somebody else opened this form" in told
    assert await world.store.of_member(other.guild.id, other.staff.id) == []
    assert await rows_of(world, world.guild.id) == before

    values = {"prompt": "A kite", "offer": ["apixo/sora-2|10"]}
    assert "is ordered" in (await world.member.submit_modal(theirs, values)).response.content


async def test_the_menu_entry_reaches_no_message_of_another_server(world: World, other: Other) -> None:
    """Discord describes a message that is not in this channel, if at all, without what is in it."""
    hidden = await world.other.send(world.channel, PROMPT, attachments=[("a.png", picture())])
    root = world.env.backend.find_command(MENU, world.guild.id, type=3)
    posted = await other.staff.send(other.channel, "hello")
    stored = world.env.backend.get_message(other.channel.id, posted.id)
    described = {**serializers.message_payload(world.env.backend, stored), "id": str(hidden.id)}
    before = await rows_of(world, world.guild.id)
    data = {
        "id": root["id"],
        "name": MENU,
        "type": 3,
        "target_id": str(hidden.id),
        "resolved": {"messages": {str(hidden.id): described}},
    }
    record = await send(world, other, InteractionType.APPLICATION_COMMAND, data)
    assert "This message has no picture attached." in answered(world, record)
    assert await world.store.of_member(other.guild.id, other.staff.id) == []
    assert await rows_of(world, world.guild.id) == before


async def fill(world: World, other: Other, custom_id: str, *, prompt: str, offer: str) -> str:
    """Send a form from the second server; return what is answered."""
    controls = (
        {"type": 4, "custom_id": "prompt", "value": prompt},
        {"type": 3, "custom_id": "offer", "values": [offer]},
    )
    components = [{"type": 18, "component": control} for control in controls]
    data = {"custom_id": custom_id, "components": components}
    return answered(world, await send(world, other, InteractionType.MODAL_SUBMIT, data))


def registered_by(world: World) -> list[dict[str, Any]]:
    return [command.to_dict(world.app.bot.tree) for command in world.app.bot.tree.get_commands()]


def examples(template: str, ids: dict[str, str]) -> list[str]:
    """Return custom ids that fit a button's template and name what is the first server's."""
    values = {
        "job_id": [ids["job"]],
        "draft_id": [ids["draft"]],
        "page": ["0", "1"],
        "user": ["", ids["user"]],
        "stage": ["", "rendering"],
        "model": [""],
    }
    groups = re.findall(r"\(\?P<(\w+)>([^)]*)\)", template)
    every = [values.get(name) or shape.split("|") for name, shape in groups]
    made = []
    for chosen in itertools.product(*every):
        left = iter(chosen)
        made.append(re.sub(r"\(\?P<\w+>[^)]*\)", lambda _, left=left: next(left), template))
    assert all(re.fullmatch(template, one) for one in made), template
    return made
