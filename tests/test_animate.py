"""Right-click a message with a picture -> Apps -> "Animate image"."""

from pathlib import Path
from typing import Any

from bot.models import Mode, Stage
from tests.acting import GONE, MANY, NO_BALANCE, availability, world_with
from tests.offering import CHEAP, RETIRED, RICH, THREE
from tests.world import World, picture

MENU = "Animate image"
OFFER = "apixo/sora-2|10"


async def message_with(world: World, *pictures: bytes) -> Any:
    files = [(f"{number}.png", data) for number, data in enumerate(pictures)]
    return await world.other.send(world.channel, "look", attachments=files)


async def opened(world: World, *pictures: bytes) -> Any:
    """Open the form on a message with these pictures."""
    shown = await world.member.context_menu(world.channel, MENU, await message_with(world, *pictures))
    assert shown.modal is not None
    return shown


async def submitted(
    world: World, shown: Any, *, prompt: str = "It moves", offer: str = OFFER, **more: Any
) -> str:
    result = await world.member.submit_modal(shown, {"prompt": prompt, "offer": [offer], **more})
    assert result.ephemeral
    return result.response.content


def offered(shown: Any) -> list[dict[str, Any]]:
    return inputs(shown)["offer"]["component"]["options"]


def inputs(shown: Any) -> dict[str, dict[str, Any]]:
    """Return what the form asks for, by the ids of its inputs."""
    return {label["component"]["custom_id"]: label for label in shown.modal["components"]}


async def test_a_picture_of_somebody_elses_message_becomes_a_clip(world: World) -> None:
    told = await submitted(world, await opened(world, picture(360, 640)))
    job = await world.job()
    assert told.startswith(f"Job `{job.job_id}` is ordered: apixo/sora-2 · 10 s · portrait, ≈$0.50 held from")
    await world.settled()
    job = await world.job()
    assert (job.stage, job.request.mode, job.request.prompt) == (Stage.DONE, Mode.IMAGE, "It moves")
    (body,) = world.gateway.submitted
    assert body["input"]["mode"] == "image-to-video"


async def test_the_form_offers_models_side_by_side_best_first_and_auto_before_them(tmp_path: Path) -> None:
    async with world_with(tmp_path, THREE) as world:
        shown = await opened(world, picture())
        assert shown.modal["title"] == MENU
        assert [(option["label"], option["description"]) for option in offered(shown)] == [
            ("auto: the cheapest model", "Of those that can do it, at its usual length."),
            ("apixo/cheap, 10 s, $0.10", "about 10 min"),
            ("apixo/cheap, 15 s, $0.10", "about 10 min"),
            ("apixo/rich, 5 s, 720p, $0.25", "about 2 min"),
            ("apixo/rich, 10 s, 720p, $0.50", "about 2 min"),
            ("apixo/doubtful, 10 s, $0.90", "about 30 s · doubtful"),
            ("apixo/doubtful, 15 s, $0.90", "about 30 s · doubtful"),
        ]
        assert "apixo/cheap · 10 s" in await submitted(world, shown, offer="auto|")
        assert (await world.job()).is_auto
        await world.settled()


async def test_the_form_asks_only_for_what_a_model_on_offer_has(tmp_path: Path) -> None:
    async with world_with(tmp_path, THREE) as world:
        shown = await opened(world, picture(360, 640))
        asked = inputs(shown)
        assert list(asked) == ["prompt", "offer", "sound", "negative_prompt", "end_frame"]
        assert {asked[name]["description"] for name in list(asked)[2:]} == {f"Only with {RICH}"}
        end = ("end.png", picture(360, 640, colour="red"))
        more = {"sound": ["on"], "negative_prompt": "rain", "end_frame": end}
        told = await submitted(world, shown, offer=f"{RICH}|5", **more)
        assert "with sound" in told
        job = await world.job()
        assert (job.request.sound, job.request.negative_prompt) == (True, "rain")
        assert job.end_picture is not None
        await world.settled()

        told = await submitted(world, await opened(world, picture()), offer=f"{CHEAP}|10", sound=["off"])
        assert told == f"{CHEAP} has no choice of sound. These have: {RICH}. Nothing was charged."

        await availability(world).take_out(RICH, GONE)
        assert list(inputs(await opened(world, picture()))) == ["prompt", "offer"]


async def test_the_offer_that_was_chosen_is_ordered_at_its_price(world: World) -> None:
    told = await submitted(world, await opened(world, picture()), offer="apixo/sora-2|15")
    assert "apixo/sora-2 · 15 s · landscape, ≈$0.75 held" in told
    await world.settled()
    assert "$0.75 spent" in await world.card()


async def test_no_more_than_25_offers_fit_with_names_as_long_as_they_may_be(tmp_path: Path) -> None:
    models = MANY + f'\n[models."apixo/{"x" * 74}"]\nlike = "apixo/sora-2-pro"'
    async with world_with(tmp_path, models) as world:
        shown = await opened(world, picture())
        assert len(offered(shown)) == 25
        assert all(len(option["label"]) <= 100 for option in offered(shown))


async def test_two_open_forms_do_not_mix(world: World) -> None:
    portrait, landscape = await opened(world, picture(360, 640)), await opened(world, picture(640, 360))
    assert portrait.modal["custom_id"] != landscape.modal["custom_id"]
    assert "portrait" in await submitted(world, portrait)
    assert "landscape" in await submitted(world, landscape)
    await world.settled()


async def test_the_picture_is_kept_though_the_message_goes_while_the_form_is_open(world: World) -> None:
    message = await message_with(world, picture())
    shown = await world.member.context_menu(world.channel, MENU, message)
    await world.other.delete(message)
    assert "is ordered" in await submitted(world, shown)
    assert (await world.job()).picture is not None
    await world.settled()


async def test_of_several_pictures_the_first_is_taken_and_it_says_so(world: World) -> None:
    told = await submitted(world, await opened(world, picture(360, 640), picture()))
    assert "portrait" in told
    assert told.endswith("The first of 2 pictures was taken.")
    await world.settled()
    assert "The first of 2 pictures was taken." in await world.card()


async def test_a_picture_behind_another_file_is_found(world: World) -> None:
    files = [("notes.txt", b"notes"), ("hills.png", picture())]
    message = await world.other.send(world.channel, "look", attachments=files)
    shown = await world.member.context_menu(world.channel, MENU, message)
    told = await submitted(world, shown)
    assert "is ordered" in told
    assert "pictures was taken" not in told
    await world.settled()


async def test_a_forwarded_picture_is_taken(world: World) -> None:
    message = await world.member.forward(await message_with(world, picture()), world.channel)
    shown = await world.member.context_menu(world.channel, MENU, message)
    assert "is ordered" in await submitted(world, shown)
    await world.settled()


async def test_a_message_without_a_picture_opens_no_form(world: World) -> None:
    shown = await world.member.context_menu(world.channel, MENU, await message_with(world))
    assert shown.modal is None
    assert shown.ephemeral
    assert shown.response.content == "This message has no picture attached."


async def test_without_a_model_for_pictures_no_form_opens(tmp_path: Path) -> None:
    async with world_with(tmp_path, RETIRED) as world:
        shown = await world.member.context_menu(world.channel, MENU, await message_with(world, picture()))
        assert shown.modal is None
        assert "No model that takes pictures can be ordered now" in shown.response.content


async def test_a_model_that_goes_out_while_the_form_is_open_is_refused(world: World) -> None:
    shown = await opened(world, picture())
    await availability(world).stop_key("apixo", NO_BALANCE)
    assert "apixo/sora-2 cannot be ordered:" in await submitted(world, shown)
    assert await world.jobs() == []


async def test_a_form_can_be_sent_for_15_minutes(world: World) -> None:
    in_time, late = await opened(world, picture()), await opened(world, picture())
    await world.env.advance_time(14 * 60)
    assert "is ordered" in await submitted(world, in_time)
    await world.env.advance_time(61)
    values = {"prompt": "It moves", "offer": [OFFER]}
    assert not (await world.member.submit_modal(late, values)).acknowledged
    assert len(await world.jobs()) == 1
    await world.settled()


async def test_a_blank_prompt_in_the_form_is_refused(world: World) -> None:
    assert "The prompt is empty." in await submitted(world, await opened(world, picture()), prompt="\u200b ")
    assert await world.jobs() == []


async def test_a_seed_may_be_any_whole_number_that_the_model_takes(tmp_path: Path) -> None:
    seeded = '[models."apixo/sora-2"]\noptions.seed = { field = "seed", least = -1 }'
    async with world_with(tmp_path, seeded) as world:
        for typed in ("1.5", "x", "-", "²"):
            told = await submitted(world, await opened(world, picture()), seed=typed)
            assert told == "A seed is a whole number. Nothing was charged."
        told = await submitted(world, await opened(world, picture()), seed="-2")
        assert told == "apixo/sora-2 takes seeds from -1 to 2147483647."
        assert "seed -1" in await submitted(world, await opened(world, picture()), seed=" -1 ")
        await world.settled()
        assert world.gateway.submitted[0]["input"]["seed"] == -1
