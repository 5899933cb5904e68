"""A limit refuses an order, its member asks for more, staff decide: as everybody in it sees that."""

import contextlib
import dataclasses
import datetime as dt
from collections import Counter
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, cast

import discord
import pytest
from simcord import interactions
from simcord.backend import serializers
from simcord.builders import UserHandle
from simcord.enums import InteractionType

from bot import approval_card
from bot.approval_card import approve_id, deny_id
from bot.models import Budget, Draft, DraftStage, Job, Quote, Stage
from bot.quotas import Layer, Limit, Measure
from storage.approvals import ApprovalStore
from storage.audit import ActStore
from storage.limits import LimitStore
from storage.orders import OrderStore, Refusal
from storage.servers import ServerStore
from tests.books import ALICE, BOB, CENT, DOLLAR, NOON, SERVER, UTC_POLICY, Books, open_books
from tests.test_server_settings import staff
from tests.world import World, open_world, picture

DEARER = """
[models."apixo/sora-2".price]
unit = "video"
rows = [ { usd = "0.70" } ]
"""
GONE = """
[models."apixo/sora-2"]
status = "retired"
"""


class Team:
    """A server whose staff have a channel, whose members may spend $0.40, and whose clips cost $0.50."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.room = world.guild.create_text_channel("staff-room")
        self.role = world.guild.create_role("Approvers")
        self.approver = world.guild.add_member(world.env.create_user("approver"), roles=[self.role])

    async def set(self, **values: Any) -> None:
        """Change the server's settings."""
        await ServerStore(self.world.database).change(
            self.world.guild.id,
            act="set",
            what="",
            by=self.world.staff.id,
            now=self.world.time.now(),
            **values,
        )

    async def limit(self, layer: Layer, amount: int, *, subject: str = "") -> None:
        await LimitStore(self.world.database).set(
            self.world.guild.id,
            Limit(layer=layer, measure=Measure.MONTH, amount=amount, subject=subject),
            what="",
            by=self.world.staff.id,
            now=self.world.time.now(),
        )

    async def refused(self, *, by: Any = None, **options: Any) -> Any:
        """Order what the limit refuses."""
        options = {"prompt": "A fox", **options}
        result = await (by or self.world.member).slash(self.world.channel, "video create", **options)
        assert result.ephemeral
        assert "would go over your limit" in result.response.content
        return result

    async def ask(self, *, by: Any = None, label: str = "Ask for ≈$0.50", **options: Any) -> Any:
        """Order, be refused and ask; return the request in the staff channel."""
        refusal = await self.refused(by=by, **options)
        told = await self.press(by or self.world.member, refusal.response, label)
        assert "Staff were asked for" in told
        return self.requests()[-1]

    async def press(self, member: Any, message: Any, label: str) -> str:
        """Press a button; return the private answer. Time passes: the bot spaces what it sends."""
        results: list[Any] = []

        async def act() -> None:
            results.append(await member.click(message, label=label))

        await self.world.time.move_until(act())
        (result,) = results
        assert result.ephemeral
        return result.response.content

    async def press_at_once(self, message: Any, *presses: tuple[Any, str]) -> list[str]:
        """Press buttons of one message in the same instant; return what each person reads."""
        backend = self.world.env.backend
        stored = backend.get_message(self.room.id, message.id)
        records: list[Any] = []
        for member, custom_id in presses:
            record, payload = interactions.base_payload(
                backend,
                type=InteractionType.MESSAGE_COMPONENT,
                channel_id=self.room.id,
                guild_id=self.world.guild.id,
                user_id=member.id,
                data={"custom_id": custom_id, "component_type": 2},
            )
            record.source_message_id = stored.id
            payload["message"] = dict(serializers.message_payload(backend, stored))
            backend.emit("INTERACTION_CREATE", payload)
            records.append(record)

        def told() -> list[str]:
            answered = [one for one in records if one.message_id is not None]
            return [backend.get_message(one.channel_id, one.message_id).content for one in answered]

        await self.world.until(lambda: len(told()) == len(presses) and all(told()))
        return told()

    def requests(self) -> list[Any]:
        return self.room.history()

    def shown(self, message: Any) -> str:
        """What a request says now."""
        (found,) = [one for one in self.requests() if one.id == message.id]
        return "\n".join(texts([cast("dict[str, Any]", part.to_dict()) for part in found.components]))

    async def draft(self) -> Draft:
        (found,) = await self.drafts()
        return found

    async def drafts(self) -> list[Draft]:
        orders = OrderStore(self.world.database, self.world.store)
        async with self.world.database.read() as connection:
            rows = await connection.exec_driver_sql("SELECT draft_id FROM drafts ORDER BY created_at")
            ids = [row[0] for row in rows]
        found = [await orders.draft(one) for one in ids]
        return [draft for draft in found if draft is not None]

    async def stage(self) -> DraftStage:
        return (await self.draft()).stage

    async def acts(self) -> list[str]:
        found = await ActStore(self.world.database).page(self.world.guild.id)
        return [act.act for act in found if act.act != "set"]

    def told(self, member: Any = None) -> list[str]:
        """What somebody was told alone."""
        user = self.world.env.backend.get_user((member or self.world.member).id)
        return [message.content for message in UserHandle(self.world.env, user).dm_channel.history()]


def texts(components: list[dict[str, Any]]) -> list[str]:
    found: list[str] = []
    for component in components:
        found += [component[key] for key in ("content", "label") if component.get(key)]
        found += texts(component.get("components", []))
    return found


@contextlib.asynccontextmanager
async def open_team(folder: Path, **settings: Any) -> AsyncGenerator[Team]:
    values = {"default_user_monthly_limit": "0.40", **settings}
    async with open_world(folder / "data", **values) as world:
        team = Team(world)
        await team.set(staff_channel_id=team.room.id, approver_role_id=team.role.id)
        yield team


@pytest.fixture
async def team(tmp_path: Path) -> AsyncGenerator[Team]:
    async with open_team(tmp_path) as opened:
        yield opened


def models(folder: Path, written: str) -> Path:
    file = folder / "models.toml"
    file.write_text(written)
    return file


# Asking


async def test_a_refusal_names_the_limit_and_offers_to_ask_for_the_price(team: Team) -> None:
    result = await team.refused()

    assert "$0.40 a month, of which $0.00 is spent and $0.00 is held" in result.response.content
    assert "This order costs ≈$0.50." in result.response.content
    assert texts(result.response.components) == ["Ask for ≈$0.50"]
    assert team.requests() == []


async def test_without_a_staff_channel_a_refusal_says_how_staff_can_set_one(team: Team) -> None:
    await team.set(staff_channel_id=None)

    result = await team.refused()

    assert result.response.components == []
    assert "`/video-admin staff-channel`" in result.response.content


async def test_a_limit_that_no_approval_lifts_offers_nothing(team: Team) -> None:
    await team.limit(Layer.SERVER, 10 * CENT)

    told = await team.world.create(prompt="A fox")

    assert "this server's limit" in told
    assert "staff-channel" not in told
    assert await team.drafts() == []


async def test_a_request_says_who_asks_where_for_what_and_why_it_was_refused(team: Team) -> None:
    message = await team.ask(prompt="A fox @everyone `x`", image=("hills.png", picture()))

    said = team.shown(message)
    world = team.world
    assert "Request for ≈$0.50" in said
    assert f"<@{world.member.id}> asks in <#{world.channel.id}>: apixo/sora-2 · 10 s" in said
    assert "their own limit: $0.40 a month, of which $0.00 is spent and $0.00 is held" in said
    assert "```\nA fox @everyone \u02cbx\u02cb\n```" in said
    assert "Expires <t:" in said
    assert said.endswith("Approve\nDeny")
    (post,) = [one for one in world.env.http_requests if one.path == f"/channels/{team.room.id}/messages"]
    assert post.json["allowed_mentions"] == {"parse": []}
    assert "picture.png" in str(world.env.backend.get_message(team.room.id, message.id).components)


async def test_an_order_by_mention_is_refused_without_amounts_and_can_be_asked_for(team: Team) -> None:
    world = team.world
    me = world.app.bot.user
    assert me is not None
    await world.member.send(world.channel, f"<@{me.id}> A fox")
    await world.until(lambda: len(world.posts()) > 1)
    refusal = world.posts()[-1]
    assert "$" not in refusal.content
    assert "$" not in str([part.to_dict() for part in refusal.components])

    assert "Staff were asked for ≈$0.50" in await team.press(world.member, refusal, "Ask for more")
    assert "is ordered" in await team.press(world.staff, team.requests()[0], "Approve")
    await world.settled()


async def test_a_second_press_asks_nobody_again(team: Team) -> None:
    refusal = await team.refused()
    world = team.world

    assert "Staff were asked for ≈$0.50" in await team.press(world.member, refusal.response, "Ask for ≈$0.50")
    assert "Staff were asked already" in await team.press(world.member, refusal.response, "Ask for ≈$0.50")
    assert len(team.requests()) == 1


async def test_who_has_room_again_is_not_sent_to_staff(team: Team) -> None:
    refusal = await team.refused()
    await team.limit(Layer.ROLE, DOLLAR, subject=str(team.world.guild.id))  # everyone's role

    told = await team.press(team.world.member, refusal.response, "Ask for ≈$0.50")

    assert "There is room for it now" in told
    assert team.requests() == []
    assert "is ordered" in await team.world.create(prompt="A fox")


async def test_a_staff_channel_that_takes_no_posts_gives_the_order_back(team: Team) -> None:
    refusal = await team.refused()
    team.world.env.inject_error("POST", f"/channels/{team.room.id}/messages", status=403, code=50013)

    told = await team.press(team.world.member, refusal.response, "Ask for ≈$0.50")

    assert "could not be posted in the staff channel" in told
    assert await team.stage() is DraftStage.REFUSED
    assert "Staff were asked" in await team.press(team.world.member, refusal.response, "Ask for ≈$0.50")
    assert len(team.requests()) == 1


async def test_a_request_that_discord_does_not_take_now_is_posted_later(team: Team) -> None:
    refusal = await team.refused()
    team.world.env.inject_error("POST", f"/channels/{team.room.id}/messages", status=500, times=5)

    assert "Staff were asked" in await team.press(team.world.member, refusal.response, "Ask for ≈$0.50")
    await team.world.until(team.requests)

    assert "Request for" in team.shown(team.requests()[0])


async def test_a_request_asked_before_a_crash_is_posted_once_at_the_next_start(team: Team) -> None:
    world = team.world
    message = await team.ask()
    # As if the process had died before it could write down that it posted.
    async with world.database.write() as connection:
        await connection.exec_driver_sql("UPDATE drafts SET staff_message_id = NULL, shown_stage = NULL")
    await world.restart()

    async def is_known() -> bool:
        return (await team.draft()).shown_stage is DraftStage.ASKED

    await world.until(is_known)
    assert [one.id for one in team.requests()] == [message.id]
    async with world.database.write() as connection:
        await connection.exec_driver_sql("UPDATE drafts SET staff_message_id = NULL, shown_stage = NULL")
    world.env.backend.delete_message(team.room.id, message.id)
    await world.restart()
    await world.until(team.requests)
    await world.until(is_known)
    assert "is ordered" in await team.press(world.staff, team.requests()[0], "Approve")
    await world.settled()


async def test_a_member_has_at_most_five_requests_open(team: Team) -> None:
    world = team.world
    message, *_ = [await team.ask() for _ in range(5)]
    refusal = await team.refused()
    label = "Ask for ≈$0.50"

    told = await team.press(world.member, refusal.response, label)

    assert "Staff have 5 requests of yours to decide on." in told
    assert len(team.requests()) == 5
    await team.ask(by=world.other)
    await team.press(world.staff, message, "Deny")
    assert "Staff were asked for" in await team.press(world.member, refusal.response, label)


# When the staff channel changes


async def test_requests_follow_to_another_staff_channel(team: Team) -> None:
    world = team.world
    message = await team.ask(image=("hills.png", picture()))
    old, team.room = team.room, world.guild.create_text_channel("new-staff-room")
    await team.set(staff_channel_id=team.room.id)

    await world.until(team.requests)

    (left,) = old.history()
    assert left.id == message.id
    (said,) = texts([cast("dict[str, Any]", part.to_dict()) for part in left.components])
    assert said.endswith(f"of <@{world.member.id}> is in <#{team.room.id}> now.")
    assert left.attachments == []
    assert "is ordered" in await team.press(world.staff, team.requests()[0], "Approve")
    assert "Approved by" in team.shown(team.requests()[0])
    await world.settled()


@pytest.mark.parametrize("is_deleted", [True, False])
async def test_without_a_staff_channel_requests_are_given_back(team: Team, *, is_deleted: bool) -> None:
    world = team.world
    refusal = await team.refused()
    await team.press(world.member, refusal.response, "Ask for ≈$0.50")
    (message,) = team.requests()
    if is_deleted:
        world.env.backend.delete_channel(team.room.id)
    else:
        await team.set(staff_channel_id=None)

    await world.until(team.told)

    (told,) = team.told()
    assert "was given back: I have no channel in which staff could read it. Nothing was charged." in told
    if not is_deleted:
        assert "Given back: ≈$0.50" in team.shown(message)
        assert "Approve\n" not in team.shown(message)
    assert await team.stage() is DraftStage.REFUSED
    team.room = world.guild.create_text_channel("new-staff-room")
    await team.set(staff_channel_id=team.room.id)
    assert "Staff were asked for" in await team.press(world.member, refusal.response, "Ask for ≈$0.50")
    assert len(team.requests()) == 1
    assert len(team.told()) == 1


async def test_a_request_whose_message_was_deleted_is_posted_anew_by_a_second_ask(team: Team) -> None:
    world = team.world
    refusal = await team.refused()
    await team.press(world.member, refusal.response, "Ask for ≈$0.50")
    (message,) = team.requests()
    world.env.backend.delete_message(team.room.id, message.id)

    for _ in range(2):
        told = await team.press(world.member, refusal.response, "Ask for ≈$0.50")
        assert "Staff were asked already" in told

    (message,) = team.requests()
    assert "is ordered" in await team.press(world.staff, message, "Approve")
    await world.settled()


async def test_a_second_ask_says_if_staff_cannot_be_asked_any_longer(team: Team) -> None:
    world = team.world
    refusal = await team.refused()
    await team.press(world.member, refusal.response, "Ask for ≈$0.50")
    (message,) = team.requests()
    world.env.backend.delete_message(team.room.id, message.id)
    world.env.inject_error("POST", f"/channels/{team.room.id}/messages", status=403, code=50013)

    told = await team.press(world.member, refusal.response, "Ask for ≈$0.50")

    assert "could not be posted in the staff channel" in told
    assert await team.stage() is DraftStage.REFUSED
    assert "Staff were asked for" in await team.press(world.member, refusal.response, "Ask for ≈$0.50")
    assert team.told() == []


async def test_who_asked_is_told_when_a_late_post_is_refused(team: Team) -> None:
    world = team.world
    refusal = await team.refused()
    path = f"/channels/{team.room.id}/messages"
    world.env.inject_error("POST", path, status=500, times=5)
    await team.press(world.member, refusal.response, "Ask for ≈$0.50")
    world.env.inject_error("POST", path, status=403, code=50013)

    await world.until(team.told)

    assert "was given back" in team.told()[0]
    assert await team.stage() is DraftStage.REFUSED
    assert team.requests() == []


# Approving


async def test_an_approved_request_becomes_a_job_beside_the_members_quota(team: Team) -> None:
    world = team.world
    refusal = await team.refused(image=("hills.png", picture()))
    await team.press(world.member, refusal.response, "Ask for ≈$0.50")
    (message,) = team.requests()

    told = await team.press(world.staff, message, "Approve")

    job = await world.job()
    assert f"job `{job.job_id}` is ordered" in told
    assert job.charge.budget is Budget.APPROVAL
    await world.settled()
    job = await world.job()
    assert job.stage is Stage.DONE
    assert job.channel_id == world.channel.id
    assert job.picture is not None
    assert len(world.answers()) == 1
    assert f"Approved by <@{world.staff.id}>: it is job `{job.job_id}`" in team.shown(message)
    assert "Approve\n" not in team.shown(message)
    assert [line for line in team.told() if "was approved" in line and job.job_id in line]
    assert await team.acts() == ["approve"]
    assert "It was ordered already" in await team.press(world.member, refusal.response, "Ask for ≈$0.50")
    assert "Spent: $0.00" in await world.ask("quota show")


async def test_a_refund_of_an_approved_job_changes_no_limit_of_its_member(team: Team) -> None:
    request = await team.ask()
    assert "is ordered" in await team.press(team.world.staff, request, "Approve")
    await team.world.settled()
    job = await team.world.job()

    told = await staff(team.world, "refund", job=job.job_id, reason="blurred")

    assert told == (
        f"Job `{job.job_id}`: $0.50 given back; it had been approved by staff, so no limit of its member "
        "changes. It counts for the time in which the job was ordered, "
        f"<t:{int(job.created_at.timestamp())}:f>."
    )
    assert "**$0.40 left** of $0.40" in await team.world.ask("quota show")
    await team.world.settled()


async def test_an_approver_may_approve_others_but_not_their_own_and_staff_may(team: Team) -> None:
    world = team.world
    own = await team.ask(by=team.approver)
    assert "Nobody approves their own request" in await team.press(team.approver, own, "Approve")
    assert await team.stage() is DraftStage.ASKED
    assert "is ordered" in await team.press(world.staff, own, "Approve")
    theirs = await team.ask(by=world.other)
    assert "is ordered" in await team.press(team.approver, theirs, "Approve")
    staffs = await team.ask(by=world.staff)
    assert "is ordered" in await team.press(world.staff, staffs, "Approve")
    await world.settled()


async def test_an_approved_job_counts_in_the_highest_role_that_its_member_has_by_then(team: Team) -> None:
    world = team.world
    message = await team.ask(by=world.other)
    low, high = (world.guild.create_role(name, position=at) for name, at in (("Low", 5), ("High", 6)))
    member = world.env.backend.get_member(world.guild.id, world.other.id)
    for role in (high, low):
        member.role_ids.append(role.id)

    assert "is ordered" in await team.press(world.staff, message, "Approve")

    (job,) = await world.jobs(of=world.other)
    assert job.role_id == high.id
    await world.settled()


async def test_others_decide_nothing_and_read_who_may(team: Team) -> None:
    message = await team.ask()
    for label in ("Approve", "Deny"):
        told = await team.press(team.world.member, message, label)
        assert told == f"Only staff (Manage Server) and members with <@&{team.role.id}> can decide on this."
    assert await team.stage() is DraftStage.ASKED


async def test_staff_who_press_at_once_and_twice_make_one_job(team: Team) -> None:
    world = team.world
    message = await team.ask()
    approve = approve_id((await team.draft()).draft_id)

    told = await team.press_at_once(
        message, (world.staff, approve), (team.approver, approve), (world.staff, approve)
    )

    assert Counter("is ordered, " in sentence for sentence in told) == {True: 1, False: 2}
    assert all("It was ordered already" in one for one in told if "is ordered, " not in one)
    await world.settled()
    assert len(await world.jobs()) == len(world.gateway.submitted) == 1
    assert await team.acts() == ["approve"]


async def test_of_a_yes_and_a_no_at_once_one_holds(team: Team) -> None:
    world = team.world
    message = await team.ask()
    draft_id = (await team.draft()).draft_id

    told = await team.press_at_once(
        message, (world.staff, approve_id(draft_id)), (team.approver, deny_id(draft_id))
    )

    decided = [one for one in told if "already" not in one]
    assert len(decided) == 1
    await world.settled()
    assert len(await world.jobs()) == ("is ordered" in decided[0])
    assert len(await team.acts()) == 1


async def test_a_limit_of_the_channel_holds_and_the_request_stays_open(team: Team) -> None:
    world = team.world
    message = await team.ask()
    await team.limit(Layer.CHANNEL, 10 * CENT, subject=str(world.channel.id))

    told = await team.press(world.staff, message, "Approve")

    assert f"would go over the limit of <#{world.channel.id}>: $0.10 a month" in told
    assert "The request stays open." in told
    assert await team.stage() is DraftStage.ASKED
    assert await world.jobs() == []
    assert await team.acts() == ["quota set"]
    await team.limit(Layer.CHANNEL, DOLLAR, subject=str(world.channel.id))
    assert "is ordered" in await team.press(world.staff, message, "Approve")
    await world.settled()


async def test_pauses_and_access_rules_hold_for_asking_and_approving(team: Team) -> None:
    world = team.world
    refusal = await team.refused()
    await staff(world, "pause", reason="Review")
    told = await team.press(world.member, refusal.response, "Ask for ≈$0.50")
    assert "Orders in this server are paused since" in told
    await staff(world, "resume")
    await team.press(world.member, refusal.response, "Ask for ≈$0.50")
    (message,) = team.requests()

    await staff(world, "pause", reason="Review")
    told = await team.press(world.staff, message, "Approve")
    assert "`Review`" in told
    assert "The request stays open." in told
    await staff(world, "resume")
    await staff(world, "access deny", member=world.member)
    assert "The request stays open." in await team.press(world.staff, message, "Approve")
    assert await team.stage() is DraftStage.ASKED
    await staff(world, "access clear", member=world.member)
    assert "is ordered" in await team.press(world.staff, message, "Approve")
    await world.settled()


async def test_a_request_survives_restarts_between_every_step(team: Team) -> None:
    world = team.world
    refusal = await team.refused(image=("hills.png", picture()))
    await world.restart()
    assert "Staff were asked" in await team.press(world.member, refusal.response, "Ask for ≈$0.50")
    (message,) = team.requests()
    await world.restart()
    assert "is ordered" in await team.press(world.staff, message, "Approve")
    await world.restart()
    await world.settled()
    job = await world.job()
    assert job.stage is Stage.DONE
    assert job.request.mode == "image-to-video"
    assert len(world.gateway.submitted) == 1


async def test_a_decision_that_was_not_shown_is_shown_at_the_next_start(team: Team) -> None:
    world = team.world
    message = await team.ask()
    world.env.inject_error("PATCH", f"/channels/{team.room.id}/messages/*", status=500, times=5)
    assert "is ordered" in await team.press(world.staff, message, "Approve")
    assert "Request for" in team.shown(message)
    assert "It was ordered already" in await team.press(world.staff, message, "Approve")
    await world.restart()
    await world.until(lambda: "Approved by" in team.shown(message))
    await world.settled()
    assert len(await world.jobs()) == 1


async def test_another_price_is_shown_and_has_to_be_approved_again(team: Team, tmp_path: Path) -> None:
    world = team.world
    message = await team.ask()
    await world.restart(models_file=models(tmp_path, DEARER))

    told = await team.press(world.staff, message, "Approve")

    assert "Nothing was approved yet" in told
    assert "$0.70" in told
    assert "it was ≈$0.50, now it is" in team.shown(message)
    assert await world.jobs() == []
    assert "is ordered" in await team.press(world.staff, message, "Approve")
    job = await world.job()
    assert job.quote.micros == 70 * CENT
    await world.settled()


async def test_a_model_that_is_gone_is_named_and_the_request_stays_open(team: Team, tmp_path: Path) -> None:
    message = await team.ask()
    await team.world.restart(models_file=models(tmp_path, GONE))

    assert "apixo/sora-2 cannot be ordered" in await team.press(team.world.staff, message, "Approve")

    assert await team.stage() is DraftStage.ASKED


async def test_a_request_of_somebody_who_left_is_closed(team: Team) -> None:
    world = team.world
    message = await team.ask()
    world.guild.remove_member(world.member)

    assert "no longer in this server" in await team.press(world.staff, message, "Approve")

    assert await team.stage() is DraftStage.DROPPED
    assert "no longer in this server. Nothing was charged." in team.shown(message)


# Denying and expiring


async def test_who_was_denied_is_told_and_nothing_is_held(team: Team) -> None:
    world = team.world
    refusal = await team.refused()
    await team.press(world.member, refusal.response, "Ask for ≈$0.50")
    (message,) = team.requests()

    assert f"I tell <@{world.member.id}>." in await team.press(team.approver, message, "Deny")

    assert f"Denied by <@{team.approver.id}>" in team.shown(message)
    assert [line for line in team.told() if "was denied" in line]
    assert await world.jobs() == []
    assert await team.acts() == ["deny"]
    assert "It was denied already" in await team.press(world.member, refusal.response, "Ask for ≈$0.50")


async def test_who_takes_no_direct_messages_is_told_in_the_channel_without_amounts(team: Team) -> None:
    message = await team.ask()
    team.world.env.inject_error("POST", "/users/@me/channels", status=403, code=50007)

    await team.press(team.world.staff, message, "Deny")

    (post,) = team.world.answers()
    assert post.content == (f"<@{team.world.member.id}>, your request was denied. Nothing was charged.")
    assert [user.id for user in post.mentions] == [team.world.member.id]


async def test_who_asked_is_told_later_when_discord_does_not_take_it_now(team: Team) -> None:
    message = await team.ask()
    team.world.env.inject_error("POST", "/users/@me/channels", status=500, times=5)

    told = await team.press(team.world.staff, message, "Deny")

    assert f"I tell <@{team.world.member.id}>." in told
    assert team.told() == []
    await team.world.until(team.told)
    (told,) = team.told()
    assert "was denied" in told


async def test_a_request_expires_after_a_day_and_everybody_reads_it(team: Team) -> None:
    world = team.world
    message = await team.ask()
    world.time.jump(hours=23)
    await world.until(lambda: True)
    assert await team.stage() is DraftStage.ASKED
    world.time.jump(hours=2)

    told = await team.press(world.staff, message, "Approve")

    assert "nobody said yes within 24 hours" in told
    await world.until(lambda: "Expired" in team.shown(message))
    assert "Nobody decided within 24 hours" in team.shown(message)
    assert [line for line in team.told() if "nobody decided within 24 hours" in line]
    assert await world.jobs() == []


async def test_a_request_expires_by_itself_also_at_the_next_start(team: Team) -> None:
    world = team.world
    first = await team.ask()
    world.time.jump(hours=25)
    await world.until(lambda: "Expired" in team.shown(first))
    refusal = await team.refused(by=world.other)
    world.time.jump(hours=25)
    told = await team.press(world.other, refusal.response, "Ask for ≈$0.50")
    assert "This is over" in told
    second = await team.ask(by=world.other)
    world.time.jump(hours=25)
    await world.restart()
    await world.until(lambda: "Expired" in team.shown(second))


# Between servers


async def test_presses_in_another_server_ask_and_decide_nothing(team: Team) -> None:
    world = team.world
    await team.refused()
    draft = await team.draft()
    await team.ask(by=world.other)
    elsewhere = world.env.create_guild("Others")
    await world.restart(allowed_servers=[world.guild.id, elsewhere.id])
    channel = elsewhere.create_text_channel("general")
    member = elsewhere.add_member(world.member.user)
    boss = elsewhere.create_role("Boss", permissions=discord.Permissions(manage_guild=True))
    staff = elsewhere.add_member(world.staff.user, roles=[boss])
    refused, asked = await team.drafts()
    assert (refused, asked.stage) == (draft, DraftStage.ASKED)
    for view in (approval_card.ask(refused.draft_id, "$0.50"), approval_card.request(asked)):
        await world.app.bot.get_partial_messageable(channel.id, guild_id=elsewhere.id).send(view=view)
    ask, request = channel.history()

    assert await team.press(member, ask, "Ask for $0.50") == "There is no such request here."
    for label in ("Approve", "Deny"):
        assert await team.press(staff, request, label) == "There is no such request here."
    assert await team.drafts() == [refused, asked]
    assert await world.jobs() == await world.jobs(of=world.other) == []


async def test_a_server_that_the_operator_no_longer_allows_asks_and_decides_nothing(team: Team) -> None:
    world = team.world
    refusal = await team.refused()
    message = await team.ask(by=world.other)
    before = await team.drafts()
    await world.restart(allowed_servers=[1])

    for member, pressed, label in (
        (world.member, refusal.response, "Ask for ≈$0.50"),
        (world.staff, message, "Approve"),
        (world.staff, message, "Deny"),
    ):
        assert "takes no orders in this server" in await team.press(member, pressed, label)
    assert await team.drafts() == before


async def test_only_its_member_asks(team: Team) -> None:
    await team.refused()
    view = approval_card.ask((await team.draft()).draft_id, "$0.50")
    world = team.world
    place = world.app.bot.get_partial_messageable(world.channel.id, guild_id=world.guild.id)
    message = await place.send(view=view)

    told = await team.press(world.other, message, "Ask for $0.50")

    assert told == "Only the member who ordered this can ask for it."
    assert await team.stage() is DraftStage.REFUSED


# Stored

NO_ROLES: dict[str, Any] = {"role_ids": frozenset(), "top_role_id": None}


@pytest.fixture
async def books(tmp_path: Path) -> AsyncGenerator[Books]:
    async with open_books(tmp_path) as opened:
        yield opened


async def asked(books: Books, store: ApprovalStore, micros: int = 3 * DOLLAR) -> Draft:
    """An order over the default dollar that staff were asked for, and see."""
    await ServerStore(books.database).change(
        SERVER, act="staff-channel", what="", by=BOB, now=NOON, staff_channel_id=300
    )
    refusal = await books.refusal(micros)
    assert refusal.draft is not None
    quote = refusal.draft.new.quote
    draft = await store.ask(
        refusal.draft.draft_id, quote=quote, role_ids=frozenset(), policy=UTC_POLICY, now=NOON
    )
    assert draft.stage is DraftStage.ASKED
    await store.shown(draft, 400)
    return draft


async def test_a_grant_and_a_hold_of_one_act_leave_the_members_money_alone(books: Books) -> None:
    store = ApprovalStore(books.database, books.orders)
    draft = await asked(books, store)
    before = await books.sums()
    later = NOON + dt.timedelta(hours=1)
    price = {**NO_ROLES, "quote": draft.new.quote, "policy": UTC_POLICY, "now": later}

    job = await store.approve(draft.draft_id, by=BOB, **price)
    again = await store.approve(draft.draft_id, by=BOB, **price)

    assert isinstance(job, Job)
    assert isinstance(again, Draft)
    assert (again.stage, again.job_id, again.decider_user_id) == (DraftStage.ORDERED, job.job_id, BOB)
    assert await books.entries(job) == [("hold", 3 * DOLLAR), ("grant", 3 * DOLLAR)]
    ((budget, act, kind, by),) = await books.rows(
        "SELECT budget, act, kind, discord_id FROM ledger JOIN acts USING (act_id) "
        "JOIN members ON members.member_id = ledger.actor_id"
    )
    assert (budget, act, kind, by) == ("approval", "approve", "grant", BOB)
    assert job.created_at == later
    assert await books.sums() == dataclasses.replace(before, jobs=1)
    assert (await books.sums(None)).held_micros == 3 * DOLLAR
    await books.bring(job, Stage.DONE)
    assert await books.sums() == dataclasses.replace(before, jobs=1)
    assert (await books.sums(None)).spent_micros == 3 * DOLLAR
    await books.place(DOLLAR)  # the member's own dollar is still whole


async def test_a_request_keeps_no_persons_id_and_comes_from_its_order_once(books: Books) -> None:
    store = ApprovalStore(books.database, books.orders)
    draft = await asked(books, store)
    job = await store.approve(
        draft.draft_id, by=BOB, quote=draft.new.quote, policy=UTC_POLICY, now=NOON, **NO_ROLES
    )
    assert isinstance(job, Job)

    assert job.origin == draft.new.origin
    assert await books.orders.place(draft.new, UTC_POLICY, now=NOON) == job
    ((what, reason),) = await books.rows("SELECT what, reason FROM acts WHERE act = 'approve'")
    assert f"<@{ALICE}>" not in what + reason
    assert "their own limit: $1.00 a month" in reason


async def test_the_servers_and_the_operators_limits_refuse_an_approval(books: Books) -> None:
    store = ApprovalStore(books.database, books.orders)
    draft = await asked(books, store)
    cap = Limit(layer=Layer.OPERATOR, measure=Measure.MONTH, amount=2 * DOLLAR)
    capped = dataclasses.replace(UTC_POLICY, caps=(cap,))

    outcome = await store.approve(
        draft.draft_id, by=BOB, quote=draft.new.quote, policy=capped, now=NOON, **NO_ROLES
    )

    assert isinstance(outcome, Refusal)
    assert outcome.standing.limit == cap
    assert await books.rows("SELECT * FROM ledger") == []
    assert await books.rows("SELECT * FROM acts WHERE act = 'approve'") == []


async def test_a_new_price_has_to_be_seen_before_it_is_approved(books: Books) -> None:
    store = ApprovalStore(books.database, books.orders)
    draft = await asked(books, store)
    quote = Quote(micros=4 * DOLLAR, estimate=False)
    dearer = {**NO_ROLES, "quote": quote, "policy": UTC_POLICY, "now": NOON}

    quoted = await store.approve(draft.draft_id, by=BOB, **dearer)
    unseen = await store.approve(draft.draft_id, by=BOB, **dearer)

    assert isinstance(quoted, Draft)
    assert quoted == unseen
    assert quoted.new.quote.micros == 4 * DOLLAR
    assert "it was $3.00, now it is $4.00" in quoted.why
    await store.shown(quoted, 400)
    job = await store.approve(draft.draft_id, by=BOB, **dearer)
    assert isinstance(job, Job)
    assert job.quote.micros == 4 * DOLLAR


async def test_an_open_request_keeps_its_picture_and_a_closed_one_does_not(books: Books) -> None:
    store = ApprovalStore(books.database, books.orders)
    draft = await asked(books, store)
    await books.write("UPDATE drafts SET picture_name = 'hills.png'")
    assert await books.jobs.files_needed(NOON) == {"hills.png"}

    await store.leave(draft.draft_id)

    assert await books.jobs.files_needed(NOON) == set()


async def test_what_became_no_job_is_forgotten_with_its_prompt_after_a_while(books: Books) -> None:
    store = ApprovalStore(books.database, books.orders)
    ordered, denied, waiting = [await asked(books, store) for _ in range(3)]
    price = {"quote": ordered.new.quote, "policy": UTC_POLICY, "now": NOON}
    assert isinstance(await store.approve(ordered.draft_id, by=BOB, **price, **NO_ROLES), Job)
    await store.deny(denied.draft_id, by=BOB, now=NOON)

    await store.forget(before=NOON + dt.timedelta(hours=24))
    assert await books.orders.draft(denied.draft_id) is not None
    await store.forget(before=NOON + dt.timedelta(hours=25))

    assert await books.orders.draft(denied.draft_id) is None
    for kept in (ordered, waiting):
        assert await books.orders.draft(kept.draft_id) is not None


async def test_an_answer_that_comes_late_leaves_a_new_asking_alone(books: Books) -> None:
    store = ApprovalStore(books.database, books.orders)
    first = await asked(books, store)
    await store.give_back(first.draft_id)
    given_back = await books.orders.draft(first.draft_id)
    assert given_back is not None
    later = NOON + dt.timedelta(hours=1)
    again = await store.ask(
        first.draft_id, quote=first.new.quote, role_ids=frozenset(), policy=UTC_POLICY, now=later
    )

    await store.shown(given_back, 400)

    assert await books.orders.draft(first.draft_id) == again
    assert await store.unshown() == [again]


async def test_requests_to_show_are_found_without_reading_all(books: Books) -> None:
    plans = await books.plans(ApprovalStore(books.database, books.orders).unshown())

    assert any("drafts_unshown" in step for step in plans)
