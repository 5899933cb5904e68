"""Nothing a client sends is trusted: what was made up changes nothing, and a double press acts once.

The buttons are those that the bot registers, so that a new one is tried by itself.
"""

import dataclasses
import datetime as dt
import re
from collections.abc import AsyncGenerator, Awaitable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from simcord import interactions
from simcord.backend import serializers
from simcord.enums import InteractionType
from simcord.results import InteractionResult

from bot import approval_card, cards
from bot.models import DraftStage, Job, Stage
from bot.request_desk import LOOK_SECONDS
from storage import schema
from storage.servers import ServerStore
from tests.acting import press_at_once, world_with_a_waiting_job
from tests.test_servers_apart import answered, command_data, commands, registered_by, send
from tests.world import World, picture

# What these tests run is covered elsewhere, and tracing makes them three times as long.
pytestmark = pytest.mark.no_cover

SECRET = "A very secret heron"
DEAR = {"prompt": SECRET, "model": "apixo/sora-2-pro", "seconds": 8, "quality": "1080p"}


@dataclasses.dataclass
class Place:
    """A world with something behind every button, and who presses there."""

    world: World
    staff: Any  # whoever presses, whatever they may do; so the helpers call them
    job: Job
    drafts: dict[DraftStage, str]
    page_id: int  # a message of the bot that presses may change

    @property
    def guild(self) -> Any:
        return self.world.guild

    @property
    def channel(self) -> Any:
        return self.world.channel

    async def press(self, *custom_ids: str, **more: Any) -> list[str]:
        """Press buttons that some message shows, in the same instant; return everything that is answered."""
        backend = self.world.env.backend
        records: list[Any] = []
        for custom_id in custom_ids:
            record, payload = interactions.base_payload(
                backend,
                type=InteractionType.MESSAGE_COMPONENT,
                channel_id=self.channel.id,
                guild_id=self.guild.id,
                user_id=self.staff.id,
                data={"custom_id": custom_id, "component_type": 2, **more},
            )
            record.source_message_id = self.page_id
            page = backend.get_message(self.channel.id, self.page_id)
            button = {"type": 2, "style": 2, "label": "Press", "custom_id": custom_id}
            shown = [{"type": 1, "components": [button]}]
            message = {**serializers.message_payload(backend, page), "components": shown}
            backend.emit("INTERACTION_CREATE", {**payload, "message": message})
            records.append(record)
        await self.world.time.move_until(_run(self.world.env.settle(timeout=20)))
        beside = [InteractionResult(self.world.env, record).followups for record in records]
        return [
            answered(self.world, record) + "".join(one.content for one in more)
            for record, more in zip(records, beside, strict=True)
        ]

    async def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """Everything the database holds, but for what time alone changes."""
        found = {table.name: sa.select(table) for table in schema.metadata.sorted_tables}
        del found["balances"]
        found["jobs"] = sa.select(schema.jobs.c.job_id, schema.jobs.c.stage)
        async with self.world.database.read() as connection:
            return {
                name: sorted((tuple(row) for row in await connection.execute(query)), key=repr)
                for name, query in found.items()
            }


@pytest.fixture
async def place(tmp_path: Path) -> AsyncGenerator[Place]:
    async with world_with_a_waiting_job(tmp_path) as world:
        world.gateway.keep_rendering()
        settings = {"act": "by hand", "what": "", "by": world.staff.id, "now": world.time.now()}
        room = world.guild.create_text_channel("staff-room")
        await ServerStore(world.database).change(world.guild.id, staff_channel_id=room.id, **settings)
        await world.other.slash(world.channel, "video create", **DEAR)
        await world.ask("video-admin quota set", by=world.staff, amount="0", member=world.member)
        for is_asked in (True, False):
            refused = await world.member.slash(world.channel, "video create", prompt=SECRET)
            if is_asked:
                await world.time.move_until(_click(world.member, refused.response))
        async with world.database.read() as connection:
            found = await connection.execute(sa.select(schema.drafts.c.stage, schema.drafts.c.draft_id))
            drafts = {DraftStage(stage): draft_id for stage, draft_id in found}
        assert set(drafts) == {DraftStage.QUOTED, DraftStage.ASKED, DraftStage.REFUSED}
        channel = world.app.bot.get_partial_messageable(world.channel.id, guild_id=world.guild.id)
        page = await channel.send(view=cards.page("A page"))
        yield Place(world, world.other, await world.job(), drafts, page.id)
        world.gateway.renders = True


async def _click(member: Any, message: Any) -> None:
    await member.click(message, label="Ask for ≈$0.50")


async def _run(act: Awaitable[Any]) -> None:
    await act


def templates(world: World) -> list[str]:
    return [button.__discord_ui_compiled_template__.pattern for button in world.app.bot._buttons]  # noqa: SLF001


def fitting(template: str, pool: list[str]) -> Iterator[str]:
    """Fill in a template: each of its parts with everything of a pool that fits there."""
    parts = re.findall(r"\(\?P<\w+>([^)]*)\)", template)
    fits = [[value for value in [*shape.split("|"), *pool] if re.fullmatch(shape, value)] for shape in parts]
    for number, values in enumerate(fits):
        for value in values:
            filled = iter([value if at == number else usual[0] for at, usual in enumerate(fits)])
            yield re.sub(r"\(\?P<\w+>[^)]*\)", lambda _, filled=filled: next(filled), template)


def broken(custom_id: str) -> list[str]:
    """Custom ids that look like a known one."""
    head, _, tail = custom_id.rpartition(":")
    numbers = ("-1", "1e3", "9" * 60, "٣", "0x10", "' OR 1=1 --", "../..", "\x00", "<@1>", "%s", "")
    return [
        *(f"{head}:{number}" for number in numbers),
        custom_id.upper(),
        f"{custom_id}\n",
        f" {custom_id}",
        f"{custom_id}:{tail}",
        custom_id * 9,
        head,
    ]


async def test_a_press_that_was_made_up_changes_nothing_and_tells_nothing(place: Place) -> None:
    world = place.world
    known = [place.job.job_id, *place.drafts.values()]
    pool = [*known, "0", "9999", "899", "8" * 19, str(world.member.id), "z" * 20, "failed", "0" * 8]
    before = await place.rows()
    pressed = 0
    for number, template in enumerate(templates(world)):
        # Somebody else each time, or the cool-down would answer.
        place.staff = world.guild.add_member(world.env.create_user(f"nobody {number}"))
        ids = list(dict.fromkeys(fitting(template, pool)))
        assert len(ids) >= 3, template
        answers = await place.press(*ids)
        assert all(answers), dict(zip(ids, answers, strict=True))
        answers += await place.press(*broken(ids[0]))
        answers += await place.press(ids[0], component_type=3, values=["a", "b"])
        for told in answers:
            assert "Something went wrong" not in told, (template, answers)
            assert "That was too fast" not in told, template
            assert "heron" not in told, (template, answers)
        pressed += len(ids)
    assert pressed > 50
    assert await place.rows() == before


async def test_ids_of_something_else_are_nothing_even_to_those_who_may(place: Place) -> None:
    """A job's id at a draft's button and the other way round, and drafts in a stage that is not its own."""
    drafts, job_id = place.drafts, place.job.job_id
    tries = [
        (place.world.member, cards.cancel_id(drafts[DraftStage.QUOTED])),
        (place.world.member, approval_card.ask_id(job_id)),
        (place.world.other, approval_card.ask_id(drafts[DraftStage.QUOTED])),
        (place.world.other, cards.confirm_id(job_id)),
        (place.world.member, cards.confirm_id(drafts[DraftStage.ASKED])),
        (place.world.member, cards.drop_id(drafts[DraftStage.ASKED])),
        (place.world.other, cards.drop_id(job_id)),
        *(
            (place.world.staff, decide(draft_id))
            for decide in (approval_card.approve_id, approval_card.deny_id)
            for draft_id in (job_id, drafts[DraftStage.QUOTED], drafts[DraftStage.REFUSED], "z" * 20)
        ),
    ]
    before = await place.rows()
    for place.staff, custom_id in tries:
        (told,) = await place.press(custom_id)
        assert told, custom_id
        assert "Something went wrong" not in told, (custom_id, told)
    assert await place.rows() == before


# Two presses in the same instant


async def entries(world: World, table: sa.Table, **where: str) -> int:
    wanted = [table.c[column] == value for column, value in where.items()]
    async with world.database.read() as connection:
        return await connection.scalar(sa.select(sa.func.count()).select_from(table).where(*wanted)) or 0


async def test_two_who_cancel_a_job_at_once_cancel_it_once(place: Place) -> None:
    world, card = place.world, await place.world.card_message(place.job)
    presses = [(world.member, "Cancel"), (world.staff, "Cancel"), (world.member, "Cancel")]
    shown = world.env.backend.get_message(world.channel.id, card.id)
    told = [result.response.content for result in await press_at_once(world, shown, *presses)]
    assert sorted("is cancelled" in one for one in told) == [False, False, True]
    assert sum("is over already: cancelled" in one for one in told) == 2
    assert await entries(world, schema.ledger, job_id=place.job.job_id, kind="release") == 1
    assert (await world.store.get(place.job.job_id)).stage is Stage.CANCELLED


async def test_who_asks_twice_at_once_asks_once(place: Place) -> None:
    world = place.world
    room = next(channel for name, channel in world.guild.channels.items() if name == "staff-room")
    asked = len(room.history())
    await world.ask("video-admin quota set", by=world.staff, amount="0", member=world.other)
    refused = await world.other.slash(world.channel, "video create", prompt="A kite")
    presses = press_at_once(world, refused.response, *[(world.other, "Ask for ≈$0.50")] * 3)
    await world.time.move_until(_run(presses))
    later = world.time.now() + 2 * dt.timedelta(seconds=LOOK_SECONDS)
    await world.until(lambda: world.time.now() > later)
    assert len(room.history()) == asked + 1
    assert await entries(world, schema.drafts, stage="asked") == 2


async def test_two_who_deny_at_once_deny_once(place: Place) -> None:
    world = place.world
    room = next(channel for name, channel in world.guild.channels.items() if name == "staff-room")
    await world.until(room.history)
    (request,) = room.history()
    custom_id = approval_card.deny_id(place.drafts[DraftStage.ASKED])
    assert custom_id in str([part.to_dict() for part in request.components])
    place.staff = world.staff
    told = await place.press(custom_id, custom_id, custom_id)
    assert sorted("already" in one for one in told) == [False, True, True]
    assert await entries(world, schema.acts, act="deny") == 1


async def test_who_drops_a_quote_twice_at_once_may_not_confirm_it(place: Place) -> None:
    place.staff = place.world.other
    draft_id = place.drafts[DraftStage.QUOTED]
    drop = cards.drop_id(draft_id)
    *_, told = await place.press(drop, drop, cards.confirm_id(draft_id))
    assert "was cancelled" in told
    assert await entries(place.world, schema.jobs, model="apixo/sora-2-pro") == 0


# Forms and choices

OFFERS = [
    "",
    "|",
    "apixo/sora-2|",
    "apixo/sora-2|-1",
    "apixo/sora-2|11",
    f"apixo/sora-2|{'9' * 5000}",
    "|10",
    "x" * 200,
]
PROMPTS = ["", "x" * 10_001]


async def test_a_form_with_values_it_never_offered_orders_nothing(place: Place) -> None:
    world = place.world
    message = await world.other.send(world.channel, "look", attachments=[("a.png", picture())])
    place.staff = world.other
    before = len(await world.jobs(of=world.other))
    forms = [
        *([_prompt("A kite"), _offer(offer)] for offer in OFFERS),
        *([_prompt(prompt), _offer("apixo/sora-2|10")] for prompt in PROMPTS),
        [_prompt("A kite")],
        [_prompt("A kite"), {"type": 3, "custom_id": "offer", "values": []}],
        [],
    ]
    for controls in forms:
        world.time.jump(seconds=2)
        shown = await world.other.context_menu(world.channel, "Animate image", message)
        assert shown.modal is not None
        data = {
            "custom_id": shown.modal["custom_id"],
            "components": [{"type": 18, "component": control} for control in controls],
        }
        told = answered(world, await send(world, place, InteractionType.MODAL_SUBMIT, data))
        assert told, controls
        assert "Something went wrong" not in told, (controls, told)
        assert len(await world.jobs(of=world.other)) == before, (controls, told)


def _prompt(value: str) -> dict[str, Any]:
    return {"type": 4, "custom_id": "prompt", "value": value}


def _offer(value: str) -> dict[str, Any]:
    return {"type": 3, "custom_id": "offer", "values": [value]}


async def test_a_choice_that_is_not_offered_is_refused(place: Place) -> None:
    """As after an update: Discord may show an older form of a command for a while."""
    world, tried = place.world, 0
    place.staff = world.staff
    before = await place.rows()
    for path, options in commands(registered_by(world)):
        for option in options:
            if option.get("choices"):
                world.time.jump(seconds=2)
                given = [{"type": option["type"], "name": option["name"], "value": "diagonal"}]
                data = command_data(world, path, given)
                record = await send(world, place, InteractionType.APPLICATION_COMMAND, data)
                assert "Discord still shows an older form of this command" in answered(world, record), path
                tried += 1
    assert tried >= 7
    assert await place.rows() == before
