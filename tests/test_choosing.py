"""Options only where a model has them, models side by side, and `auto`."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from bot import choice_messages, offers, quote_messages
from bot.catalogue_tables import load_catalogue
from bot.models import AutoPolicy, Mode, Quality, Quote, Shape, Stage, VideoRequest
from bot.offers import Choice, Offer
from storage.audit import ActStore
from tests.acting import GONE, availability, click, world_with
from tests.books import DOLLAR, NOON, UTC_POLICY, new_job, open_books
from tests.fake_apixo import state
from tests.offering import CHEAP, DOUBTFUL, RICH, THREE
from tests.world import World, picture


def choice(
    model: str, micros: int, takes: float, *, waits: float = 0, doubt: str = "", seconds: int = 5
) -> Choice:
    request = VideoRequest(model=model, mode=Mode.TEXT, prompt="", seconds=seconds, shape=Shape.LANDSCAPE)
    return Choice(
        offer=Offer(request=request, quote=Quote(micros=micros, estimate=False)),
        takes_seconds=takes,
        waits_seconds=waits,
        waiting=int(waits > 0),
        ended=0,
        faults=0,
        doubt=doubt,
    )


# Which is best

A = choice("a", 300, 60)
B = choice("b", 100, 600)
C = choice("c", 200, 30, waits=100)
D = choice("d", 50, 10, doubt="doubtful")


@pytest.mark.parametrize(
    ("policy", "own", "best"),
    [
        (AutoPolicy.CHEAPEST, (), "bcad"),
        (AutoPolicy.FASTEST, (), "acbd"),  # the line counts as the clip does
        (AutoPolicy.OWN, ("c", "d", "a"), "cabd"),  # what is in doubt comes last all the same
    ],
)
def test_the_best_comes_first_by_the_servers_policy_and_what_is_in_doubt_last(
    policy: AutoPolicy, own: tuple[str, ...], best: str
) -> None:
    found = offers.best_first([A, B, C, D], policy, own)
    assert "".join(one.offer.request.model for one in found) == best


def test_a_menu_that_is_too_small_has_the_shortest_of_every_model_first() -> None:
    every = [choice(model, 1, 1, seconds=seconds) for model in "ab" for seconds in (5, 10, 15)]
    kept = [(one.offer.request.model, one.offer.request.seconds) for one in offers.spread(every, 4)]
    assert kept == [("a", 5), ("a", 10), ("b", 5), ("b", 10)]
    assert offers.spread(every, 25) == every
    usual = [dataclasses.replace(one, is_usual=one.offer.request.seconds == 15) for one in every]
    kept = [(one.offer.request.model, one.offer.request.seconds) for one in offers.spread(usual, 3)]
    assert kept == [("a", 5), ("a", 15), ("b", 15)]


@pytest.mark.parametrize(
    ("policy", "number", "choices", "told"),
    [
        (AutoPolicy.CHEAPEST, 0, [B, C, A], "`auto` took the cheapest model of 3 that can do this."),
        (
            AutoPolicy.FASTEST,
            0,
            [A, C],
            "`auto` took the model whose clip comes first (in 1 min) of 2 that can do this.",
        ),
        (
            AutoPolicy.OWN,
            1,
            [A, B],
            (
                "`auto` took the first of staff's own order of 2 that can do this. "
                "A limit left no room for 1 that would have gone before it."
            ),
        ),
        (AutoPolicy.CHEAPEST, 0, [A], "`auto` took the only one that can do this."),
        (
            AutoPolicy.CHEAPEST,
            0,
            [D],
            "`auto` took the only one that can do this. None is without a doubt now.",
        ),
    ],
)
def test_the_note_says_which_was_taken_and_why(
    policy: AutoPolicy, number: int, choices: list[Choice], told: str
) -> None:
    assert choice_messages.took(policy, choices, number) == told


def test_the_facts_of_a_model_fit_beside_its_price() -> None:
    busy = dataclasses.replace(A, waits_seconds=130, waiting=3, ended=20, faults=2, doubt="doubtful")
    assert choice_messages.facts(busy) == "about 3 min · 3 in line · 2 of its last 20 failed · doubtful"
    assert choice_messages.facts(A) == "about 1 min"


# What another model would do

MODELS = load_catalogue().models
PRO = MODELS["apixo/sora-2-pro"]
WISH = PRO.request(mode=Mode.TEXT, prompt="A fox", seconds=8, shape=Shape.PORTRAIT, quality=Quality.P720)


@pytest.mark.parametrize(
    ("changes", "other", "is_same", "nearest"),
    [
        ({}, "pixazo/sora-2-pro", True, (8, "720p")),
        ({"seconds": 12, "quality": Quality.P1080}, "pixazo/sora-2-pro", True, (12, "1080p")),
        ({}, "apixo/veo-3-1-fast", True, (8, None)),  # the quality is only what the model does anyway
        ({"quality": Quality.P1080}, "apixo/veo-3-1-fast", False, (8, None)),
        ({"seconds": 12}, "apixo/veo-3-1-fast", False, (8, None)),
        ({}, "pixazo/kling-3-0", True, (8, None)),
        ({}, "pixazo/pixverse-v6", False, None),  # it makes no portrait clips from text
        ({"prompt": "x" * 4999}, "apixo/sora-2", False, (10, None)),
    ],
)
def test_another_model_does_the_very_same_or_what_comes_nearest(
    changes: dict[str, Any], other: str, is_same: bool, nearest: tuple[int, str | None] | None
) -> None:
    wish = dataclasses.replace(WISH, **changes)
    found = offers.nearest(wish, PRO, MODELS[other])
    assert (found and (found.request.seconds, found.request.quality)) == nearest
    assert (offers.same(wish, PRO, MODELS[other]) is not None) is is_same
    if found is not None:
        assert (found.request.shape, found.request.prompt) == (wish.shape, wish.prompt)


def test_what_was_chosen_is_kept_and_what_a_model_does_anyway_is_no_choice() -> None:
    veo, kling = MODELS["pixazo/veo-3-1-fast"], MODELS["pixazo/kling-3-0"]
    assert veo.options.sound is not None
    usual, other = veo.options.sound.default, not veo.options.sound.default
    plain = veo.request(mode=Mode.TEXT, prompt="A fox", seconds=8, shape=Shape.PORTRAIT)
    assert plain.sound is usual
    assert offers.same(plain, veo, PRO) is not None
    assert offers.same(dataclasses.replace(plain, sound=other), veo, PRO) is None
    kept = offers.same(dataclasses.replace(plain, sound=other), veo, kling)
    assert kept is not None
    assert kept.request.sound is other
    assert offers.same(dataclasses.replace(plain, seed=7), veo, kling) is None
    assert offers.same(dataclasses.replace(plain, negative_prompt="rain"), veo, kling) is not None
    assert offers.same(plain, veo, kling, ends=True) is None


# Options where they exist


async def offered(world: World, option: str, typed: str = "", **filled: Any) -> list[Any]:
    found = await world.member.autocomplete(world.channel, "video create", option, typed, **filled)
    return [one["value"] for one in found]


async def test_what_is_offered_is_the_chosen_models(tmp_path: Path) -> None:
    async with world_with(tmp_path, THREE) as world:
        rich: dict[str, Any] = {"model": RICH}
        assert await offered(world, "model") == ["auto", CHEAP, RICH, DOUBTFUL]
        assert await offered(world, "sound", **rich) == ["on", "off"]
        assert await offered(world, "style", **rich) == ["anime", "noir"]
        assert await offered(world, "style", "NO", **rich) == ["noir"]
        assert await offered(world, "negative_prompt", "rain", **rich) == ["rain"]
        assert await offered(world, "seed", **rich) == [0]
        assert await offered(world, "seed", "77", **rich) == [77]
        assert await offered(world, "seed", "7777", **rich) == []
        assert await offered(world, "quality", **rich) == ["720p", "1080p"]
        assert await offered(world, "shape", "port", **rich) == ["portrait"]
        for option in ("sound", "style", "seed", "quality"):
            assert await offered(world, option, model=CHEAP) == []
        assert await offered(world, "negative_prompt", "rain", model=CHEAP) == []
        assert await offered(world, "seconds", model="auto") == [5, 10, 15]
        assert await offered(world, "style", model="auto") == ["anime", "noir"]


async def test_shapes_are_those_of_the_mode(tmp_path: Path) -> None:
    square = f"""
[models."{RICH}".modes.image-to-video]
sizes = [ {{ shape = "square", send = {{ size = "1:1" }} }} ]
"""
    async with world_with(tmp_path, THREE + square) as world:
        # SimCord leaves files out while somebody types, as Discord may: then it is any mode's.
        assert await offered(world, "shape", model=RICH) == ["landscape", "portrait", "square"]
        menu, image = world.app.bot.menu, ("hills.png", picture())
        assert menu.shapes(RICH, Mode.IMAGE) == [Shape.SQUARE]
        assert menu.shapes(RICH, Mode.TEXT) == [Shape.LANDSCAPE, Shape.PORTRAIT]
        told = await world.create(prompt="A fox", model=RICH, image=image, shape="portrait")
        assert told.startswith("apixo/rich makes square clips, not portrait.")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"sound": "on"}, "apixo/cheap has no choice of sound. These have: apixo/rich. Nothing was charged."),
        ({"negative_prompt": "rain"}, "apixo/cheap has no negative prompt. These have: apixo/rich."),
        ({"seed": 7}, "apixo/cheap has no seed. These have: apixo/rich."),
        ({"style": "noir"}, "apixo/cheap has no choice of style. These have: apixo/rich."),
        (
            {"shape": "`@everyone`"},
            "apixo/cheap makes landscape or portrait clips, not `\u02cb@everyone\u02cb`.",
        ),
        ({"quality": "4k"}, "apixo/cheap has no choice of quality, not `4k`."),
        ({"model": RICH, "quality": "4k"}, "apixo/rich has 720p or 1080p, not `4k`."),
        ({"model": RICH, "sound": "loud"}, "`sound` is `on` or `off`, not `loud`."),
        ({"model": RICH, "style": "x`y"}, "apixo/rich has the styles anime or noir."),
        ({"model": RICH, "seed": 1001}, "apixo/rich takes seeds from 0 to 1000."),
        (
            {"model": RICH, "end_image": ("b.png", b"x")},
            "`end_image` is how a clip from a picture ends: attach `image` too.",
        ),
        ({"model": "auto", "seconds": 7}, "None of the 3 models that `auto` may take can do all of this."),
    ],
)
async def test_what_a_model_has_not_is_refused_in_a_sentence(
    tmp_path: Path, options: dict[str, Any], told: str
) -> None:
    async with world_with(tmp_path, THREE, default_model=CHEAP) as world:
        assert (await world.create(prompt="A fox", **options)).startswith(told)
        assert await world.jobs() == []


async def test_what_auto_may_not_take_is_named_where_only_that_can_do_it(tmp_path: Path) -> None:
    async with world_with(tmp_path, THREE) as world:
        await world.ask("video-admin auto", by=world.staff, policy="own", models=f"{CHEAP}, {DOUBTFUL}")
        told = await world.create(prompt="A fox", model="auto", style="noir")
        assert (
            told
            == "What `auto` may take has no choice of style. These have: apixo/rich. Nothing was charged."
        )
        await world.ask("video-admin auto", by=world.staff, policy="own", models=CHEAP)
        told = await world.create(prompt="A fox", model="auto", seed=7)
        assert told == "apixo/cheap has no seed. These have: apixo/rich. Nothing was charged."
        end: dict[str, Any] = {"image": ("a.png", picture()), "end_image": ("b.png", picture())}
        told = await world.create(prompt="A fox", model="auto", **end)
        assert told.startswith("apixo/cheap has no picture to end with. These have: apixo/rich.")


async def test_all_that_was_chosen_reaches_the_gateway_and_is_priced(tmp_path: Path) -> None:
    async with world_with(tmp_path, THREE) as world:
        chosen = {"sound": "ON", "negative_prompt": "rain", "seed": 7, "style": "noir", "shape": "9:16"}
        pictures: dict[str, Any] = {
            "image": ("a.png", picture(360, 640)),
            "end_image": ("b.png", picture(360, 640, colour="red")),
        }
        told = await world.create(prompt="A fox", model=RICH, **chosen, **pictures)
        assert "$0.35 held" in told
        await world.settled()
        (body,) = world.gateway.submitted
        sent = body["input"]
        assert (sent["generate_audio"], sent["negative_prompt"], sent["seed"], sent["style"]) == (
            True,
            "rain",
            7,
            "noir",
        )
        assert len(sent["image_urls"]) == 2
        job = await world.job()
        assert (job.stage, job.request.shape, job.end_picture is not None) == (
            Stage.DONE,
            Shape.PORTRAIT,
            True,
        )


async def test_a_negative_prompt_of_blanks_is_none(tmp_path: Path) -> None:
    async with world_with(tmp_path, THREE) as world:
        told = await world.create(prompt="A fox", model=RICH, negative_prompt=" \u200b ")
        assert "without" not in told
        await world.create(prompt="A fox", model=RICH, negative_prompt=" rain ")
        await world.settled()
        blank, rain = world.gateway.submitted
        assert "negative_prompt" not in blank["input"]
        assert rain["input"]["negative_prompt"] == "rain"


async def test_what_a_model_lets_one_choose_is_listed(tmp_path: Path) -> None:
    async with world_with(tmp_path, THREE) as world:
        listed = await world.ask("video models")
        cheap, rich, _ = listed.split("\n\n")[:3]
        assert "-# Options: `sound`, `negative_prompt`, `seed`, `style` (anime or noir), `end_image`" in rich
        assert "-# Options: `keep_watermark`\n" in cheap


async def test_a_refusal_fits_a_message_however_many_looks_there_are(tmp_path: Path) -> None:
    looks = ", ".join(f'"look {number} {"x" * 80}"' for number in range(30))
    many = f'[models."{RICH}".options.style]\nfield = "style"\nwords = [{looks}]\n'
    three = THREE.replace('style = { field = "style", words = ["anime", "noir"] }\n', "")
    async with world_with(tmp_path, three + many) as world:
        told = await world.create(prompt="A fox", model=RICH, style="noir")
        assert told.startswith("apixo/rich has the styles look 0 ")


# Side by side


async def test_a_quote_shows_models_side_by_side_and_another_can_be_taken(tmp_path: Path) -> None:
    async with world_with(tmp_path, THREE) as world:
        shown: Any = await world.member.slash(world.channel, "video quote", prompt="A fox", seconds=10)
        assert shown.ephemeral
        lines = shown.response.content.splitlines()
        assert lines[0] == "This costs **$0.10**: apixo/cheap · 10 s · landscape."
        assert lines[2] == "`auto` took the cheapest model of 3 that can do this."
        assert lines[lines.index("Side by side, best first:") + 1 :][:3] == [
            "-# **`apixo/cheap` 10 s $0.10** · about 10 min",
            "-# `apixo/rich` 10 s 720p silent $0.50 · about 2 min",
            "-# `apixo/doubtful` 10 s $0.90 · about 30 s · doubtful",
        ]
        menu = shown.response.components[0]["components"][0]
        assert [(one["label"], one["description"]) for one in menu["options"]] == [
            ("apixo/cheap, 10 s, $0.10", "about 10 min"),
            ("apixo/rich, 10 s, 720p, $0.50", "about 2 min"),
            ("apixo/doubtful, 10 s, $0.90", "about 30 s · doubtful"),
        ]
        assert await world.jobs() == []

        await world.member.select(shown.response, [menu["options"][1]["value"]])
        assert shown.response.content.startswith("This costs **$0.50**: apixo/rich · 10 s · landscape · 720p")
        assert "`auto` took" not in shown.response.content
        await click(world.member, shown, "Confirm")
        job = await world.job()
        assert (job.request.model, job.quote.micros, job.is_auto) == (RICH, 500_000, False)
        await world.settled()


async def test_a_press_below_the_old_price_never_confirms_another(tmp_path: Path) -> None:
    async with world_with(tmp_path, THREE) as world:
        image = ("a.png", picture(360, 640))
        shown: Any = await world.member.slash(
            world.channel, "video quote", prompt="A fox", model=CHEAP, image=image
        )
        old = shown.response.components[1]["components"][0]["custom_id"]
        value = shown.response.components[0]["components"][0]["options"][1]["value"]
        await world.member.select(shown.response, [value])
        new = shown.response.components[1]["components"][0]["custom_id"]
        assert old != new
        quotes, who = world.app.bot.quotes, {"server_id": world.guild.id, "user_id": world.member.id}
        pressed = await world.member.click(shown.response, label="Confirm")
        assert not pressed.followups
        job = await world.job()
        assert (job.request.model, job.picture is not None) == (RICH, True)
        for late in (old, new):
            with pytest.raises(Exception, match=r"This quote is over|ordered already"):
                await quotes.take(late.rpartition(":")[2], value, **who)
        await world.settled()
        assert len(await world.jobs()) == 1


async def test_only_whose_quote_it_is_may_choose_and_only_what_is_on_offer(tmp_path: Path) -> None:
    async with world_with(tmp_path, THREE, default_model=None) as world:
        await world.ask("video-admin confirm-above", by=world.staff, amount="0")
        await world.member.send(world.channel, f"{world.app.bot.user.mention} A fox")
        shown = world.posts()[-1]
        pressed = await world.other.select(shown, [f"{RICH}|10|720p"])
        assert [answer.content for answer in pressed.followups] == [quote_messages.NOT_YOURS]
        await world.ask("video-admin auto", by=world.staff, policy="cheapest")
        await availability(world).take_out(RICH, GONE)
        pressed = await world.member.select(shown, [f"{RICH}|10|720p"])
        assert [answer.content for answer in pressed.followups] == [choice_messages.NOT_OFFERED]
        await world.member.click(shown, label="Cancel")
        assert await world.jobs() == []


async def test_a_quote_needs_no_room_in_a_limit_and_confirming_it_does(tmp_path: Path) -> None:
    async with world_with(tmp_path, THREE, default_user_monthly_limit="0.05") as world:
        shown: Any = await world.member.slash(world.channel, "video quote", prompt="A fox")
        assert "This costs **$0.10**" in shown.response.content
        pressed = await click(world.member, shown, "Confirm")
        assert "your limit" in pressed.followups[-1].content
        assert await world.jobs() == []


# Auto


async def test_auto_takes_the_cheapest_that_can_do_it_and_the_card_says_why(tmp_path: Path) -> None:
    async with world_with(tmp_path, THREE, default_model="auto") as world:
        told = await world.create(prompt="A fox")
        assert "apixo/cheap · 10 s · landscape, $0.10 held" in told
        assert "`auto` took the cheapest model of 3 that can do this." in told
        job = await world.job()
        assert job.is_auto
        await world.settled()
        assert "`auto` took the cheapest model of 3 that can do this." in await world.card()

        assert "apixo/rich · 5 s" in await world.create(prompt="A fox", model="auto", style="noir")
        await world.settled()
        await world.member.send(world.channel, f"{world.app.bot.user.mention} A fox")
        await world.settled()
        assert (await world.job()).request.model == CHEAP


async def test_auto_passes_over_what_fails_and_what_is_out(tmp_path: Path) -> None:
    async with world_with(tmp_path, THREE) as world:
        for _ in range(3):
            world.gateway.looks.append(state("failed", failCode="GENERATION_FAILED"))
            await world.create(prompt="A fox", model=CHEAP)
            await world.settled()
        assert "apixo/rich · 5 s" in await world.create(prompt="A fox", model="auto")
        await world.settled()
        world.time.jump(minutes=20)  # half open: others go before it
        assert "apixo/rich · 5 s" in await world.create(prompt="A fox", model="auto")
        await world.settled()


async def test_staff_choose_the_policy_and_it_is_on_record(tmp_path: Path) -> None:
    async with world_with(tmp_path, THREE) as world:

        async def staff(**options: Any) -> str:
            return await world.ask("video-admin auto", by=world.staff, **options)

        assert "the model whose clip comes first" in await staff(policy="fastest")
        told = await world.create(prompt="A fox", model="auto")
        assert "apixo/rich · 5 s" in told  # the fastest of all is in doubt
        assert "comes first (in 2 min) of 3" in told
        assert "**`auto` takes:** fastest" in await world.ask("video-admin settings", by=world.staff)

        assert "Name `models` with the policy `own`" in await staff(policy="own")
        assert "Name `models` with the policy `own`" in await staff(policy="cheapest", models=RICH)
        assert "There is no model `nobody/knows`" in await staff(policy="own", models="nobody/knows")
        told = await staff(policy="own", models=f"{DOUBTFUL}, {RICH}", reason="We like it")
        assert f"no others: `{DOUBTFUL}`, `{RICH}`" in told
        assert "apixo/rich · 5 s" in await world.create(prompt="A fox", model="auto")
        assert "None of the 2 models that `auto`" in await world.create(
            prompt="A fox", model="auto", seconds=15, style="noir"
        )
        acts = await ActStore(world.database).page(world.guild.id)
        assert [(act.act, act.what, act.reason) for act in acts] == [
            ("auto", f"own: {DOUBTFUL}, {RICH}", "We like it"),
            ("auto", "fastest", ""),
        ]
        listed = await world.staff.autocomplete(world.channel, "video-admin auto", "models", f"{RICH}, che")
        assert [one["value"] for one in listed] == [f"{RICH}, {CHEAP}"]
        await world.settled()


async def test_the_first_order_that_fits_the_limits_is_taken(tmp_path: Path) -> None:
    async with open_books(tmp_path) as books:
        dear, cheap = new_job(2 * DOLLAR), new_job(DOLLAR // 2)
        assert await books.orders.first_that_fits([dear, cheap], UTC_POLICY, now=NOON) == 1
        assert await books.orders.first_that_fits([cheap, dear], UTC_POLICY, now=NOON) == 0
        assert await books.orders.first_that_fits([dear, dear], UTC_POLICY, now=NOON) == 0


async def test_auto_takes_what_a_limit_has_room_for_or_tells_the_refusal_of_the_best(tmp_path: Path) -> None:
    async with world_with(tmp_path, THREE, default_user_monthly_limit="0.60") as world:
        await world.ask("video-admin auto", by=world.staff, policy="own", models=f"{RICH}, {CHEAP}")
        told = await world.create(prompt="A fox", model="auto", seconds=10)
        assert "apixo/rich · 10 s" in told
        told = await world.create(prompt="A fox", model="auto", seconds=10)
        assert "apixo/cheap · 10 s" in told
        assert "A limit left no room for 1 that would have gone before it." in told
        refused = await world.create(prompt="A fox", model="auto", seconds=10)
        assert "your limit" in refused
        assert "$0.50" in refused
        await world.settled()
