"""`/video-admin access`: who may order, and where; the rules as a table, and as people meet them."""

from typing import Any

import pytest

from bot.access import refusal
from bot.models import AccessRule, RuleScope
from storage.access import MOST_RULES
from storage.audit import ActStore
from tests.acting import click
from tests.test_server_settings import staff
from tests.world import World, picture

ALICE, LEADS, CREW, HERE, THERE = 1, 20, 21, 30, 31


def allow(scope: str, subject_id: int | None) -> AccessRule:
    return AccessRule(scope=RuleScope(scope), subject_id=subject_id, allows=True)


def deny(scope: str, subject_id: int) -> AccessRule:
    return AccessRule(scope=RuleScope(scope), subject_id=subject_id, allows=False)


@pytest.mark.parametrize(
    ("rules", "refused"),
    [
        ([], None),
        # people
        ([allow("role", LEADS)], None),
        ([allow("role", CREW)], f"You need <@&{CREW}> to order here."),
        ([allow("role", CREW), allow("role", 22)], f"You need one of <@&{CREW}>, <@&22> to order here."),
        ([allow("role", CREW), allow("member", ALICE)], None),
        ([allow("member", 2)], "Only people whom staff chose may order here."),
        ([allow("member", None)], "Only people whom staff chose may order here."),
        ([deny("member", 2)], None),
        ([deny("role", CREW)], None),
        ([deny("role", LEADS)], f"Staff let nobody with <@&{LEADS}> order here."),
        ([deny("role", LEADS), allow("role", LEADS + 80)], f"Staff let nobody with <@&{LEADS}>"),
        # a member's own rule comes first
        ([deny("role", LEADS), allow("member", ALICE)], None),
        ([allow("role", LEADS), deny("member", ALICE)], "Staff do not let you order here."),
        # channels bind those who are allowed by themselves too
        ([allow("channel", HERE)], None),
        ([allow("channel", THERE)], f"Orders are taken in <#{THERE}>."),
        ([allow("channel", THERE), allow("member", ALICE)], f"Orders are taken in <#{THERE}>."),
        ([deny("channel", HERE), allow("member", ALICE)], f"No orders are taken in <#{HERE}>."),
        ([deny("channel", THERE)], None),
        ([allow("role", LEADS), allow("channel", HERE)], None),
        # an id says nothing in another scope
        ([deny("channel", ALICE), deny("role", HERE), deny("member", LEADS)], None),
    ],
)
def test_the_rules_say_who_may_order_where(rules: list[AccessRule], refused: str | None) -> None:
    told = refusal(rules, user_id=ALICE, role_ids=frozenset({LEADS}), channel_id=HERE)
    assert (told or "").startswith(refused or "")
    assert (told is None) == (refused is None)


async def order(world: World, **more: Any) -> str:
    return await world.create(prompt="A fox", **more)


async def test_only_an_allowed_role_may_order(world: World) -> None:
    crew = world.guild.create_role("Crew")
    insider = world.guild.add_member(world.env.create_user("insider"), roles=[crew])
    told = await staff(world, "access allow", role=crew)
    assert told.startswith(f"<@&{crew.id}> is allowed now.")

    for outsider in (world.member, world.staff):
        assert await order(world, by=outsider) == (
            f"You need <@&{crew.id}> to order here. Nothing was charged."
        )
    assert await world.jobs() == []
    assert "is ordered" in await order(world, by=insider)

    await staff(world, "access allow", member=world.member)
    assert "is ordered" in await order(world)
    await staff(world, "access deny", member=world.member, reason="Too loud")
    assert await order(world) == "Staff do not let you order here. Ask them. Nothing was charged."
    assert "any more" in await staff(world, "access clear", member=world.member)
    assert "You need" in await order(world)
    await staff(world, "access clear", role=crew)
    assert "is ordered" in await order(world)
    await world.settled()


async def test_orders_are_taken_in_allowed_channels_and_their_threads(world: World) -> None:
    clips = world.guild.create_text_channel("clips")
    await staff(world, "access allow", channel=clips)
    assert await order(world) == f"Orders are taken in <#{clips.id}>. Nothing was charged."
    result = await world.member.slash(clips, "video create", prompt="A fox")
    assert "is ordered" in result.response.content
    world.env.backend.create_thread(clips.id, "a thread", world.member.id)
    await world.env.settle()
    (thread,) = clips.threads
    result = await world.member.slash(thread, "video create", prompt="A fox")
    assert "is ordered" in result.response.content
    await world.settled()


async def test_a_mention_reads_neither_names_nor_channels(world: World) -> None:
    await staff(world, "access deny", channel=world.channel)
    me = world.app.bot.user
    assert me is not None
    await world.member.send(world.channel, f"<@{me.id}> A fox")
    await world.until(world.answers)
    (answer,) = world.answers()
    assert answer.content == "You may not order here; `/video create` tells you why. Nothing was charged."
    assert await world.jobs() == []


async def test_the_form_of_a_picture_is_refused_too(world: World) -> None:
    await staff(world, "access deny", role=world.guild.default_role)
    message = await world.other.send(world.channel, "look", attachments=[("fox.png", picture())])
    shown = await world.member.context_menu(world.channel, "Animate image", message)
    values = {"prompt": "It moves", "offer": ["apixo/sora-2|10"]}
    result = await world.member.submit_modal(shown, values)
    assert "order here. Nothing was charged." in result.response.content
    assert await world.jobs() == []


async def test_a_quote_is_not_confirmed_by_whom_staff_denied_since(world: World) -> None:
    await staff(world, "confirm-above", amount="0")
    quote = await world.member.slash(world.channel, "video create", prompt="A fox")
    await staff(world, "access deny", member=world.member)
    pressed = await click(world.member, quote, "Confirm")
    assert "Staff do not let you order here" in pressed.followups[0].content
    assert await world.jobs() == []


async def test_rules_outlive_a_restart_and_bind_one_server(world: World) -> None:
    other = world.env.create_guild("Other team")
    channel = other.create_text_channel("elsewhere")
    person = world.env.create_user("stranger")
    stranger, here = other.add_member(person), world.guild.add_member(person)
    await staff(world, "access deny", channel=world.channel)
    await staff(world, "access deny", member=here)
    await world.restart(allowed_servers=(world.guild.id, other.id))
    assert "No orders are taken in" in await order(world)
    result = await stranger.slash(channel, "video create", prompt="A fox")
    assert "is ordered" in result.response.content
    await world.settled()


async def test_all_rules_are_shown_with_how_they_work(world: World) -> None:
    assert (await staff(world, "access show")).startswith("There are no access rules: everyone here may")
    crew = world.guild.create_role("Crew")
    await staff(world, "access allow", role=crew)
    await staff(world, "access allow", member=world.other)
    await staff(world, "access deny", member=world.member)
    await staff(world, "access allow", channel=world.channel)
    shown = await staff(world, "access show")
    assert shown.splitlines()[:3] == [
        f"**Allowed people:** <@&{crew.id}>, <@{world.other.id}>",
        f"**Denied people:** <@{world.member.id}>",
        f"**Allowed channels:** <#{world.channel.id}>",
    ]
    assert "A member's own rule comes first" in shown
    assert "**Access rules:** 4" in await staff(world, "settings")


async def test_exactly_one_of_role_member_and_channel_is_named(world: World) -> None:
    for command in ("allow", "deny", "clear"):
        told = await staff(world, f"access {command}")
        assert told == "Name exactly one of `role`, `member` and `channel`."
    both = {"member": world.member, "channel": world.channel}
    assert "exactly one" in await staff(world, "access allow", **both)
    assert "There is no rule for" in await staff(world, "access clear", member=world.member)


async def test_a_server_has_as_many_rules_as_one_message_shows(world: World) -> None:
    for number in range(MOST_RULES):
        await staff(world, "access deny", role=world.guild.create_role(f"Role {number}"))
    told = await staff(world, "access deny", role=world.guild.create_role("One more"))
    assert told.startswith(f"A server has at most {MOST_RULES} access rules.")
    shown = await staff(world, "access show")
    assert len(shown) <= 2000
    assert shown.count("<@&") == MOST_RULES
    assert "is ordered" in await order(world)
    await world.settled()


async def test_every_rule_is_written_down_and_names_nobody(world: World) -> None:
    await staff(world, "access deny", member=world.member, reason="Too loud")
    await staff(world, "access allow", channel=world.channel)
    await staff(world, "access clear", member=world.member)
    acts = await ActStore(world.database).page(world.guild.id)
    assert [(act.act, act.about_user_id, act.what, act.reason) for act in reversed(acts)] == [
        ("access deny", world.member.id, "", "Too loud"),
        ("access allow", None, f"<#{world.channel.id}>", ""),
        ("access clear", world.member.id, "", ""),
    ]
