"""From the command to the clip in the channel, as a member sees it."""

from bot.models import Stage
from tests.fake_apixo import state
from tests.world import World, picture


async def test_a_prompt_becomes_a_clip_in_the_channel(world: World) -> None:
    told = await world.create(prompt="A fox runs")
    job = await world.job()
    assert job.job_id in told
    assert "$0.50 held" in told
    await world.settled()
    job = await world.job()
    assert job.stage is Stage.DONE
    (message,) = world.answers()
    assert message.reference is not None
    assert message.reference.message_id == job.card_message_id
    assert [file.filename for file in message.attachments] == [f"{job.job_id}.mp4"]
    assert message.attachments[0].description == "A fox runs"
    assert "Done" in await world.card()
    assert "$0.50 spent" in await world.card()


async def test_a_picture_and_a_prompt_become_a_clip(world: World) -> None:
    await world.create(prompt="It moves", image=("hills.png", picture(360, 640)))
    await world.settled()
    (body,) = world.gateway.submitted
    assert body["input"]["mode"] == "image-to-video"
    assert body["input"]["aspect_ratio"] == "portrait"
    (link,) = body["input"]["image_urls"]
    assert link == (await world.card_message()).attachments[0].url
    assert (await world.job()).stage is Stage.DONE


async def test_a_refused_prompt_is_told_with_its_cost(world: World) -> None:
    world.gateway.looks.append(
        state("failed", failCode="CONTENT_VIOLATION", failMsg="Content does not meet safety guidelines")
    )
    await world.create(prompt="A fox runs")
    await world.settled()
    (message,) = world.answers()
    assert "The gateway refused the prompt" in message.content
    assert "`CONTENT_VIOLATION Content does not meet safety guidelines`" in message.content
    assert "$0.50 returned to your quota" in message.content
    assert "$0.50 returned" in await world.card()


async def test_an_over_long_prompt_is_refused_before_anything_is_stored(world: World) -> None:
    told = await world.create(prompt="x" * 5001, model="apixo/sora-2-pro")
    assert told == "The prompt has 5,001 characters; apixo/sora-2-pro takes at most 5,000."
    assert await world.jobs() == []
