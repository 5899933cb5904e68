"""`/video-admin` timezone, staff-channel, approver, confirm-above and settings, as staff use them."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from bot.models import Act
from storage.audit import ActStore
from tests.acting import CHEAP, channel_without, world_with
from tests.world import SteppedTime, World, open_world

DAY_BEFORE_SPRING = dt.datetime(2026, 3, 28, 12, 0, tzinfo=dt.UTC)


async def staff(world: World, command: str, **options: Any) -> str:
    return await world.ask(f"video-admin {command}", by=world.staff, **options)


async def acts(world: World, server_id: int | None = None) -> list[Act]:
    return await ActStore(world.database).page(server_id or world.guild.id)


def stamp(moment: dt.datetime) -> str:
    return f"<t:{int(moment.timestamp())}:"


# The time zone


async def test_months_turn_in_the_zone_of_the_server(world: World) -> None:
    assert stamp(dt.datetime(2026, 12, 1, tzinfo=dt.UTC)) in await world.ask("quota show")

    told = await staff(world, "timezone", zone="america/new york", reason="We work there")

    assert "turn in `America/New_York` now" in told
    turn = dt.datetime(2026, 12, 1, 5, tzinfo=dt.UTC)
    assert stamp(turn) in told
    assert stamp(turn) in await world.ask("quota show")


async def test_a_day_of_twenty_three_hours_turns_at_midnight_of_the_server(tmp_path: Path) -> None:
    time = SteppedTime(DAY_BEFORE_SPRING)
    async with open_world(tmp_path / "data", time=time) as world:
        await staff(world, "quota set", amount="5", member=world.member, period="day")
        await staff(world, "timezone", zone="Europe/Berlin")
        assert stamp(dt.datetime(2026, 3, 28, 23, tzinfo=dt.UTC)) in await world.ask("quota show")
        time.jump(hours=12)  # the clocks go forward in this night
        assert stamp(dt.datetime(2026, 3, 29, 22, tzinfo=dt.UTC)) in await world.ask("quota show")


async def test_another_zone_counts_what_was_ordered_where_it_falls(tmp_path: Path) -> None:
    """Ordered at 02:00 UTC of the first, that is the evening of the last in New York."""
    time = SteppedTime(dt.datetime(2026, 12, 1, 2, 0, tzinfo=dt.UTC))
    async with world_with(tmp_path, CHEAP, time=time) as world:
        await world.create(prompt="A fox")
        await world.settled()
        time.jump(hours=4)
        assert "Spent: $0.30" in await world.ask("quota show")
        await staff(world, "timezone", zone="America/New_York")
        assert "Spent: $0.00" in await world.ask("quota show")
        await staff(world, "timezone", zone="UTC")
        assert "Spent: $0.30" in await world.ask("quota show")


@pytest.mark.parametrize("zone", ["Berlin", "CET+1", "../etc/passwd", "Mars/Olympus", "localtime", " "])
async def test_what_is_no_zone_is_refused_with_an_example(world: World, zone: str) -> None:
    assert "like `Europe/Berlin`" in await staff(world, "timezone", zone=zone)
    assert await acts(world) == []


async def test_zones_are_offered_by_any_part_of_their_name(world: World) -> None:
    async def offered(typed: str) -> list[str]:
        found = await world.staff.autocomplete(world.channel, "video-admin timezone", "zone", typed)
        return [choice["value"] for choice in found]

    assert await offered("new yo") == ["America/New_York"]
    assert (await offered("BERLIN"))[0] == "Europe/Berlin"
    assert len(await offered("")) == 25
    assert await offered("nowhere") == []


# The staff channel and the approvers


async def test_a_staff_channel_in_which_the_bot_cannot_work_is_refused(world: World) -> None:
    closed = channel_without(world, "send_messages", "attach_files")

    told = await staff(world, "staff-channel", channel=closed)

    assert told.startswith(f"I cannot work in <#{closed.id}>: I lack **Send Messages** and **Attach Files**.")
    assert "**Staff channel:** none" in await staff(world, "settings")


async def test_a_staff_channel_is_set_and_cleared(world: World) -> None:
    told = await staff(world, "staff-channel", channel=world.channel)
    assert f"go to <#{world.channel.id}> now. Everyone can read that channel" in told
    assert f"**Staff channel:** <#{world.channel.id}>" in await staff(world, "settings")

    assert "no staff channel any more" in await staff(world, "staff-channel")
    assert "**Staff channel:** none" in await staff(world, "settings")


async def test_an_approver_role_is_set_and_cleared(world: World) -> None:
    leads = world.guild.create_role("Leads")
    assert f"<@&{leads.id}> may decide" in await staff(world, "approver", role=leads)
    assert f"**Approvers:** <@&{leads.id}> and those who" in await staff(world, "settings")
    assert "Only those who may manage the server" in await staff(world, "approver")
    assert "**Approvers:** those who" in await staff(world, "settings")


async def test_everyone_cannot_be_the_approvers(world: World) -> None:
    assert "Everyone cannot approve" in await staff(world, "approver", role=world.guild.default_role)


# The price above which a yes is needed


async def test_staff_choose_above_which_price_a_yes_is_needed(tmp_path: Path) -> None:
    async with world_with(tmp_path, CHEAP) as world:
        assert "is ordered" in await world.create(prompt="A fox", confirms=False)

        told = await staff(world, "confirm-above", amount="$0,29")
        assert told == "Orders above $0.29 are quoted now and have to be confirmed."
        assert "is ordered" not in await world.create(prompt="A fox", confirms=False)

        await staff(world, "confirm-above", amount="0.30")
        assert "is ordered" in await world.create(prompt="A fox", confirms=False)

        assert "Every order that costs something" in await staff(world, "confirm-above", amount="0")
        assert "is ordered" not in await world.create(prompt="A fox", confirms=False)

        assert "above $2.00 (the default)" in await staff(world, "confirm-above")
        assert "is ordered" in await world.create(prompt="A fox", confirms=False)
        await world.settled()


@pytest.mark.parametrize("amount", ["-1", "NaN", "1e3", "1000000.01", "1.234", "two"])
async def test_what_is_no_amount_is_refused_with_an_example(world: World, amount: str) -> None:
    assert "like `12.50`" in await staff(world, "confirm-above", amount=amount)
    assert await acts(world) == []


# All of them


async def test_settings_outlive_a_restart_and_are_each_servers_own(world: World) -> None:
    await staff(world, "timezone", zone="Asia/Kathmandu")
    await staff(world, "confirm-above", amount="7")
    await world.restart()
    shown = await staff(world, "settings")
    assert shown.splitlines() == [
        "**Time zone:** `Asia/Kathmandu`",
        "**Staff channel:** none, so nobody can ask for more",
        "**Approvers:** those who may manage the server",
        "**Quotes to confirm:** above $7.00 a job",
        "**`auto` takes:** cheapest",
        "**Orders:** taken",
        "**Access rules:** none, so everyone here may order",
    ]

    other = world.env.create_guild("Other team")
    channel = other.create_text_channel("elsewhere")
    stranger = await other.add_member(world.env.create_user("stranger")).slash(channel, "quota show")
    assert stamp(dt.datetime(2026, 12, 1, tzinfo=dt.UTC)) in stranger.response.content
    assert await acts(world, other.id) == []


async def test_every_setting_is_written_down_with_who_when_and_why(world: World) -> None:
    await staff(world, "timezone", zone="Europe/Berlin", reason="We moved")
    await staff(world, "staff-channel", channel=world.channel)
    await staff(world, "approver", reason="Too many")
    await staff(world, "confirm-above", amount="3")
    found = [(act.act, act.what, act.reason) for act in reversed(await acts(world))]
    assert found == [
        ("timezone", "Europe/Berlin", "We moved"),
        ("staff-channel", f"<#{world.channel.id}>", ""),
        ("approver", "none", "Too many"),
        ("confirm-above", "$3.00", ""),
    ]
    assert {(act.actor_user_id, act.at) for act in await acts(world)} == {(world.staff.id, world.time.now())}


async def test_members_do_not_find_the_commands(world: World) -> None:
    assert not [name for name in world.member.available_commands(world.channel) if "admin" in name]
