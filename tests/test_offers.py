"""What stands side by side is what would be ordered: its price, its quality, its sound and its pictures."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bot import offers
from bot.breaker import Breaker, Record
from bot.catalogue import Model
from bot.catalogue_tables import load_catalogue
from bot.choosing import Chooser
from bot.models import Mode, Quality, ServerSettings
from bot.timing import TimeTable
from tests.acting import click, world_with
from tests.offering import CHEAP, RICH, THREE
from tests.world import picture

SHIPPED = load_catalogue()
PRICED = [model for model in SHIPPED.models.values() if model.price is not None]


def choosing(*models: Model) -> Chooser:
    """A chooser of models that nothing is known of but their entries."""

    async def settings(_: int) -> ServerSettings:
        return ServerSettings()

    parts: dict[str, Any] = {
        "availability": SimpleNamespace(catalogue=SHIPPED, orderable=lambda: models),
        "track": SimpleNamespace(record=lambda _: Record(), breaker=lambda _: Breaker()),
        "times": TimeTable(SHIPPED),
        "forecast": SimpleNamespace(of_newcomer=lambda _: (0, 0.0)),
        "servers": SimpleNamespace(settings=settings),
    }
    return Chooser(**parts)


@pytest.mark.parametrize("mode", Mode)
async def test_a_form_shows_what_its_order_costs_where_only_the_length_is_chosen(mode: Mode) -> None:
    _, choices = await choosing(*PRICED).in_mode(1, mode)
    assert choices
    for choice in choices:
        shown = choice.offer.request
        model = SHIPPED.models[shown.model]
        ordered = model.request(mode=mode, prompt="A fox", seconds=shown.seconds)
        free = {"prompt": "A fox", "keep_watermark": ordered.keep_watermark}
        assert dataclasses.replace(shown, **free) == ordered
        assert choice.offer.quote == model.quote(ordered)


NO_WEBP = f"""
[models."{RICH}".request]
picture = {{ field = "image_urls", form = "list", webp = false }}
"""


async def test_a_picture_is_made_what_the_model_takes_that_is_chosen_later(tmp_path: Path) -> None:
    async with world_with(tmp_path, THREE + NO_WEBP) as world:
        shown: Any = await world.member.slash(
            world.channel,
            "video quote",
            prompt="A fox",
            model=CHEAP,
            image=("a.webp", picture(1280, 720, "WEBP")),
        )
        options = shown.response.components[0]["components"][0]["options"]
        await world.member.select(shown.response, [options[1]["value"]])
        await click(world.member, shown, "Confirm")
        job = await world.job()
        assert job.picture is not None
        assert (job.request.model, job.picture.content_type) == (RICH, "image/jpeg")
        await world.settled()


# The very same order of another model

GROK, VEO = SHIPPED.models["pixazo/grok-imagine"], SHIPPED.models["apixo/veo-3-1-fast"]


@pytest.mark.parametrize(("quality", "is_same"), [(None, True), (Quality.P720, True), (Quality.P480, False)])
def test_a_quality_that_a_model_has_unless_one_is_chosen_is_no_choice(
    quality: Quality | None, is_same: bool
) -> None:
    assert (GROK.qualities[0], VEO.qualities) == (Quality.P480, ())
    wish = GROK.request(mode=Mode.TEXT, prompt="A fox", seconds=8, quality=quality)
    assert (offers.same(wish, GROK, VEO) is not None) is is_same


def test_a_clip_with_sound_is_not_the_same_as_one_of_a_model_that_says_nothing_of_sound() -> None:
    loud, free = SHIPPED.models["pixazo/p-video"], SHIPPED.models["pixazo/ltx-free"]
    wish = loud.request(mode=Mode.TEXT, prompt="A fox", seconds=5)
    assert wish.sound is True
    beside = offers.nearest(wish, loud, free)
    assert beside is not None
    assert offers.same(wish, loud, free) is None
    assert beside.request not in {one.request for one in offers.ways(wish, loud, [beside]).cheaper}
    assert offers.same(free.request(mode=Mode.TEXT, prompt="A fox"), free, loud) is not None


@pytest.mark.parametrize(
    ("wanted", "nearest"), [(Quality.P1080, Quality.P720), (Quality.P360, Quality.P480), (None, Quality.P720)]
)
def test_the_nearest_quality_stands_beside_and_the_usual_one_where_none_is_chosen(
    wanted: Quality | None, nearest: Quality
) -> None:
    own = SHIPPED.models["pixazo/pixverse-v6" if wanted else "pixazo/ltx-free"]
    wish = own.request(mode=Mode.TEXT, prompt="A fox", seconds=5, quality=wanted)
    found = offers.nearest(wish, own, GROK)
    assert found is not None
    assert found.request.quality is nearest


async def test_a_form_offers_the_usual_length_of_every_model_however_many_lengths_there_are() -> None:
    _, choices = await choosing(*PRICED).in_mode(1, Mode.IMAGE)
    shown = {(one.offer.request.model, one.offer.request.seconds) for one in offers.spread(choices, 24)}
    assert len(shown) == 24
    for model in PRICED:
        if Mode.IMAGE in model.modes and model.account is SHIPPED.models["pixazo/ltx-free"].account:
            assert (model.model_id, model.usual_seconds) in shown


SOUNDS = ("pixazo/veo-3-1-fast", "pixazo/kling-3-0")


@pytest.mark.parametrize("sound", [True, False])
def test_a_clip_has_the_sound_that_was_shown_where_another_model_has_the_choice(sound: bool) -> None:
    """Whatever either does unless it is told."""
    for name, other_name in (SOUNDS, SOUNDS[::-1]):
        model, other = (
            one.model_copy(update={"options": one.options.model_copy(update={"sound": usual})})
            for one, usual in (
                (SHIPPED.models[name], _usual(name, default=sound)),
                (SHIPPED.models[other_name], _usual(other_name, default=not sound)),
            )
        )
        wish = model.request(mode=Mode.TEXT, prompt="A fox", seconds=8)
        found = offers.same(wish, model, other)
        assert found is not None
        assert (wish.sound, found.request.sound) == (sound, sound)


def _usual(name: str, *, default: bool) -> Any:
    sound = SHIPPED.models[name].options.sound
    assert sound is not None
    return sound.model_copy(update={"default": default})
