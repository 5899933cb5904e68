"""`/video-admin pause` and `resume`: of a server by its staff, of a gateway or model by the operator."""

from pathlib import Path
from typing import Any

import pytest

from storage.audit import ActStore
from tests.acting import ONE_AT_A_TIME, click, make_operator, world_with, world_with_a_waiting_job
from tests.test_server_settings import staff
from tests.world import World, open_world

PRO = "apixo/sora-2-pro"
REASON = "Budget review until <@1> `Monday`"


async def offered(world: World, command: str, option: str, typed: str = "") -> list[str]:
    found = await world.staff.autocomplete(world.channel, f"video-admin {command}", option, typed)
    return [choice["value"] for choice in found]


# A server


async def test_a_paused_server_takes_no_orders_and_says_why_in_private(world: World) -> None:
    told = await staff(world, "pause", reason=REASON)
    assert told.startswith(
        "Orders in this server are paused now: `Budget review until <@1> \u02cbMonday\u02cb`."
    )

    for told in (await world.create(prompt="A fox"), await world.create(prompt="A fox", by=world.staff)):
        assert told == (
            f"Orders in this server are paused since <t:{int(world.time.now().timestamp())}:R>: "
            "`Budget review until <@1> \u02cbMonday\u02cb`. "
            "Staff can resume them with `/video-admin resume`. Nothing was charged."
        )
    assert await world.jobs() == []
    assert "**Orders:** paused since" in await staff(world, "settings")


async def test_a_mention_in_a_paused_server_reads_no_reason(world: World) -> None:
    await staff(world, "pause", reason=REASON)
    me = world.app.bot.user
    assert me is not None
    await world.member.send(world.channel, f"<@{me.id}> A fox")
    await world.until(world.answers)
    (answer,) = world.answers()
    assert answer.content == "Orders in this server are paused. Nothing was charged."


async def test_what_is_ordered_already_goes_on(tmp_path: Path) -> None:
    async with world_with_a_waiting_job(tmp_path) as world:
        await staff(world, "pause", reason="Enough")
        await world.settled()
        assert [job.stage for job in [*await world.jobs(), *await world.jobs(of=world.other)]] == [
            "done",
            "done",
        ]


async def test_a_quote_is_not_confirmed_while_its_server_is_paused(world: World) -> None:
    await staff(world, "confirm-above", amount="0")
    quote = await world.member.slash(world.channel, "video create", prompt="A fox")
    await staff(world, "pause", reason="Enough")
    pressed = await click(world.member, quote, "Confirm")
    assert "are paused since" in pressed.followups[0].content
    assert await world.jobs() == []

    await staff(world, "resume")
    await click(world.member, quote, "Confirm")
    assert len(await world.jobs()) == 1
    await world.settled()


async def test_a_pause_outlives_a_restart_until_staff_resume(world: World) -> None:
    await staff(world, "pause", reason="Enough")
    await staff(world, "pause", reason="More than enough")
    await world.restart()
    assert "`More than enough`" in await world.create(prompt="A fox")

    told = await staff(world, "resume", reason="New money")
    assert told.startswith("Orders in this server are taken again. They were paused since")
    assert "is ordered" in await world.create(prompt="A fox")
    assert await staff(world, "resume") == "This server is not paused."
    await world.restart()
    assert "is ordered" in await world.create(prompt="A fox")
    await world.settled()

    acts = [(act.act, act.what, act.reason) for act in await ActStore(world.database).page(world.guild.id)]
    assert acts == [
        ("resume", "this server", "New money"),
        ("pause", "this server", "More than enough"),
        ("pause", "this server", "Enough"),
    ]


async def test_another_server_goes_on(world: World) -> None:
    other = world.env.create_guild("Other team")
    channel = other.create_text_channel("elsewhere")
    await world.restart(allowed_servers=(world.guild.id, other.id))
    await staff(world, "pause", reason="Enough")
    stranger = other.add_member(world.env.create_user("stranger"))
    result = await stranger.slash(channel, "video create", prompt="A fox")
    assert "is ordered" in result.response.content
    await world.settled()


async def test_a_blank_reason_is_none(world: World) -> None:
    assert "Say in a few words why" in await staff(world, "pause", reason=" \u200b ")
    assert "is ordered" in await world.create(prompt="A fox")
    await world.settled()


# A gateway or a model, everywhere


@pytest.mark.parametrize("named", [{"gateway": "apixo"}, {"model": PRO}])
async def test_staff_who_are_not_the_operator_pause_nothing_beyond_their_server(
    world: World, named: dict[str, Any]
) -> None:
    assert (await staff(world, "pause", reason="Enough", **named)).startswith("Only the bot's operator")
    assert (await staff(world, "resume", **named)).startswith("Only the bot's operator")
    for command in ("pause", "resume"):
        assert await offered(world, command, *named) == []
    assert "is ordered" in await world.create(prompt="A fox", model=PRO)
    await world.settled()


async def test_a_paused_model_is_shown_avoided_and_refused_by_name(world: World) -> None:
    make_operator(world, world.staff)
    assert await offered(world, "pause", "model", "APIXO/sora-2-p") == [PRO]
    await staff(world, "pause", reason="Too dear", model=PRO)

    listed = await world.ask("video models")
    assert "Not now: it is paused since" in listed
    assert "`Too dear`. The bot's operator can resume it." in listed
    models = await world.member.autocomplete(world.channel, "video create", "model", "")
    values = [choice["value"] for choice in models]
    assert "apixo/sora-2" in values
    assert PRO not in values
    told = await world.create(prompt="A fox", model=PRO)
    assert told.startswith(f"{PRO} cannot be ordered: it is paused since")
    assert "Instead: apixo/sora-2" in told
    assert "is ordered" in await world.create(prompt="A fox")
    await world.settled()


async def test_without_the_first_model_the_next_one_is_the_default(tmp_path: Path) -> None:
    async with open_world(tmp_path / "data", default_model=None) as world:
        make_operator(world, world.staff)
        await staff(world, "pause", reason="Too dear", model="apixo/veo-3-1-fast")
        await world.create(prompt="A fox")
        assert (await world.job()).request.model == "apixo/veo-3-1-quality"
        await world.settled()


async def test_a_paused_gateway_takes_no_orders_over_a_restart_but_its_waiting_jobs_go_on(
    tmp_path: Path,
) -> None:
    async with world_with(tmp_path, ONE_AT_A_TIME) as world:
        make_operator(world, world.staff)
        await world.create(by=world.other, prompt="The first in line")
        await world.create(prompt="A fox")
        assert await offered(world, "pause", "gateway") == ["apixo"]
        told = await staff(world, "pause", reason="Prices", gateway="apixo")
        assert told.startswith("The gateway `apixo` is, in every server, paused now: `Prices`.")
        await world.restart()
        make_operator(world, world.staff)
        assert "Nothing else can be ordered now" in await world.create(prompt="Another")
        assert "its gateway is paused since" in await world.ask("video models")
        await world.settled()
        assert (await world.job()).stage == "done"

        assert await offered(world, "resume", "gateway") == ["apixo"]
        assert "taken again" in await staff(world, "resume", gateway="apixo")
        assert await offered(world, "resume", "gateway") == []
        assert "is ordered" in await world.create(prompt="Another")
        await world.settled()


async def test_what_is_unknown_twice_named_or_not_paused_is_refused(world: World) -> None:
    make_operator(world, world.staff)
    assert await staff(world, "pause", reason="x", gateway="`kling`") == (
        "There is no gateway `\u02cbkling\u02cb`. There are: apixo."
    )
    assert "There is no model `kling`" in await staff(world, "pause", reason="x", model="kling")
    assert "not both" in await staff(world, "pause", reason="x", model=PRO, gateway="apixo")
    await staff(world, "pause", reason="x", model=PRO)
    assert await staff(world, "resume", model="kling") == (
        f"`kling` is not paused. What is paused: model {PRO}."
    )


async def test_a_paused_model_in_one_servers_log_is_not_in_anothers(tmp_path: Path) -> None:
    async with open_world(tmp_path / "data") as world:
        make_operator(world, world.staff)
        other = world.env.create_guild("Other team")
        await staff(world, "pause", reason="Too dear", model=PRO)
        store = ActStore(world.database)
        assert [act.what for act in await store.page(world.guild.id)] == [f"model {PRO}"]
        assert await store.page(other.id) == []
