"""A message that begins with the bot's own mention is an order; nothing else is."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from simcord.backend import serializers

from bot.models import Mode, Stage
from tests.acting import channel_without
from tests.world import World, open_world, picture

FOX = "A fox runs"


def mention(world: World) -> str:
    return world.app.bot.user.mention


async def say(world: World, content: str, *pictures: bytes, channel: Any = None) -> Any:
    files = [(f"{number}.png", data) for number, data in enumerate(pictures)]
    return await world.member.send(channel or world.channel, content, attachments=files)


async def test_a_mention_and_a_prompt_become_a_clip(world: World) -> None:
    await say(world, f"{mention(world)} {FOX}")
    await world.settled()
    job = await world.job()
    assert (job.request.prompt, job.request.mode, job.stage) == (FOX, Mode.TEXT, Stage.DONE)
    assert (job.request.model, job.request.seconds, job.request.shape) == ("apixo/sora-2", 10, "landscape")
    (clip,) = world.answers()
    assert clip.mentions[0].id == world.member.id


async def test_a_mention_with_a_picture_animates_it_in_its_own_shape(world: World) -> None:
    await say(world, f"<@!{world.app.bot.user.id}>\n  {FOX}  ", picture(360, 640))
    await world.settled()
    job = await world.job()
    assert (job.request.prompt, job.request.mode, job.request.shape) == (FOX, Mode.IMAGE, "portrait")


async def test_of_several_pictures_the_first_is_taken_and_the_card_says_so(world: World) -> None:
    await say(world, f"{mention(world)} {FOX}", picture(360, 640), picture(), picture())
    await world.settled()
    assert (await world.job()).request.shape == "portrait"
    assert "The first of 3 pictures was taken." in await world.card()


async def test_a_reply_that_begins_with_the_mention_is_an_order(world: World) -> None:
    message = await world.other.send(world.channel, "What shall we make?")
    await world.member.send(world.channel, f"{mention(world)} {FOX}", reply_to=message)
    assert (await world.job()).request.prompt == FOX
    await world.settled()


async def test_what_does_not_begin_with_the_mention_is_no_order(world: World) -> None:
    (own_role,) = [role for role in world.guild.me.roles if not role.is_default()]
    for content in (
        f"Look, {mention(world)} {FOX}",
        f"{own_role.mention} {FOX}",
        f"@everyone {FOX}",
        f"`{mention(world)}` {FOX}",
        f"<@{world.other.id}> {mention(world)} {FOX}",
        FOX,
    ):
        await say(world, content, picture())
    assert await world.jobs() == []
    assert world.answers() == []


async def test_the_ping_of_a_reply_is_no_order(world: World) -> None:
    await say(world, f"{mention(world)} {FOX}")
    await world.settled()
    await world.member.send(world.channel, "Nice one!", reply_to=world.answers()[0])
    assert len(await world.jobs()) == 1


async def test_an_edit_is_no_order(world: World) -> None:
    message = await say(world, "Never mind")
    await world.member.edit(message, f"{mention(world)} {FOX}")
    ordered = await say(world, f"{mention(world)} {FOX}")
    await world.member.edit(ordered, f"{mention(world)} another fox")
    assert [job.request.prompt for job in await world.jobs()] == [FOX]
    await world.settled()


async def test_bots_webhooks_and_direct_messages_order_nothing(world: World) -> None:
    robot = world.guild.add_member(world.env.create_user("robot", bot=True))
    await robot.send(world.channel, f"{mention(world)} {FOX}")
    await world.guild.create_webhook(world.channel).send(f"{mention(world)} {FOX}")
    await world.member.send_dm(f"{mention(world)} {FOX}")
    for person in (world.member, robot):
        assert await world.jobs(of=person) == []
    assert [message for message in world.posts() if message.author.id == world.app.bot.user.id] == []


async def test_a_message_that_discord_delivers_twice_is_one_job(world: World) -> None:
    message = await say(world, f"{mention(world)} {FOX}")
    backend = world.env.backend
    stored = backend.get_message(world.channel.id, message.id)
    for _ in range(2):
        backend.emit("MESSAGE_CREATE", dict(serializers.message_payload(backend, stored)))
        await world.env.settle()
    await world.settled()
    assert len(await world.jobs()) == 1
    assert len(world.gateway.submitted) == 1
    assert len([post for post in world.posts() if post.components]) == 1


async def test_a_bare_mention_is_answered_with_what_is_missing(world: World) -> None:
    await say(world, mention(world))
    (refusal,) = world.answers()
    assert "The prompt is empty." in refusal.content


async def test_a_refusal_pings_only_the_person_and_goes_after_30_seconds(world: World) -> None:
    message = await say(world, f"{mention(world)} @everyone <@{world.other.id}> " + "x" * 1900)
    await world.settled()
    before = len(world.answers())
    await say(world, mention(world))
    refusal = world.answers()[-1]
    assert message.id != refusal.reference.message_id
    assert [user.id for user in refusal.mentions] == [world.member.id]
    assert not refusal.mention_everyone
    await world.env.advance_time(29)
    assert len(world.answers()) == before + 1
    await world.env.advance_time(2)
    assert len(world.answers()) == before


async def test_a_refusal_with_a_button_stays_for_15_minutes(tmp_path: Path) -> None:
    async with open_world(tmp_path, default_user_monthly_limit="0.40") as world:
        room = world.guild.create_text_channel("staff-room")
        await world.ask("video-admin staff-channel", by=world.staff, channel=room)
        await say(world, f"{mention(world)} {FOX}")
        (refusal,) = [post for post in world.posts() if post.author.bot]
        assert refusal.components
        await world.env.advance_time(14 * 60)
        assert refusal.id in [post.id for post in world.posts()]
        await world.env.advance_time(61)
        assert refusal.id not in [post.id for post in world.posts()]


async def test_a_server_that_may_not_order_is_told_so(world: World) -> None:
    world.env.create_guild("Another")
    await say(world, f"{mention(world)} {FOX}")
    (refusal,) = world.answers()
    assert "ALLOWED_SERVERS" in refusal.content
    assert await world.jobs() == []


@pytest.mark.parametrize(
    ("permission", "title"),
    [("attach_files", "Attach Files"), ("read_message_history", "Read Message History")],
)
async def test_a_missing_permission_is_named(world: World, permission: str, title: str) -> None:
    channel = channel_without(world, permission)
    await say(world, f"{mention(world)} {FOX}", channel=channel)
    refusal = channel.history()[-1]
    assert f"I lack **{title}**." in refusal.content
    assert [user.id for user in refusal.mentions] == [world.member.id]
    assert await world.jobs() == []


async def test_where_the_bot_may_not_reply_the_refusal_is_a_post_of_its_own(world: World) -> None:
    # Discord takes no reply from who may not read the history: code 160002.
    world.env.inject_error("POST", "/channels/*/messages", status=400, code=160002)
    await say(world, mention(world))
    (refusal,) = world.answers()
    assert refusal.reference is None
    assert refusal.content.startswith(f"<@{world.member.id}> The prompt is empty.")


async def test_a_mention_in_a_thread_is_an_order_there(world: World) -> None:
    world.env.backend.create_thread(world.channel.id, "a thread", world.member.id)
    await world.env.settle()
    (thread,) = world.channel.threads
    await say(world, f"{mention(world)} {FOX}", channel=thread)
    await world.settled()
    assert (await world.job()).channel_id == thread.id
    assert "your clip is ready" in thread.history()[-1].content


async def test_where_the_bot_may_not_write_it_is_silent(world: World) -> None:
    channel = channel_without(world, "send_messages")
    await say(world, f"{mention(world)} {FOX}", channel=channel)
    assert len(channel.history()) == 1
    assert await world.jobs() == []


async def test_a_refusal_that_discord_does_not_take_is_no_error(world: World) -> None:
    world.env.inject_error("POST", "/channels/*/messages", status=400, code=50035, times=None)
    await say(world, mention(world))
    assert world.answers() == []


async def test_an_unexpected_error_gives_a_reference_and_is_logged_whole(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_world(tmp_path / "data") as world:
        with sqlite3.connect(world.app.folder.database) as database:
            database.execute("DROP TABLE drafts")
        database.close()
        await say(world, f"{mention(world)} a secret plan")
        (answer,) = world.answers()
        assert answer.content.startswith("Something went wrong in the bot")
        assert "drafts" not in answer.content
        reference = answer.content.split("`")[1]
        (record,) = [record for record in caplog.records if reference in record.getMessage()]
        assert record.exc_info is not None
        assert "secret plan" not in record.getMessage()
