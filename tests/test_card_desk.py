"""Cards keep up with their jobs within Discord's limits; what matters most goes first."""

import dataclasses
import datetime as dt
import itertools
from typing import Any

import pytest

from bot.models import Stage
from tests.acting import rush
from tests.world import SteppedTime, World

PRO = "apixo/sora-2-pro"


@dataclasses.dataclass
class Request:
    at: dt.datetime
    method: str
    channel: str
    message: str
    text: str


class Requests(list[Any]):
    """What SimCord writes down of the bot's requests, with the time."""

    def __init__(self, time: SteppedTime) -> None:
        super().__init__()
        self.stamped: list[Request] = []
        self._time = time

    def append(self, entry: Any) -> None:
        super().append(entry)
        parts = [*entry.path.strip("/").split("/"), "", "", "", ""]
        if parts[0] == "channels":
            text = str(entry.json)
            self.stamped.append(Request(self._time.now(), entry.method, parts[1], parts[3], text))

    @property
    def edits(self) -> list[Request]:
        return [request for request in self.stamped if request.method == "PATCH"]


@pytest.fixture
def requests(world: World) -> Requests:
    requests = world.env.backend.http_requests = Requests(world.time)
    return requests


def closest(requests: list[Request]) -> dt.timedelta:
    pairs = itertools.pairwise(sorted(request.at for request in requests))
    return min((later - earlier for earlier, later in pairs), default=dt.timedelta.max)


def most_within_a_second(requests: list[Request]) -> int:
    second = dt.timedelta(seconds=1)
    return max(sum(first.at <= one.at < first.at + second for one in requests) for first in requests)


async def test_fifty_orders_in_one_second_lose_no_card_to_discords_limit(
    requests: Requests, world: World
) -> None:
    await rush(world, "video create", {"prompt": "A fox runs"}, 50)
    ordered = world.time.now()
    await world.settled()
    jobs = await world.store.of_member(world.guild.id, world.member.id, limit=60)
    assert len({job.card_message_id for job in jobs}) == 50
    assert {job.stage for job in jobs} == {Stage.DONE}
    assert most_within_a_second(requests.stamped) <= 50
    posts = [request for request in requests.stamped if request.method == "POST"]
    assert posts[49].at - ordered <= dt.timedelta(seconds=2)
    assert "Done" in await world.card(jobs[0])
    assert "Done" in await world.card(jobs[-1])


async def test_a_card_shows_progress_every_fifteen_seconds_at_most(requests: Requests, world: World) -> None:
    world.gateway.keep_rendering()
    await world.create(prompt="A fox runs", model=PRO)
    await world.until(lambda: len(requests.edits) >= 8)
    (bars,) = [[edit for edit in requests.edits if "▰" in edit.text]]
    assert len(bars) >= 6
    assert closest(bars) >= dt.timedelta(seconds=15)
    assert len({edit.text for edit in bars}) == len(bars)


async def test_a_channel_is_edited_every_three_seconds_at_most(requests: Requests, world: World) -> None:
    for _ in range(8):
        await world.create(prompt="A fox runs", model=PRO)
    await world.settled()
    assert len(requests.edits) >= 16
    assert closest(requests.edits) >= dt.timedelta(seconds=3)


async def test_all_channels_together_are_edited_ten_times_a_second_at_most(
    requests: Requests, world: World
) -> None:
    for number in range(14):
        channel = world.guild.create_text_channel(f"room-{number}")
        await world.member.slash(channel, "video create", prompt="A fox runs")
    await world.settled()
    assert len({edit.channel for edit in requests.edits}) == 14
    assert most_within_a_second(requests.edits) <= 10


async def test_a_new_stage_goes_before_mere_progress_and_skips_what_is_past(
    requests: Requests, world: World
) -> None:
    world.gateway.keep_rendering()
    for _ in range(9):
        await world.create(prompt="A fox runs", model=PRO)
    await world.until(lambda: len([edit for edit in requests.edits if "▰" in edit.text]) >= 12)
    world.gateway.renders = True
    await world.settled()
    for job in await world.jobs():
        titles = [
            title
            for edit in requests.edits
            if edit.message == str(job.card_message_id)
            for title in ("Ordering", "Rendering", "Fetching", "Posting", "Done")
            if f"### {title}" in edit.text
        ]
        assert titles[-1] == "Done"
        assert titles == sorted(titles, key=["Ordering", "Rendering", "Fetching", "Posting", "Done"].index)
        assert len(titles) - titles.count("Rendering") < 4


async def test_a_clip_does_not_wait_for_cards(requests: Requests, world: World) -> None:
    for _ in range(10):
        await world.create(prompt="A fox runs", model=PRO)
    await world.until_idle()
    assert len(world.answers()) == 10
    assert not world.app.desk.is_quiet
    posted = max(request.at for request in requests.stamped if request.method == "POST")
    assert posted - world.started <= dt.timedelta(seconds=120 + 15)
    await world.settled()


async def test_a_card_that_discord_did_not_take_is_edited_later(world: World) -> None:
    world.env.inject_error("PATCH", "/channels/*", status=503, times=4)
    await world.create(prompt="A fox runs")
    await world.settled()
    assert "Done" in await world.card()


async def test_a_card_that_is_gone_is_tried_for_new_stages_only(requests: Requests, world: World) -> None:
    world.gateway.keep_rendering()
    await world.create(prompt="A fox runs", model=PRO)
    job = await world.reached(Stage.RENDERING)
    world.delete_card(job)
    await world.until(lambda: world.gateway.asked("statusTask") >= 30)
    world.gateway.renders = True
    await world.settled()
    assert 1 <= len(requests.edits) <= 4
    assert (await world.job()).card_stage is Stage.DONE


async def test_a_job_cancelled_while_its_card_is_on_its_way_shows_it(world: World) -> None:
    await world.create(prompt="The first card goes at once")
    await world.create(prompt="The second waits for its turn")
    (second,) = [job for job in await world.jobs() if job.card_message_id is None]
    await world.ask("video cancel", job=second.job_id)
    await world.settled()
    second = next(job for job in await world.jobs() if job.job_id == second.job_id)
    assert second.stage is Stage.CANCELLED
    assert "Cancelled" in await world.card(second)
    assert second.card_stage is Stage.CANCELLED


async def test_cards_that_are_true_are_left_alone_after_a_restart(requests: Requests, world: World) -> None:
    world.gateway.keep_rendering()
    await world.create(prompt="A fox runs", model=PRO)
    await world.until(lambda: world.gateway.asked("statusTask") >= 1 and world.app.desk.is_quiet)
    await world.restart()
    before = len(requests.edits)
    await world.until(lambda: world.gateway.asked("statusTask") >= 2)
    assert len(requests.edits) <= before + 1
