"""A role or channel deleted later keeps its history and loses its limit, and staff are told."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from bot.models import Act
from storage.audit import ActStore
from tests.acting import CHEAP, world_with
from tests.test_server_settings import staff
from tests.world import World, open_world


@pytest.fixture
async def desk(world: World) -> Any:
    """Open a staff channel."""
    desk = world.guild.create_text_channel("staff")
    await staff(world, "staff-channel", channel=desk)
    return desk


async def bots_acts(world: World, server_id: int | None = None) -> list[Act]:
    """What the bot itself did, oldest first."""
    acts = await ActStore(world.database).page(server_id or world.guild.id, limit=100)
    return [act for act in reversed(acts) if act.is_bots]


async def lost(world: World, count: int) -> list[Act]:
    """Wait for so many acts of the bot."""

    async def there() -> bool:
        return len(await bots_acts(world)) >= count

    await world.until(there)
    return await bots_acts(world)


def delete_role(world: World, role: Any) -> None:
    world.env.backend.delete_role(world.guild.id, role.id)


def delete_channel(world: World, channel: Any) -> None:
    world.env.backend.delete_channel(channel.id)


def arrive(world: World) -> None:
    """Say that the server is there, as discord.py does at a start: SimCord's servers come too late for it."""
    world.app.bot.dispatch("guild_available", world.app.bot.get_guild(world.guild.id))


def notes(channel: Any) -> list[str]:
    return [message.content for message in channel.history()]


async def test_a_deleted_role_loses_all_that_hung_on_it_and_staff_read_one_note(
    world: World, desk: Any
) -> None:
    crew, leads = world.guild.create_role("Crew `x` <@1>"), world.guild.create_role("Leads")
    await staff(world, "quota set", amount="5", role=crew)
    await staff(world, "quota set", amount="2", role=crew, period="day")
    await staff(world, "quota set", amount="7", role=leads)
    await staff(world, "access deny", role=crew)
    await staff(world, "approver", role=crew)

    delete_role(world, crew)
    acts = await lost(world, 4)
    await world.until(lambda: notes(desk))

    name = "role `Crew \u02cbx\u02cb <@1>`"
    (note,) = notes(desk)
    assert note.splitlines()[0] == f"Deleted was: {name}. What went with it:"
    assert set(note.splitlines()[1:-1]) == {
        f"- {name}: its limit of $5.00 a month",
        f"- {name}: its limit of $2.00 a day",
        f"- {name}: its access rule (deny)",
        f"- {name}: its right to decide about requests",
    }
    assert note.splitlines()[-1] == "-# History and ledger keep everything."
    assert [act.act for act in acts] == ["quota clear", "quota clear", "access clear", "approver"]
    assert {act.reason for act in acts} == {"the role was deleted"}
    assert acts[2].what == f"{name} ({crew.id}): deny"

    shown = await staff(world, "settings")
    assert "**Approvers:** those who" in shown
    assert "**Access rules:** none" in shown
    shown = await staff(world, "quota show")
    assert "$7.00" in shown
    assert "$5.00" not in shown


async def test_a_deleted_channel_loses_limit_purse_and_rule_and_keeps_its_history(
    tmp_path: Path,
) -> None:
    async with world_with(tmp_path, CHEAP) as world:
        desk = world.guild.create_text_channel("staff")
        await staff(world, "staff-channel", channel=desk)
        await staff(world, "quota set", amount="50", channel=world.channel)
        await staff(world, "purse open", amount="10", channel=world.channel)
        await staff(world, "access allow", channel=world.channel)
        await world.create(prompt="A fox")
        await world.settled()
        spent = await world.sums()

        delete_channel(world, world.channel)
        acts = await lost(world, 4)
        await world.until(lambda: notes(desk))

        (note,) = notes(desk)
        assert "- channel `videos`: its limit of $50.00 a month" in note
        assert "- channel `videos`: its purse of $10.00; what was spent from it stays counted" in note
        assert "**Orders are paused here: the last rule that allowed channels went" in note
        assert [act.act for act in acts] == ["pause", "quota clear", "purse close", "access clear"]
        assert spent == await world.sums() == (300_000, 0)
        result = await world.member.slash(desk, "video create", prompt="A fox")
        assert "the last rule that allowed channels went" in result.response.content
        await world.staff.slash(desk, "video-admin resume")
        result = await world.member.slash(desk, "video create", prompt="A fox")
        assert "is ordered" in result.response.content
        await world.settled()


async def test_a_deleted_staff_channel_is_in_the_audit_log_alone(world: World, desk: Any) -> None:
    await staff(world, "quota set", amount="50", channel=desk)
    delete_channel(world, desk)
    acts = await lost(world, 2)
    assert [act.act for act in acts] == ["quota clear", "staff-channel"]
    assert "**Staff channel:** none" in await staff(world, "settings")
    assert notes(world.channel) == []


async def test_what_nothing_hung_on_is_deleted_in_silence(world: World, desk: Any) -> None:
    role = world.guild.create_role("Crew")
    delete_role(world, role)
    delete_channel(world, world.guild.create_text_channel("idle"))
    await world.settled()
    assert notes(desk) == []
    assert await bots_acts(world) == []


async def test_without_a_staff_channel_the_note_waits_for_one(world: World) -> None:
    role = world.guild.create_role("Crew")
    await staff(world, "quota set", amount="5", role=role)
    delete_role(world, role)
    assert [act.act for act in await lost(world, 1)] == ["quota clear"]
    assert notes(world.channel) == []
    desk = world.guild.create_text_channel("staff")
    await staff(world, "staff-channel", channel=desk)
    await world.until(lambda: notes(desk))
    (note,) = notes(desk)
    assert note.startswith("Deleted was: role `Crew`.")


async def test_a_note_that_discord_did_not_take_is_posted_later_and_once(world: World, desk: Any) -> None:
    role = world.guild.create_role("Crew")
    await staff(world, "quota set", amount="5", role=role)
    path = f"/channels/{desk.id}/messages"
    world.env.inject_error("POST", path, status=403, code=50013, times=3)
    began = world.time.now()

    delete_role(world, role)
    await world.until(lambda: notes(desk))

    assert dt.timedelta(minutes=7) <= world.time.now() - began < dt.timedelta(minutes=15)
    await world.restart()
    await world.settled()
    assert len(notes(desk)) == 1
    posted = [one for one in world.env.http_requests if one.path == path and one.method == "POST"]
    assert len({one.json["nonce"] for one in posted}) == 1


async def test_a_note_that_a_crash_left_is_posted_at_the_next_start(tmp_path: Path) -> None:
    async with open_world(tmp_path / "data", started=False) as world:  # nothing posts yet
        desk = world.guild.create_text_channel("staff")
        await staff(world, "staff-channel", channel=desk)
        role = world.guild.create_role("Crew")
        await staff(world, "quota set", amount="5", role=role)
        delete_role(world, role)
        await lost(world, 1)
        assert notes(desk) == []
        for _ in range(2):
            await world.restart()
            await world.until(lambda: notes(desk))
            await world.settled()
            assert len(notes(desk)) == 1


async def test_two_notes_have_nonces_of_their_own(world: World, desk: Any) -> None:
    for name in ("Crew", "Leads"):
        role = world.guild.create_role(name)
        await staff(world, "quota set", amount="5", role=role)
        delete_role(world, role)
        count = len(notes(desk)) + 1
        await world.until(lambda count=count: len(notes(desk)) == count)
    path = f"/channels/{desk.id}/messages"
    posted = [one for one in world.env.http_requests if one.path == path and one.method == "POST"]
    assert len({one.json["nonce"] for one in posted}) == 2


async def test_what_was_deleted_while_the_bot_was_away_is_found_at_its_start(world: World, desk: Any) -> None:
    crew, stays = world.guild.create_role("Crew"), world.guild.create_role("Stays")
    gone = world.guild.create_text_channel("gone")
    await staff(world, "quota set", amount="5", role=crew)
    await staff(world, "quota set", amount="6", role=stays)
    await staff(world, "access allow", role=crew)
    await staff(world, "purse open", amount="10", channel=gone)
    await staff(world, "purse open", amount="20", channel=world.channel)

    def meanwhile() -> None:
        backend = world.env.backend
        listening = backend.subscribers[:]
        backend.subscribers.clear()  # a process that has ended hears nothing
        delete_role(world, crew)
        delete_channel(world, gone)
        backend.subscribers.extend(listening)

    await world.restart(meanwhile=meanwhile)
    arrive(world)
    acts = await lost(world, 4)
    await world.until(lambda: notes(desk))

    (note,) = notes(desk)
    away = "that went while I was away"
    assert note.startswith(f"Deleted were: a role {away}, a channel {away}. What went with it:")
    assert "**Orders are paused here: the last rule that allowed people went" in note
    assert [act.act for act in acts] == ["pause", "quota clear", "access clear", "purse close"]
    assert str(crew.id) in acts[1].what
    assert "the last rule that allowed people went" in await world.create(prompt="A fox")
    assert "$6.00" in await staff(world, "quota show")

    await world.restart()
    arrive(world)
    await world.settled()
    assert len(await bots_acts(world)) == 4
    assert len(notes(desk)) == 1


@pytest.mark.usefixtures("desk")
async def test_what_discord_merely_left_out_is_kept(world: World) -> None:
    """A server that comes without a channel, though Discord still has it."""
    await staff(world, "purse open", amount="10", channel=world.channel)
    guild = world.app.bot.get_guild(world.guild.id)
    assert guild is not None
    left_out = guild.get_channel(world.channel.id)
    assert left_out is not None
    guild._remove_channel(left_out)  # noqa: SLF001
    arrive(world)
    await world.settled()
    assert await bots_acts(world) == []


async def test_another_servers_limits_stay(world: World, desk: Any) -> None:
    other = world.env.create_guild("Other team")
    crew = world.guild.create_role("Crew")
    await staff(world, "quota set", amount="5", role=crew)
    before = await ActStore(world.database).page(other.id)
    delete_role(world, crew)
    await lost(world, 1)
    await world.until(lambda: notes(desk))
    assert await ActStore(world.database).page(other.id) == before == []
