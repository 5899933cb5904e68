"""A price that has to be confirmed: what it shows, who may press, and what has changed when they do."""

import dataclasses
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import pytest
from simcord.results import InteractionResult

from bot import cards, messages, offers, quote_messages
from bot.catalogue_tables import load_catalogue
from bot.models import Draft, DraftStage, Job, Mode, NewJob, Quality, Shape, Stage, VideoRequest
from bot.quotas import Layer, Limit, Measure
from storage.limits import LimitStore
from storage.orders import Refusal
from storage.servers import ServerStore
from tests.acting import MANY, click, press_at_once, world_with
from tests.books import BOB, DOLLAR, NOON, SERVER, UTC_POLICY, Books, new_job, open_books
from tests.world import World, picture

PRO = "apixo/sora-2-pro"
DEAR = {"prompt": "A fox", "model": PRO, "seconds": 8, "quality": "1080p"}  # $3.60

DEARER = f"""
[models."{PRO}".price]
unit = "second"
rows = [ {{ quality = "720p", usd = "0.30" }}, {{ quality = "1080p", usd = "0.50" }} ]
"""
RETIRED = f"""
[models."{PRO}"]
status = "retired"
"""
SHORTER = f"""
[models."{PRO}"]
seconds = [4]
"""


async def quoted(world: World, *, by: Any = None, **options: Any) -> InteractionResult:
    """Order something dear; return the quote."""
    result = await (by or world.member).slash(world.channel, "video create", **{**DEAR, **options})
    assert result.ephemeral
    assert labels(result.response.components) == ["Confirm", "Cancel"]
    return result


async def press(world: World, quote: InteractionResult, label: str = "Confirm", *, by: Any = None) -> str:
    """Press a button below a quote; return what the quote, or the answer beside it, says then."""
    pressed = await click(by or world.member, quote, label)
    beside = pressed.followups
    return beside[-1].content if beside else quote.response.content


def labels(components: Sequence[dict[str, Any]]) -> list[str]:
    return [part["label"] for row in components for part in row["components"] if "label" in part]


async def confirm_above(world: World, micros: int) -> None:
    await ServerStore(world.database).change(
        world.guild.id,
        act="confirm-above",
        what="",
        by=world.staff.id,
        now=world.time.now(),
        confirm_above_micros=micros,
    )


async def limit(world: World, amount: int) -> None:
    await LimitStore(world.database).set(
        world.guild.id,
        Limit(layer=Layer.MEMBER, measure=Measure.MONTH, amount=amount),
        user_id=world.member.id,
        what="",
        by=world.staff.id,
        now=world.time.now(),
    )


# The quote


async def test_a_dear_order_is_quoted_in_private_and_holds_nothing(world: World) -> None:
    quote = await quoted(world)
    lines = quote.response.content.splitlines()
    assert lines[:6] == [
        "This costs **$3.60**: apixo/sora-2-pro · 8 s · landscape · 1080p.",
        "Confirm to order it. Until then nothing is held; the quote ends after a day.",
        "What changes the price:",
        "-# Length: 4 s $1.80, **8 s $3.60**, 12 s $5.40",
        "-# Quality: 720p $2.16, **1080p $3.60**",
        "Side by side, best first:",
    ]
    assert "-# `apixo/sora-2` 10 s ≈$0.50 · about 4 min · doubtful" in lines
    assert "-# **`apixo/sora-2-pro` 8 s 1080p $3.60** · about 3 min · doubtful" in lines
    assert lines[-1].startswith("-# Cheaper, with all else as it is: ")
    assert "`model:apixo/sora-2 seconds:10` ≈$0.50, " in lines[-1]
    assert await world.jobs() == []
    assert "$100.00 left" in await world.ask("quota show")
    assert world.posts() == []


async def test_a_confirmed_order_becomes_a_job_like_any_other(world: World) -> None:
    quote = await quoted(world)
    told = await press(world, quote)
    job = await world.job()
    assert told == (
        f"Job `{job.job_id}` is ordered: apixo/sora-2-pro · 8 s · landscape · 1080p, "
        "$3.60 held from your quota. $96.40 left this month. Its card is below."
    )
    assert quote.response.components == []
    await world.settled()
    assert (await world.job()).stage is Stage.DONE
    assert await world.sums() == (3_600_000, 0)


async def test_a_cancelled_quote_leaves_nothing(world: World) -> None:
    quote = await quoted(world)
    assert await press(world, quote, "Cancel") == quote_messages.DROPPED
    assert quote.response.components == []
    await world.settled()
    assert await world.jobs() == []
    assert world.posts() == []


@pytest.mark.parametrize(("above", "asks"), [(500_000, False), (499_999, True), (0, True)])
async def test_only_what_is_above_the_servers_price_is_quoted(world: World, above: int, asks: bool) -> None:
    await confirm_above(world, above)
    told = await world.create(prompt="A fox", confirms=False)
    assert told.startswith("This costs **≈$0.50**") is asks
    assert len(await world.jobs()) == (not asks)
    await world.settled()


async def test_the_picture_of_a_quote_is_kept_until_it_is_confirmed(world: World) -> None:
    quote = await quoted(world, image=("hills.png", picture(360, 640)))
    assert "1080p" in quote.response.content
    assert "portrait" in quote.response.content
    await press(world, quote)
    await world.settled()
    job = await world.job()
    assert (job.stage, job.request.mode, job.request.shape) == (Stage.DONE, Mode.IMAGE, Shape.PORTRAIT)


async def test_a_quote_fits_however_many_models_there_are(tmp_path: Path) -> None:
    models = MANY + "".join(
        f'\n[models."apixo/{number}{"x" * 73}"]\nlike = "{PRO}"\nseconds = {list(range(1, 60))}'
        for number in range(5)
    )
    async with world_with(tmp_path, models) as world:
        quote = await quoted(world, model=f"apixo/0{'x' * 73}")
        assert len(quote.response.content) <= 2000
        assert "-# Length: 3 s $1.35, " in quote.response.content
        assert " **8 s $3.60**, " in quote.response.content
        longest = await quoted(world, model=f"apixo/0{'x' * 73}", seconds=59)
        assert ", 58 s $26.10, **59 s $26.55**\n" in longest.response.content


# Pressing


async def test_two_presses_at_once_order_once(world: World) -> None:
    quote = await quoted(world)
    await press_at_once(world, quote.response, *[(world.member, "Confirm")] * 3)
    (job,) = await world.jobs()
    assert quote.response.content.startswith(f"Job `{job.job_id}` is ordered")
    await world.settled()
    assert len(world.gateway.submitted) == 1


@pytest.mark.parametrize("first", ["Confirm", "Cancel"])
async def test_of_confirm_and_cancel_at_once_one_counts(world: World, first: str) -> None:
    quote = await quoted(world)
    (second,) = {"Confirm", "Cancel"} - {first}
    results = await press_at_once(world, quote.response, (world.member, first), (world.member, second))
    (told,) = [message.content for result in results for message in result.followups]
    if await world.jobs():
        assert told == "It was ordered already. `/video list` shows your jobs."
        assert "is ordered" in quote.response.content
    else:
        assert told == quote_messages.OVER[DraftStage.DROPPED]
        assert quote.response.content == quote_messages.DROPPED
    await world.settled()


async def test_a_quote_can_be_confirmed_after_a_restart(world: World) -> None:
    quote = await quoted(world)
    await world.settled()
    await world.restart()
    assert "is ordered" in await press(world, quote)
    await world.settled()
    assert (await world.job()).stage is Stage.DONE


async def test_a_quote_ends_after_a_day(world: World) -> None:
    quote = await quoted(world)
    world.time.jump(hours=24)
    assert await press(world, quote) == ("This quote is older than a day. Order again; nothing was charged.")
    assert await world.jobs() == []


async def test_a_quote_that_is_nearly_a_day_old_still_counts(world: World) -> None:
    quote = await quoted(world)
    world.time.jump(hours=23, minutes=59)
    assert "is ordered" in await press(world, quote)
    await world.settled()


async def test_a_changed_price_is_quoted_anew_and_has_to_be_confirmed_again(
    world: World, tmp_path: Path
) -> None:
    quote = await quoted(world)
    file = tmp_path / "models.toml"
    file.write_text(DEARER)
    await world.settled()
    await world.restart(models_file=file)
    told = await press(world, quote)
    assert told.startswith("The price has changed. It is **$4.00** now: apixo/sora-2-pro · 8 s")
    assert labels(quote.response.components) == ["Confirm", "Cancel"]
    assert await world.jobs() == []
    assert "$4.00 held" in await press(world, quote)
    await world.settled()
    assert await world.sums() == (4_000_000, 0)


async def test_a_double_press_does_not_order_at_a_price_that_nobody_saw(world: World, tmp_path: Path) -> None:
    quote = await quoted(world, image=("hills.png", picture(360, 640)))
    file = tmp_path / "models.toml"
    file.write_text(DEARER)
    await world.settled()
    await world.restart(models_file=file)

    results = await press_at_once(world, quote.response, *[(world.member, "Confirm")] * 3)

    told = [message.content for result in results for message in result.followups]
    assert told == [quote_messages.OVER[DraftStage.DROPPED]] * 2
    assert await world.jobs() == []
    assert quote.response.content.startswith("The price has changed. It is **$4.00** now")
    assert "$4.00 held" in await press(world, quote)
    await world.settled()
    assert await world.sums() == (4_000_000, 0)
    assert (await world.job()).request.mode is Mode.IMAGE


@pytest.mark.parametrize(
    ("models", "says"),
    [
        (RETIRED, "apixo/sora-2-pro cannot be ordered: it is retired."),
        (SHORTER, "apixo/sora-2-pro makes clips of 4 seconds, not 8."),
    ],
)
async def test_what_can_no_longer_be_ordered_is_refused_and_the_quote_stays(
    world: World, tmp_path: Path, models: str, says: str
) -> None:
    quote = await quoted(world)
    file = tmp_path / "models.toml"
    file.write_text(models)
    await world.settled()
    await world.restart(models_file=file)
    assert (await press(world, quote)).startswith(says)
    assert labels(quote.response.components) == ["Confirm", "Cancel"]
    assert await world.jobs() == []


async def test_a_limit_that_refuses_now_says_so_and_lets_the_quote_be_confirmed_later(world: World) -> None:
    quote = await quoted(world)
    await limit(world, 3_000_000)
    told = await press(world, quote)
    assert told.startswith("This would go over your limit: $3.00 a month")
    assert await world.jobs() == []
    await limit(world, 4_000_000)
    assert "$3.60 held from your quota. $0.40 left this month." in await press(world, quote)
    await world.settled()


async def test_a_refusal_at_confirm_can_be_taken_to_staff(world: World) -> None:
    room = world.guild.create_text_channel("staff-room")
    await ServerStore(world.database).change(
        world.guild.id,
        act="staff-channel",
        what="",
        by=world.staff.id,
        now=world.time.now(),
        staff_channel_id=room.id,
    )
    quote = await quoted(world)
    await limit(world, 3_000_000)
    refused = await click(world.member, quote, "Confirm")
    (answer,) = refused.followups
    assert labels(answer.components) == ["Ask for $3.60"]
    asked = await world.member.click(answer, label="Ask for $3.60")
    assert asked.ephemeral
    assert len(room.history()) == 1
    assert await press(world, quote) == "Staff are asked for this video already; they decide."
    assert await press(world, quote, "Cancel") == "Staff are asked for this video already; they decide."


async def test_a_paused_server_confirms_nothing_until_it_goes_on(world: World) -> None:
    quote = await quoted(world)
    await world.ask("video-admin pause", by=world.staff, reason="Budget talks")
    assert "Budget talks" in await press(world, quote)
    assert await world.jobs() == []
    await world.ask("video-admin resume", by=world.staff)
    assert "is ordered" in await press(world, quote)
    await world.settled()


async def test_who_may_no_longer_order_confirms_nothing(world: World) -> None:
    quote = await quoted(world)
    await world.ask("video-admin access deny", by=world.staff, member=world.member)
    told = await press(world, quote)
    assert "is ordered" not in told
    assert labels(quote.response.components) == ["Confirm", "Cancel"]
    assert await world.jobs() == []


async def test_the_roles_that_count_are_those_at_the_press(world: World) -> None:
    role = world.guild.create_role("Artists")
    artist = world.guild.add_member(world.env.create_user("artist"))
    await LimitStore(world.database).set(
        world.guild.id,
        Limit(layer=Layer.ROLE, measure=Measure.MONTH, amount=200_000_000, subject=str(role.id)),
        what="",
        by=world.staff.id,
        now=world.time.now(),
    )
    quote = await quoted(world, by=artist)
    world.env.backend.add_member_role(world.guild.id, artist.id, role.id)
    assert "$196.40 left this month." in await press(world, quote, by=artist)
    (job,) = await world.jobs(of=artist)
    assert (job.role_id, job.charge.subject_id) == (role.id, role.id)
    await world.settled()


async def test_nothing_is_confirmed_while_the_bot_stops(world: World) -> None:
    quote = await quoted(world)
    world.app.jobs.close()
    assert (await press(world, quote)).startswith("The bot is restarting.")
    assert await world.jobs() == []


async def test_presses_in_another_server_order_and_drop_nothing(world: World) -> None:
    quote = await quoted(world)
    *_, row = quote.response.components
    draft_id = row["components"][0]["custom_id"].rsplit(":", 1)[1]
    others = world.env.create_guild("Others")
    channel = others.create_text_channel("general")
    member = others.add_member(world.member.user)
    await world.restart(allowed_servers=f"{world.guild.id},{others.id}")
    place = world.app.bot.get_partial_messageable(channel.id, guild_id=others.id)
    message = await place.send("A copy", view=cards.quote_buttons(draft_id))
    for label in ("Confirm", "Cancel"):
        pressed = await member.click(message, label=label)
        assert [answer.content for answer in pressed.followups] == ["There is no such quote here."]
    assert await world.jobs() == []
    assert "is ordered" in await press(world, quote)
    await world.settled()


async def test_a_quote_that_never_was_is_not_found(world: World) -> None:
    place = world.app.bot.get_partial_messageable(world.channel.id, guild_id=world.guild.id)
    message = await place.send("A forgery", view=cards.quote_buttons("nothing"))
    pressed = await world.member.click(message, label="Confirm")
    assert [answer.content for answer in pressed.followups] == ["There is no such quote here."]


# Every way of ordering


async def test_the_form_of_a_picture_asks_for_a_yes_too(world: World) -> None:
    message = await world.other.send(world.channel, "", attachments=[("a.png", picture())])
    shown = await world.member.context_menu(world.channel, "Animate image", message)
    quote = await world.member.submit_modal(shown, {"prompt": "It moves", "offer": [f"{PRO}|12"]})
    assert quote.response.content.startswith("This costs **$3.24**: apixo/sora-2-pro · 12 s")
    assert "is ordered" in await press(world, quote)
    await world.settled()
    assert (await world.job()).request.mode is Mode.IMAGE


async def test_the_quote_of_a_mention_is_public_and_its_authors_alone(world: World) -> None:
    await confirm_above(world, 0)
    said = await world.member.send(world.channel, f"{world.app.bot.user.mention} A fox")
    quote = world.posts()[-1]
    assert quote.reference is not None
    assert quote.reference.message_id == said.id
    assert quote.content.startswith("This costs **≈$0.50**")
    for label in ("Confirm", "Cancel"):
        pressed = await world.other.click(quote, label=label)
        (answer,) = pressed.followups
        assert answer.ephemeral
        assert answer.content == quote_messages.NOT_YOURS
    await world.member.click(quote, label="Confirm")
    job = await world.job()
    told = next(message.content for message in world.posts() if message.id == quote.id)
    assert told == messages.acknowledged(job)
    assert "left" not in told
    await world.settled()
    assert (await world.job()).stage is Stage.DONE


async def test_the_quote_of_a_mention_can_be_cancelled(world: World) -> None:
    await confirm_above(world, 0)
    await world.member.send(world.channel, f"{world.app.bot.user.mention} A fox")
    quote = world.posts()[-1]
    await world.member.click(quote, label="Cancel")
    assert world.posts()[-1].content == quote_messages.DROPPED
    assert world.posts()[-1].components == []
    assert await world.jobs() == []


# Orders that arrive twice, as the stores have them


@pytest.fixture
async def books(tmp_path: Path) -> AsyncGenerator[Books]:
    """Stores of a server with a staff channel, where every price is quoted."""
    async with open_books(tmp_path) as opened:
        await ServerStore(opened.database).change(
            SERVER, act="settings", what="", by=BOB, now=NOON, staff_channel_id=300, confirm_above_micros=0
        )
        yield opened


async def again(books: Books, new: NewJob) -> Job | Draft | Refusal:
    """The same order arrives once more; whoever reads it names it anew."""
    return await books.orders.place(dataclasses.replace(new, job_id="again"), UTC_POLICY, now=NOON)


async def test_an_order_that_was_quoted_is_the_same_quote_again(books: Books) -> None:
    quote = await books.orders.place(new := new_job(), UTC_POLICY, now=NOON)
    assert await again(books, new) == quote


async def test_an_order_that_was_refused_is_refused_again(books: Books) -> None:
    new = new_job(2 * DOLLAR)
    first = await books.orders.place(new, UTC_POLICY, now=NOON)
    assert isinstance(first, Refusal)
    assert await again(books, new) == first
    await books.limit(3 * DOLLAR)
    quote = await again(books, new)
    assert isinstance(quote, Draft)
    assert (quote.draft_id, quote.stage) == (new.job_id, DraftStage.QUOTED)


async def test_an_order_that_was_dropped_comes_back_as_such(books: Books) -> None:
    new = new_job()
    await books.orders.place(new, UTC_POLICY, now=NOON)
    dropped = await books.orders.drop(new.job_id)
    assert await again(books, new) == dropped
    assert dropped.stage is DraftStage.DROPPED


async def test_a_refusal_carries_what_the_purse_has_left(books: Books) -> None:
    await books.purse(DOLLAR)
    refused = await books.refusal(2 * DOLLAR)
    assert refused.note == "This channel's purse has $1.00 left, not enough for it: your own quota counts."
    assert refused.draft is not None
    confirmed = await books.orders.confirm(
        refused.draft.draft_id,
        quote=refused.quote,
        new_id="anew",
        role_ids=frozenset(),
        top_role_id=None,
        policy=UTC_POLICY,
        now=NOON,
    )
    assert confirmed == refused


# Cheaper ways, as values

MODELS = load_catalogue().models
WISH = VideoRequest(
    model=PRO,
    mode=Mode.TEXT,
    prompt="A fox",
    seconds=12,
    shape=Shape.PORTRAIT,
    quality=Quality.P1080,
)


def ways(wish: VideoRequest, *others: str) -> offers.Ways:
    own = MODELS[wish.model]
    near = [offers.nearest(wish, own, MODELS[one]) for one in others]
    return offers.ways(wish, own, [offer for offer in near if offer is not None])


def named(found: Sequence[offers.Offer]) -> list[tuple[str, int, str | None, int]]:
    return [(one.request.model, one.request.seconds, one.request.quality, one.quote.micros) for one in found]


def test_each_other_way_differs_in_one_thing_and_keeps_mode_and_shape() -> None:
    found = ways(WISH)
    assert named(found.lengths) == [
        (PRO, 4, "1080p", 1_800_000),
        (PRO, 8, "1080p", 3_600_000),
        (PRO, 12, "1080p", 5_400_000),
    ]
    assert named(found.qualities) == [(PRO, 12, "720p", 3_240_000), (PRO, 12, "1080p", 5_400_000)]
    every = (*found.lengths, *found.qualities, *found.cheaper)
    assert all(one.request.shape is Shape.PORTRAIT and one.request.mode is Mode.TEXT for one in every)


def test_the_cheapest_comes_first_and_may_differ_in_more_than_one_thing() -> None:
    found = ways(WISH)
    assert named(found.cheaper) == [
        (PRO, 4, "720p", 1_080_000),
        (PRO, 4, "1080p", 1_800_000),
        (PRO, 12, "720p", 3_240_000),
        (PRO, 8, "1080p", 3_600_000),
    ]


def test_the_cheapest_order_has_no_cheaper_way() -> None:
    assert ways(dataclasses.replace(WISH, seconds=4, quality=Quality.P720)).cheaper == ()


def test_other_models_are_among_what_is_cheaper() -> None:
    found = ways(WISH, "pixazo/sora-2-pro", "apixo/sora-2")
    assert named(found.cheaper)[0] == ("apixo/sora-2", 10, None, 500_000)
