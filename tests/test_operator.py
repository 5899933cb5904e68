"""`/video-admin reopen`: the operator lets take orders again what a gateway refused."""

from pathlib import Path
from typing import Any

from bot.models import OutageScope
from storage.audit import ActStore
from tests.acting import GONE, NO_BALANCE, availability, forget_registration, make_operator
from tests.world import World, open_world


async def close_both(world: World) -> None:
    await availability(world).take_out("apixo/sora-2-pro", GONE)
    await availability(world).stop_key("apixo", NO_BALANCE)


async def offered(world: World, typed: str = "") -> dict[str, Any]:
    found = await world.staff.autocomplete(world.channel, "video-admin reopen", "what", typed)
    return {choice["value"]: choice["name"] for choice in found}


async def reopen(world: World, what: str, **options: str) -> str:
    return await world.ask("video-admin reopen", by=world.staff, what=what, **options)


async def test_staff_who_are_not_the_operator_see_and_reopen_nothing(world: World) -> None:
    await close_both(world)
    assert await offered(world) == {}
    assert (await reopen(world, "key apixo")).startswith("Only the bot's operator may do this")
    assert "Nothing else can be ordered now" in await world.create(prompt="A fox")


async def test_the_operator_chooses_from_what_is_out(world: World) -> None:
    make_operator(world, world.staff)
    assert await offered(world) == {}
    await close_both(world)
    assert await offered(world) == {
        "model apixo/sora-2-pro": "model apixo/sora-2-pro: model gone since 21 Nov 12:00 UTC",
        "key apixo": "key apixo: no balance since 21 Nov 12:00 UTC",
    }
    assert set(await offered(world, "PRO")) == {"model apixo/sora-2-pro"}


async def test_a_reopened_key_takes_orders_and_stays_open_over_a_restart(tmp_path: Path) -> None:
    async with open_world(tmp_path / "data") as world:
        make_operator(world, world.staff)
        await close_both(world)
        told = await reopen(world, "key apixo", reason="topped up")
        assert told == (
            "The key `apixo` takes orders again. "
            "It was out since <t:1795262400:R>: `Insufficient credits: balance is $0.13`"
        )
        (act,) = await ActStore(world.database).page(world.guild.id)
        assert (act.actor_user_id, act.act, act.what) == (world.staff.id, "reopen", "key apixo")
        assert act.reason == "topped up"
        assert "is ordered" in await world.create(prompt="A fox")
        await world.settled()
        assert len(world.gateway.submitted) == 1
        assert availability(world).model_outage("apixo/sora-2-pro") is not None
        await forget_registration(world)
    async with open_world(tmp_path / "data") as world:
        assert "apixo/sora-2-pro cannot be ordered" in await world.create(
            prompt="A fox", model="apixo/sora-2-pro"
        )
        assert "is ordered" in await world.create(prompt="A fox", model="apixo/sora-2")
        await world.settled()


async def test_a_model_is_reopened_by_its_name_alone(world: World) -> None:
    make_operator(world, world.staff)
    await close_both(world)
    await reopen(world, "apixo")
    assert "takes orders again" in await reopen(world, " apixo/sora-2-pro ")
    assert "is ordered" in await world.create(prompt="A fox", model="apixo/sora-2-pro")
    assert availability(world).outages() == []
    await world.settled()


async def test_what_is_not_out_cannot_be_reopened(world: World) -> None:
    make_operator(world, world.staff)
    assert await reopen(world, "key `apixo`") == (
        "Nothing named `key \u02cbapixo\u02cb` is out. What is out now: nothing."
    )
    await close_both(world)
    assert "What is out now: model apixo/sora-2-pro, key apixo." in await reopen(world, "sora")


async def test_a_model_back_after_a_day_is_no_longer_out(world: World) -> None:
    make_operator(world, world.staff)
    await availability(world).take_out("apixo/sora-2-pro", GONE)
    world.time.jump(hours=24)
    assert await offered(world) == {}
    assert not await availability(world).reopen(OutageScope.KEY, "apixo")
