"""A job's card in every stage, its button, and what of foreign words it lets through."""

import dataclasses
import datetime as dt
import re
from pathlib import Path
from typing import Any

import discord
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import cards, messages, outlook
from bot.catalogue_tables import load_catalogue
from bot.models import (
    Account,
    Budget,
    Charge,
    Failure,
    FailureKind,
    Job,
    Mode,
    Picture,
    Quality,
    Quote,
    Shape,
    Stage,
    VideoRequest,
)
from bot.outlook import NOTHING_KNOWN, Outlook
from bot.timing import documented
from tests.acting import has_card, world_with_a_waiting_job
from tests.fake_apixo import state
from tests.world import START, World, picture

MODELS = load_catalogue().models

PICTURE = Picture(path=Path("hash.png"), content_type="image/png", width=640, height=360, cropped=True)

ROLE_ID = 2**62
CHARGES = [
    Charge(budget=Budget.MEMBER),
    Charge(budget=Budget.ROLE, subject_id=ROLE_ID),
    Charge(budget=Budget.PURSE, subject_id=5),
    Charge(budget=Budget.APPROVAL),
]

NASTY = st.sampled_from(
    ["@everyone", "<@5>", "<@&6>", "<#7>", "`", "```", "\n", "\u202e", "https://evil.example", "[a](b)", "\\"]
)
WORDS = st.lists(st.one_of(NASTY, st.text(max_size=400)), max_size=30).map("".join)


@st.composite
def jobs(draw: st.DrawFn) -> Job:
    """Any job that the database could hold."""
    stage = draw(st.sampled_from(Stage))
    over = stage in {Stage.FAILED, Stage.UNCERTAIN}
    failure = Failure(kind=draw(st.sampled_from(FailureKind)), detail=draw(WORDS), code=draw(WORDS))
    micros = draw(st.integers(0, 10**12))
    paid = stage in {Stage.DELIVERING, Stage.DONE}
    returned = stage in {Stage.FAILED, Stage.CANCELLED}
    return Job(
        job_id="abcdefgh23",
        origin="interaction:1",
        account=Account.REAL,
        server_id=2**63,
        channel_id=2**63,
        home_channel_id=2**63,
        member_id=1,
        user_id=draw(st.one_of(st.none(), st.just(2**63))),
        request=VideoRequest(
            model="apixo/sora-2-pro",
            mode=Mode.IMAGE,
            prompt=draw(WORDS),
            seconds=12,
            shape=draw(st.sampled_from(Shape)),
            quality=draw(st.sampled_from(Quality)),
            keep_watermark=draw(st.sampled_from([None, True])),
        ),
        gateway="apixo",
        picture=draw(st.sampled_from([None, PICTURE])),
        end_picture=draw(st.sampled_from([None, PICTURE])),
        note=draw(st.sampled_from(["", "The first of 10 pictures was taken."])),
        is_auto=draw(st.booleans()),
        fell_from=draw(st.sampled_from([None, "apixo/sora-2"])),
        fell_to=draw(st.sampled_from([None, "bcdefghj34"])),
        stage=stage,
        failure=failure if over else None,
        waiting_for=draw(st.sampled_from(["", "The gateway is busy; the bot tries again."])),
        task_id="task",
        submit_tries=1,
        result_urls=tuple(
            draw(st.lists(WORDS.map(lambda words: f"https://cdn.example/{words}"), max_size=2))
        ),
        clip=None,
        quote=Quote(micros=micros, estimate=draw(st.booleans())),
        charge=draw(st.sampled_from(CHARGES)),
        role_id=None,
        cost_micros=None,
        hook_token=None,
        named_task_id=None,
        rendered_at=None,
        uncertain_at=None,
        held_micros=0 if paid or returned else micros,
        settled_micros=micros if paid else 0,
        corrected_micros=draw(st.sampled_from([0, micros])) if paid else 0,
        card_message_id=2**63,
        card_stage=stage,
        video_message_id=draw(st.sampled_from([None, 2**63])),
        told_stage=None,
        created_at=START,
        submitted_at=draw(st.sampled_from([None, START])),
        fetched_at=None,
        finished_at=None,
    )


def outlook_at(job: Job, now: dt.datetime) -> Outlook:
    """What time says of a job whose model is only known from its page."""
    if job.stage is not Stage.RENDERING or job.submitted_at is None:
        return NOTHING_KNOWN
    return outlook.of_rendering(documented(MODELS[job.request.model].timing), job.submitted_at, now)


def shown(job: Job) -> tuple[str, int]:
    """Return what a card says, and how many components it is made of."""
    view = cards.card(job, MODELS[job.request.model], outlook_at(job, START + dt.timedelta(seconds=200)))
    assert view.to_components()
    texts = [item.content for item in view.walk_children() if isinstance(item, discord.ui.TextDisplay)]
    assert view.content_length() == sum(map(len, texts))
    return "\n".join(texts), view.total_children_count


def outside_of_code(text: str) -> str:
    blocks = text.split("```")
    assert len(blocks) % 2 == 1, "a code block is left open"
    lines = [line for block in blocks[::2] for line in block.split("\n")]
    assert all(line.count("`") % 2 == 0 for line in lines), "inline code is left open"
    return "\n".join("".join(line.split("`")[::2]) for line in lines)


def assert_inert(text: str, job: Job) -> None:
    plain = outside_of_code(text).replace(f"<@{job.user_id}>", "")
    links = re.findall(r"https?://[^\s>]+", plain)
    ours = "https://discord.com/channels/"
    assert all(link.startswith((ours, "https://cdn.example/")) for link in links)
    plain = re.sub(r"<https://cdn\.example/[^\s<>`]*>", "", plain)
    assert "@everyone" not in plain
    plain = plain.replace(f"<#{job.home_channel_id}>", "").replace(f"<@&{ROLE_ID}>", "")
    assert not re.search(r"<@|<#|\]\(", plain)
    assert "\u202e" not in text


@given(jobs())
def test_a_card_fits_and_lets_no_foreign_word_act(job: Job) -> None:
    text, count = shown(job)
    assert len(text) <= 4000
    assert count <= 40
    assert_inert(text, job)


TOLD = (Stage.RENDERING, Stage.UNCERTAIN, Stage.DELIVERING, Stage.FAILED)


def told(job: Job, stage: Stage) -> str:
    job = dataclasses.replace(job, stage=stage)
    return messages.delivered(job) if stage is Stage.DELIVERING else messages.told(job)


@given(jobs(), jobs())
def test_what_was_told_of_a_job_is_known_again_and_taken_for_nothing_else(before: Job, now: Job) -> None:
    """Between a crash and the next start a refund or a forgotten member may change the words."""
    other = dataclasses.replace(now, job_id="abcdefgh24")
    for stage in TOLD:
        content = told(before, stage)
        same = dataclasses.replace(now, failure=before.failure)
        known = {one for one in TOLD if messages.tells(content, dataclasses.replace(same, stage=one))}
        assert known == {stage}
        assert not any(messages.tells(content, dataclasses.replace(other, stage=one)) for one in TOLD)
    assert not any(messages.tells("", dataclasses.replace(now, stage=one)) for one in TOLD)


@given(jobs(), st.sampled_from([None, 100, 10**9]))
def test_every_message_about_a_job_fits_and_lets_no_foreign_word_act(
    job: Job, clip_bytes: int | None
) -> None:
    texts = [
        messages.acknowledged(job),
        *(told(job, stage) for stage in TOLD),
        messages.cancelled(job, by=2),
        *(messages.cannot_stop(job, aborts=aborts) for aborts in (False, True)),
        messages.job_page(job, clip_bytes=clip_bytes, limit=1000),
        messages.linked(job, START),
    ]
    for text in texts:
        assert len(text) <= 2000
        assert_inert(text, job)
    assert len("\n".join([messages.job_line(job)] * 5)) <= cards.MOST_PAGE
    assert len(messages.menu_line(job)) <= 100


@pytest.mark.parametrize("stage", Stage)
def test_each_stage_says_what_it_is_and_what_it_costs(stage: Stage) -> None:
    job = an_example(stage)
    text, _ = shown(job)
    assert text.startswith(f"### {messages.STAGE_TITLES[stage]} · Sora 2 Pro")
    for word in ("A fox", "apixo/sora-2-pro · 12 s · landscape · 1080p", "<@7>", "abcdefgh23"):
        assert word in text
    money = {Stage.DONE: "$5.40 spent", Stage.DELIVERING: "$5.40 spent", Stage.FAILED: "$5.40 returned"}
    money |= {Stage.CANCELLED: "$5.40 returned"}
    assert f"Quoted ≈$5.40, {money.get(stage, '$5.40 held')} · <@7>'s quota" in text
    view = cards.card(job, MODELS[job.request.model], NOTHING_KNOWN)
    labels = [item.label for item in view.walk_children() if isinstance(item, discord.ui.Button)]
    assert labels == {Stage.QUEUED: ["Cancel"], Stage.DONE: ["Go to the clip"]}.get(stage, [])


def an_example(stage: Stage) -> Job:
    paid = stage in {Stage.DELIVERING, Stage.DONE}
    request = VideoRequest(
        model="apixo/sora-2-pro",
        mode=Mode.TEXT,
        prompt="A fox",
        seconds=12,
        shape=Shape.LANDSCAPE,
        quality=Quality.P1080,
    )
    failed = stage in {Stage.FAILED, Stage.UNCERTAIN}
    return Job(
        job_id="abcdefgh23",
        origin="interaction:1",
        account=Account.REAL,
        server_id=1,
        channel_id=2,
        home_channel_id=2,
        member_id=3,
        user_id=7,
        request=request,
        gateway="apixo",
        picture=None,
        end_picture=None,
        is_auto=False,
        fell_from=None,
        fell_to=None,
        note="",
        stage=stage,
        failure=Failure(kind=FailureKind.SUBMIT_LOST) if failed else None,
        waiting_for="",
        task_id="task",
        submit_tries=1,
        result_urls=(),
        clip=None,
        quote=Quote(micros=5_400_000, estimate=True),
        charge=Charge(budget=Budget.MEMBER),
        role_id=None,
        cost_micros=None,
        hook_token=None,
        named_task_id=None,
        rendered_at=None,
        uncertain_at=None,
        held_micros=0 if paid or stage in {Stage.FAILED, Stage.CANCELLED} else 5_400_000,
        settled_micros=5_400_000 if paid else 0,
        corrected_micros=0,
        card_message_id=4,
        card_stage=stage,
        video_message_id=5,
        told_stage=None,
        created_at=START,
        submitted_at=START,
        fetched_at=None,
        finished_at=None,
    )


def test_a_rendering_card_shows_a_bar_and_times_that_discord_keeps_current() -> None:
    job = an_example(Stage.RENDERING)
    text, _ = shown(dataclasses.replace(job, submitted_at=START + dt.timedelta(seconds=110)))
    assert "▰▰▰▰▰▰▱▱▱▱▱▱" in text
    assert "At the gateway since <t:1795262510:R> · usually ready <t:1795262690:R>" in text


def test_a_card_of_a_slow_job_says_that_it_is_slow() -> None:
    text, _ = shown(an_example(Stage.RENDERING))
    assert "takes longer than usual" in text


def test_a_done_card_leads_to_the_clip() -> None:
    view = cards.card(an_example(Stage.DONE), MODELS["apixo/sora-2-pro"], NOTHING_KNOWN)
    links = [item.url for item in view.walk_children() if isinstance(item, discord.ui.Button)]
    assert links == ["https://discord.com/channels/1/2/5"]
    text, _ = shown(dataclasses.replace(an_example(Stage.DONE), video_message_id=None))
    assert "`/video show job:abcdefgh23` gives it to you." in text


# The card in the channel


def buttons(message: Any) -> list[str]:
    return re.findall(r"'custom_id': '([^']+)'", str([part.to_dict() for part in message.components]))


async def test_the_picture_is_on_the_card_of_its_job(world: World) -> None:
    await world.create(prompt="A fox", image=("hills.png", picture()))
    await world.settled()
    message = await world.card_message()
    assert [file.filename for file in message.attachments] == ["picture.png"]


async def test_a_card_can_be_cancelled_only_while_the_job_waits(tmp_path: Path) -> None:
    async with world_with_a_waiting_job(tmp_path) as world:
        job = await world.job()
        assert buttons(await world.card_message()) == [f"job:cancel:{job.job_id}"]
        await world.settled()
        assert buttons(await world.card_message()) == []


async def test_a_press_by_another_member_is_refused_and_one_by_staff_acts(tmp_path: Path) -> None:
    async with world_with_a_waiting_job(tmp_path) as world:
        card = await world.card_message()
        refused = await world.other.click(card, label="Cancel")
        assert refused.ephemeral
        assert refused.response.content.startswith("Only the member who ordered job")
        assert (await world.job()).stage is Stage.QUEUED
        pressed = await world.staff.click(card, label="Cancel")
        assert pressed.ephemeral
        assert f"is cancelled. $0.50 returned to <@{world.member.id}>'s quota." in pressed.response.content
        await world.settled()
        assert "Stopped before it was submitted; it cost nothing." in await world.card()


async def test_a_double_press_acts_once(tmp_path: Path) -> None:
    async with world_with_a_waiting_job(tmp_path) as world:
        card = await world.card_message()
        told = [(await world.member.click(card, label="Cancel")).response.content for _ in range(2)]
        assert "is cancelled" in told[0]
        assert "is over already: cancelled." in told[1]
        assert "$100.00 left" in await world.ask("quota show")


async def test_an_old_card_can_be_pressed_after_another_job_ended(tmp_path: Path) -> None:
    async with world_with_a_waiting_job(tmp_path) as world:
        old = await world.card_message()
        await world.create(by=world.staff, prompt="Another")
        (newer,) = await world.jobs(of=world.staff)
        await has_card(world, world.staff)
        await world.staff.slash(world.channel, "video cancel", job=newer.job_id)
        await world.until(lambda: world.app.desk.is_quiet)
        pressed = await world.member.click(old, label="Cancel")
        assert "is cancelled" in pressed.response.content


async def test_a_press_that_came_too_late_says_that_the_gateway_cannot_stop_it(world: World) -> None:
    world.gateway.looks.extend([state("generating")] * 3)
    await world.create(prompt="A fox")
    job = await world.reached(Stage.RENDERING)
    await world.until(lambda: world.app.desk.is_quiet)
    # Give the card back the button that the member still saw when they pressed.
    stored = world.env.backend.get_message(world.channel.id, job.card_message_id or 0)
    button = {"type": 2, "style": 2, "label": "Cancel", "custom_id": f"job:cancel:{job.job_id}"}
    stored.components.append({"type": 1, "components": [button]})
    pressed = await world.member.click(await world.card_message(), label="Cancel")
    assert "is already at the gateway, which cannot stop it." in pressed.response.content
    await world.settled()
    assert (await world.job()).stage is Stage.DONE
