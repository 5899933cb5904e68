"""`/video-admin` for those whom Discord's Integrations page lets use it, who may not manage the server."""

from pathlib import Path
from typing import Any

from simcord import interactions
from simcord.backend import serializers
from simcord.enums import InteractionType
from simcord.results import InteractionResult

from bot.models import Stage
from bot.quotas import Layer, Limit, Measure
from storage.limits import LimitStore
from tests.acting import click, world_with_a_waiting_job
from tests.world import World

REFUSED = "Only those who may manage this server"


async def let_use(world: World, member: Any) -> None:
    """Let a member use `/video-admin` on Discord's Integrations page."""
    commands = await world.app.bot.tree.fetch_commands()
    world.guild.set_command_permissions(
        next(one for one in commands if one.name == "video-admin"), {member: True}
    )


async def lead(world: World) -> Any:
    """Add a member who may use `/video-admin` and nothing else of staff's."""
    member = world.guild.add_member(world.env.create_user("lead"))
    await let_use(world, member)
    return member


async def fill(world: World) -> None:
    """Make every list longer than a page."""
    for number in range(150):
        await LimitStore(world.database).set(
            world.guild.id,
            Limit(layer=Layer.ROLE, measure=Measure.MONTH, amount=number, subject=str(number)),
            what=f"number {number}",
            by=world.staff.id,
            now=world.time.now(),
        )
    for number in range(16):
        channel = world.guild.create_text_channel(f"desk-{number}")
        await world.ask("video-admin purse open", by=world.staff, amount="5", channel=channel)
    for _ in range(6):
        await world.create(prompt="A fox")
    await world.settled()


async def forged(world: World, member: Any, message: Any, custom_id: str) -> InteractionResult:
    """Press a button that a message may not have, as no client of Discord's can."""
    backend = world.env.backend
    stored = backend.get_message(message.channel_id, message.id)
    record, payload = interactions.base_payload(
        backend,
        type=InteractionType.MESSAGE_COMPONENT,
        channel_id=stored.channel_id,
        guild_id=world.guild.id,
        user_id=member.id,
        data={"custom_id": custom_id, "component_type": 2},
    )
    record.source_message_id = stored.id
    shown = dict(serializers.message_payload(backend, stored))
    backend.emit("INTERACTION_CREATE", {**payload, "message": shown})
    await world.env.settle(timeout=20)
    return InteractionResult(world.env, record)


async def test_who_used_the_command_turns_the_pages_of_its_answer(world: World) -> None:
    await fill(world)
    member = await lead(world)
    for command, onward, back in (
        ("jobs", "Older", "Newer"),
        ("audit", "Older", "Newer"),
        ("quota show", "More", "Back"),
        ("purse show", "More", "Back"),
    ):
        result = await member.slash(world.channel, f"video-admin {command}")
        first = str(result.response.components)
        turned = await click(member, result, onward)
        assert not turned.followups, (command, turned.followups)
        assert str(result.response.components) != first
        await click(member, result, back)
        assert str(result.response.components) == first


async def test_who_used_the_command_cancels_the_job_it_opened(tmp_path: Path) -> None:
    async with world_with_a_waiting_job(tmp_path) as world:
        member = await lead(world)
        job = await world.job()
        opened = await member.slash(world.channel, "video-admin jobs", job=job.job_id)
        pressed = await click(member, opened, "Cancel")
        assert f"Job `{job.job_id}` is cancelled." in pressed.response.content
        assert (await world.job()).stage is Stage.CANCELLED


async def test_after_a_quarter_of_an_hour_the_command_has_to_be_used_again(tmp_path: Path) -> None:
    async with world_with_a_waiting_job(tmp_path) as world:
        member = await lead(world)
        for _ in range(6):
            await world.create(prompt="A fox")
        job = await world.job()
        listed = await member.slash(world.channel, "video-admin jobs")
        opened = await member.slash(world.channel, "video-admin jobs", job=job.job_id)
        await world.env.advance_time(14 * 60)
        assert not (await click(member, listed, "Older")).followups
        await world.env.advance_time(61)
        assert REFUSED in (await click(member, listed, "Newer")).followups[0].content
        assert "Only the member who ordered job" in (await click(member, opened, "Cancel")).response.content
        assert (await world.job()).stage is Stage.QUEUED


async def test_a_card_is_still_for_its_member_and_staff(tmp_path: Path) -> None:
    async with world_with_a_waiting_job(tmp_path) as world:
        member = await lead(world)
        pressed = await member.click(await world.card_message(), label="Cancel")
        assert "Only the member who ordered job" in pressed.response.content
        assert (await world.job()).stage is Stage.QUEUED


async def test_no_other_private_answer_is_a_key_to_what_staff_see(world: World) -> None:
    for _ in range(6):
        await world.create(prompt="A fox")
    await world.settled()
    mine = await world.member.slash(world.channel, "video list")
    shown = str(mine.response.components)
    for custom_id in ("staff:jobs:1:::", "staff:acts:0:::", "staff:limits:0", "staff:purses:0"):
        pressed = await forged(world, world.member, mine.response, custom_id)
        assert not pressed.acknowledged
        assert not pressed.followups
        assert str(mine.response.components) == shown


async def test_a_private_answer_is_a_key_for_nobody_else(world: World) -> None:
    for _ in range(6):
        await world.create(prompt="A fox")
    await world.settled()
    listed = await world.staff.slash(world.channel, "video-admin jobs")
    pressed = await forged(world, world.member, listed.response, "staff:jobs:1:::")
    assert REFUSED in pressed.followups[0].content
