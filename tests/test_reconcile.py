"""Balances beside the ledger, as the operator reads of them; and what gateways took that no member paid."""

import dataclasses
import datetime as dt
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from bot.gateways.base import Checked, Finished, Gateway
from bot.models import Account, Failure, FailureKind, Stage
from bot.quotas import Period
from bot.reckoning import Reading
from storage.audit import ActStore
from storage.balances import BalanceStore
from tests.acting import make_operator
from tests.books import CENT, NOON, Books, open_books
from tests.fake_apixo import envelope, raw, state
from tests.world import START, World, come_to_rest, open_world

PRO = "apixo/sora-2-pro"  # $1.08
SINCE = f"<t:{int(START.timestamp())}:f>"
NOTHING_POSSIBLE = (
    "Possible charges that no member paid: $0.00 for jobs of this month, $0.00 for those of the last."
)


@pytest.fixture
async def operated(world: World) -> World:
    """A world that the staff person owns, and whose first balance is read: $74.87."""
    make_operator(world, world.staff)
    await readings(world, 1)
    return world


@pytest.fixture
async def books(tmp_path: Path) -> AsyncGenerator[Books]:
    async with open_books(tmp_path) as opened:
        yield opened


def left(world: World, usd: float) -> None:
    """Let the gateway say that this is left."""
    world.gateway.balance = envelope(usd)


async def stored(world: World) -> list[int]:
    """The readings in the database, in micro-dollars, oldest first."""
    async with world.database.read() as connection:
        rows = await connection.exec_driver_sql("SELECT balance_micros FROM balances ORDER BY reading_id")
        return [micros for (micros,) in rows]


async def readings(world: World, count: int) -> None:
    """Wait until so many were stored, and a little longer, for what is told of them."""

    async def there() -> bool:
        return len(await stored(world)) >= count

    await world.until(there)
    for _ in range(5):
        await come_to_rest()
        world.time.step()
    await come_to_rest()


async def next_reading(world: World) -> None:
    """Let the hour pass until the next balance is read."""
    world.time.jump(minutes=50)
    await readings(world, len(await stored(world)) + 1)


async def order(world: World, times: int = 1, **options: Any) -> None:
    for _ in range(times):
        assert "is ordered" in await world.create(**{"prompt": "A fox", "model": PRO, **options})


async def reconcile(world: World, *, by: Any = None) -> list[str]:
    return (await world.ask("video-admin reconcile", by=by or world.staff)).splitlines()


def told(world: World) -> list[str]:
    """What the operator was told directly."""
    return [message.content for message in world.staff.user.dm_channel.history()]


# Who, when and what


async def test_staff_who_are_not_the_operator_learn_nothing(world: World) -> None:
    make_operator(world, world.other)
    await readings(world, 1)
    (refused,) = await reconcile(world)
    assert refused.startswith("Only the bot's operator may do this")
    assert await stored(world) == [74_870_000]


async def test_a_balance_is_read_at_the_start_and_every_hour(operated: World) -> None:
    for hours in (1, 2):
        await next_reading(operated)
        assert dt.timedelta(hours=hours) <= operated.time.now() - START < dt.timedelta(hours=hours, minutes=9)
    assert await stored(operated) == [74_870_000] * 3
    assert told(operated) == []


async def test_a_balance_that_fell_by_what_was_booked_agrees(operated: World) -> None:
    await order(operated)
    await operated.settled()
    left(operated, 73.79)
    assert await reconcile(operated) == [
        "**apixo**: $73.79 is left there now.",
        f"Since {SINCE} it fell by $1.08, and the ledger booked $1.08: they agree.",
        NOTHING_POSSIBLE,
    ]
    assert await stored(operated) == [74_870_000, 73_790_000]


async def test_that_the_operator_asked_is_in_the_audit_log_of_that_server(operated: World) -> None:
    await reconcile(operated)
    (act,) = await ActStore(operated.database).page(operated.guild.id)
    assert (act.actor_user_id, act.act, act.at) == (operated.staff.id, "reconcile", operated.time.now())


async def test_where_nothing_happened_that_is_said(operated: World) -> None:
    operated.time.jump(minutes=1)
    assert f"Since {SINCE} it did not move, nor did the ledger." in await reconcile(operated)


async def test_the_first_reading_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    async with open_world(tmp_path / "data", started=False) as world:
        make_operator(world, world.staff)
        assert await reconcile(world) == [
            "**apixo**: $74.87 is left there now.",
            "This is the first reading: the next one is compared with it.",
            NOTHING_POSSIBLE,
        ]


async def test_a_clock_that_went_back_makes_no_difference(operated: World) -> None:
    later = Reading(balance_micros=1, read_at=START + dt.timedelta(minutes=30))
    await BalanceStore(operated.database).record("apixo", later)
    assert (await reconcile(operated))[1] == (
        "The clock went back since the last reading: the next one is compared with this."
    )


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (envelope(None, code=401, status=401, message="Invalid API key"), "`401: Invalid API key`"),
        (raw("<html>@everyone</html>", status=502), "`502: <html>@everyone</html>`"),
        (envelope("a lot"), "`no amount of money: success`"),
    ],
)
async def test_a_gateway_that_does_not_answer_is_said_so_and_nothing_is_stored(
    operated: World, answer: Any, words: str
) -> None:
    operated.gateway.balance = answer
    assert await reconcile(operated) == [
        f"**apixo**: it did not tell its balance: {words}. No reading was stored.",
        NOTHING_POSSIBLE,
    ]
    asked = operated.gateway.asked("current-balance")
    await operated.until(lambda: operated.gateway.asked("current-balance") == asked + 1)
    assert await stored(operated) == [74_870_000]
    left(operated, 74.87)
    await next_reading(operated)
    assert told(operated) == []


async def test_a_gateway_without_a_balance_says_so(tmp_path: Path) -> None:
    keys: dict[str, Any] = {"pixazo_api_key": "key", "pixazo_base_url": "http://127.0.0.1:9"}
    async with open_world(tmp_path / "data", **keys) as world:
        make_operator(world, world.staff)
        await readings(world, 1)
        assert (await reconcile(world))[-2:] == [
            "**pixazo**: it tells no balance; its website may.",
            NOTHING_POSSIBLE,
        ]
        assert len(await stored(world)) == 2


async def test_play_money_is_not_reconciled(tmp_path: Path) -> None:
    async with open_world(tmp_path / "data", apixo_api_key=None) as world:
        make_operator(world, world.staff)
        assert await reconcile(world) == [
            "No gateway has a key here, so there is no real money to reconcile."
        ]
        assert await stored(world) == []


# Differences


async def test_a_difference_is_told_once_with_its_amount_its_window_and_its_jobs(operated: World) -> None:
    await order(operated)
    await operated.settled()
    job = await operated.job()
    left(operated, 70.00)
    await next_reading(operated)
    difference = (
        f"fell by $4.87, but the ledger booked $1.08: **$3.79 is not explained.**\n"
        f"At the gateway meanwhile: `{job.job_id}` (done, $1.08)."
    )
    assert told(operated) == [f"**apixo**: since {SINCE} its balance {difference}"]
    await next_reading(operated)
    assert len(told(operated)) == 1
    over_the_day = await reconcile(operated)
    assert over_the_day[2:4] == f"Since {SINCE} it {difference}".splitlines()
    assert over_the_day[1].endswith("it did not move, nor did the ledger.")
    assert len(told(operated)) == 1


async def test_what_is_under_the_threshold_is_shown_and_not_told(operated: World) -> None:
    left(operated, 73.87)
    await next_reading(operated)
    assert told(operated) == []
    assert (
        f"Since {SINCE} it fell by $1.00, and the ledger booked $0.00: $1.00 apart, within the threshold."
        in await reconcile(operated)
    )


async def test_the_operator_sets_the_threshold(tmp_path: Path) -> None:
    async with open_world(tmp_path / "data", reconcile_threshold="0.25") as world:
        make_operator(world, world.staff)
        await readings(world, 1)
        left(world, 74.61)
        await next_reading(world)
        (difference,) = told(world)
        assert "**$0.26 is not explained.**\nNo job was at the gateway." in difference


async def test_a_difference_survives_a_restart_between_two_readings(tmp_path: Path) -> None:
    async with open_world(tmp_path / "data") as world:
        make_operator(world, world.staff)
        await readings(world, 1)
        await order(world)
        await world.settled()
        left(world, 60.00)
        await world.restart()
        make_operator(world, world.staff)
        await readings(world, 2)
        (difference,) = told(world)
        assert f"since {SINCE} its balance fell by $14.87, but the ledger booked $1.08" in difference
        await world.restart()
        make_operator(world, world.staff)
        await readings(world, 3)
        assert len(told(world)) == 1


async def test_a_difference_that_could_not_be_told_is_told_later(operated: World) -> None:
    operated.env.inject_error("POST", "/users/@me/channels", status=403, code=50007)
    left(operated, 60.00)
    await next_reading(operated)
    assert told(operated) == []
    await operated.restart()
    make_operator(operated, operated.staff)
    await readings(operated, 3)
    (difference,) = told(operated)
    assert "**$14.87 is not explained.**" in difference


async def test_of_many_jobs_some_are_named(operated: World) -> None:
    operated.gateway.keep_rendering()
    await order(operated, 10)
    await operated.until(lambda: len(operated.gateway.tasks) == 10)
    left(operated, 1000.00)
    lines = await reconcile(operated)
    assert lines[2].count("(rendering, $1.08)") == 8
    assert lines[2].endswith(" and 2 more.")
    assert len("\n".join(lines)) < 2000
    operated.gateway.renders = True
    await operated.settled()


@pytest.mark.parametrize("taken_at", ["submit", "end"])
async def test_a_gateway_may_take_its_money_at_the_submit_or_at_the_end(
    operated: World, taken_at: str
) -> None:
    operated.gateway.keep_rendering()
    await order(operated, 3)
    await operated.until(lambda: len(operated.gateway.tasks) == 3)
    left(operated, 71.63 if taken_at == "submit" else 74.87)
    moved = {"submit": "fell by $3.24", "end": "did not move"}[taken_at]
    assert (await reconcile(operated))[1] == (
        f"Since {SINCE} it {moved}, and the ledger booked $0.00, with jobs under way $0.00 to $3.24: "
        "they agree."
    )
    await next_reading(operated)
    operated.gateway.renders = True
    await operated.settled()
    left(operated, 71.63)
    moved = {"submit": "did not move", "end": "fell by $3.24"}[taken_at]
    lines = await reconcile(operated)
    assert lines[1].endswith(
        f"it {moved}, and the ledger booked $3.24, with jobs under way $0.00 to $3.24: they agree."
    )
    assert lines[2] == f"Since {SINCE} it fell by $3.24, and the ledger booked $3.24: they agree."
    assert told(operated) == []


async def test_a_rise_is_taken_for_a_top_up(operated: World) -> None:
    await order(operated)
    await operated.settled()
    left(operated, 93.79)
    await next_reading(operated)
    (rise,) = told(operated)
    assert "rose by $18.92, and the ledger booked $1.08: topped up by about $20.00?" in rise
    left(operated, 93.79)
    await next_reading(operated)
    assert len(told(operated)) == 1


async def test_booked_money_that_was_not_taken_is_a_difference_too(operated: World) -> None:
    await order(operated)
    await operated.settled()
    await next_reading(operated)
    (difference,) = told(operated)
    assert (
        "did not move, but the ledger booked $1.08: **$1.08 more is booked than was taken.** A top-up, "
        "or jobs that were not charged?\n"
        f"At the gateway meanwhile: `{(await operated.job()).job_id}` (done, $1.08)."
    ) in difference


@pytest.mark.parametrize(("balance", "moved"), [(74.87, "did not move"), (73.79, "fell by $1.08")])
async def test_a_failed_job_is_no_difference_whether_it_was_charged_or_not(
    operated: World, balance: float, moved: str
) -> None:
    operated.gateway.looks.append(state("failed", failCode="GENERATION_FAILED"))
    await order(operated)
    await operated.settled()
    left(operated, balance)
    assert (await reconcile(operated))[1] == (
        f"Since {SINCE} it {moved}, and the ledger booked $1.08 ($1.08 of it possible charges), with or "
        "without those $0.00 to $1.08: they agree."
    )
    await next_reading(operated)
    assert told(operated) == []


async def test_a_failed_job_that_was_paid_at_the_submit_and_given_back_is_no_difference(
    operated: World,
) -> None:
    operated.gateway.keep_rendering()
    await order(operated)
    await operated.until(lambda: len(operated.gateway.tasks) == 1)
    left(operated, 73.79)
    await next_reading(operated)
    operated.gateway.looks.append(state("failed", failCode="GENERATION_FAILED"))
    await operated.settled()
    left(operated, 74.87)
    await next_reading(operated)
    assert told(operated) == []


# What leaks slowly


async def leak(world: World, *balances: float) -> None:
    for balance in balances:
        left(world, balance)
        await next_reading(world)


async def test_a_leak_under_the_threshold_each_hour_is_told_once_it_adds_up(operated: World) -> None:
    await leak(operated, 74.27)
    assert told(operated) == []
    await leak(operated, 73.67)
    (difference,) = told(operated)
    assert difference == (
        f"**apixo**: since {SINCE} its balance fell by $1.20, but the ledger booked $0.00: **$1.20 is not "
        "explained.**\nNo job was at the gateway."
    )
    await leak(operated, 73.67, 73.07)
    assert len(told(operated)) == 1  # only what was lost since then counts
    await leak(operated, 72.47)
    assert len(told(operated)) == 2
    assert "its balance fell by $1.20" in told(operated)[1]


async def test_a_difference_that_is_split_by_a_reading_on_demand_is_told(operated: World) -> None:
    operated.time.jump(minutes=20)
    left(operated, 74.17)
    await reconcile(operated)
    left(operated, 73.47)
    await next_reading(operated)
    (difference,) = told(operated)
    assert f"since {SINCE} its balance fell by $1.40" in difference


async def test_a_leak_that_was_told_is_not_told_again_after_a_restart(operated: World) -> None:
    await leak(operated, 74.27, 73.67)
    await operated.restart()
    make_operator(operated, operated.staff)
    await readings(operated, 4)
    await next_reading(operated)
    assert len(told(operated)) == 1


async def test_what_leaks_less_than_the_threshold_in_a_day_is_not_told(operated: World) -> None:
    await leak(operated, 74.27)
    operated.time.jump(hours=22)
    await leak(operated, 73.87)
    operated.time.jump(hours=1)
    await leak(operated, 73.27)  # more than a day after the first reading
    assert told(operated) == []


# A low balance


async def test_a_low_balance_is_told_once_until_it_rises_again(tmp_path: Path) -> None:
    async with open_world(tmp_path / "data", low_balance="20") as world:
        make_operator(world, world.staff)
        left(world, 19.99)
        await readings(world, 1)
        alert = (
            "**apixo**: only $19.99 is left there. Without money it refuses orders: top it up. You are told "
            "again once it rose and fell anew."
        )
        assert told(world) == [alert]
        await next_reading(world)
        await world.restart()
        make_operator(world, world.staff)
        await readings(world, 3)
        await reconcile(world)
        assert told(world) == [alert]
        left(world, 20.50)
        await next_reading(world)
        left(world, 19.99)
        await next_reading(world)
        assert told(world) == [alert] * 2


async def test_a_balance_below_nothing_is_low(world: World) -> None:
    make_operator(world, world.staff)
    left(world, -0.5)
    await readings(world, 1)
    (alert,) = told(world)
    assert "only -$0.50 is left" in alert


async def test_a_low_balance_that_could_not_be_told_is_told_at_the_next_reading(world: World) -> None:
    make_operator(world, world.staff)
    world.env.inject_error("POST", "/users/@me/channels", status=403, code=50007)
    left(world, 4.99)
    await readings(world, 1)
    assert told(world) == []
    await next_reading(world)
    assert len(told(world)) == 1


# Possible charges: the operator's affair


async def test_failures_after_acceptance_are_possible_charges_that_only_the_operator_reads_of(
    operated: World,
) -> None:
    operated.gateway.looks.append(state("failed", failCode="GENERATION_FAILED", failMsg="no clip"))
    await order(operated)
    await operated.settled()
    job = await operated.job()
    assert (job.stage, job.settled_micros, job.held_micros) == (Stage.FAILED, 0, 0)

    member_reads = "\n".join(
        [
            operated.posts_text(),
            await operated.ask("video show", job=job.job_id),
            await operated.ask("video list"),
            await operated.ask("quota show"),
        ]
    ).lower()
    assert "$1.08 returned" in member_reads
    for word in ("possible", "charge", "refund", "may have"):
        assert word not in member_reads

    assert (await reconcile(operated))[-1] == (
        "Possible charges that no member paid: $1.08 for jobs of this month, $0.00 for those of the last."
    )
    operated.time.jump(days=20)  # December
    assert (await reconcile(operated))[-1] == (
        "Possible charges that no member paid: $0.00 for jobs of this month, $1.08 for those of the last."
    )


async def test_a_failure_before_acceptance_is_no_possible_charge(operated: World) -> None:
    refused = envelope(None, code=400, status=400, message="Content violates provider policy")
    operated.gateway.submits.append(refused)
    await order(operated)
    await operated.settled()
    assert (await operated.job()).stage is Stage.FAILED
    assert (await reconcile(operated))[-1] == NOTHING_POSSIBLE


class Charging:
    """A gateway that also says what a clip cost, as none of the documented ones does."""

    def __init__(self, gateway: Gateway, cost_micros: int) -> None:
        self._gateway = gateway
        self._cost_micros = cost_micros

    def __getattr__(self, name: str) -> Any:
        return getattr(self._gateway, name)

    async def check(self, *args: Any) -> Checked:
        seen = await self._gateway.check(*args)
        is_finished = isinstance(seen, Finished)
        return dataclasses.replace(seen, cost_micros=self._cost_micros) if is_finished else seen


@pytest.mark.parametrize(
    ("cost", "entries", "possible"),
    [
        (70, [("hold", 108), ("settle", 70), ("release", 38)], "$0.00"),
        (108, [("hold", 108), ("settle", 108)], "$0.00"),
        (130, [("hold", 108), ("settle", 108), ("possible_charge", 22)], "$0.22"),
    ],
)
async def test_a_member_pays_the_smaller_of_quote_and_cost_and_the_operator_the_rest(
    operated: World, cost: int, entries: list[tuple[str, int]], possible: str
) -> None:
    gateways: Any = operated.app.worker._watcher._gateways  # noqa: SLF001 - the root hands it to nobody
    gateways["apixo"] = Charging(gateways["apixo"], cost * CENT)
    await order(operated)
    await operated.settled()
    job = await operated.job()
    assert (job.stage, job.cost_micros) == (Stage.DONE, cost * CENT)
    async with operated.database.read() as connection:
        rows = await connection.exec_driver_sql("SELECT kind, amount_micros FROM ledger ORDER BY entry_id")
        assert [(row.kind, row.amount_micros // CENT) for row in rows] == entries
    member_reads = "\n".join(
        [operated.posts_text(), await operated.ask("video show", job=job.job_id), await operated.card()]
    )
    assert f"${min(cost, 108) / 100:.2f}" in member_reads
    assert "$1.30" not in member_reads
    assert "$0.22" not in member_reads
    left(operated, 74.87 - cost / 100)
    lines = await reconcile(operated)
    assert lines[1].endswith(": they agree.")
    assert f"{possible} for jobs of this month" in lines[-1]


# On the stores


@pytest.mark.parametrize("cost", [0, 10, 30, 31, 500])
async def test_what_is_settled_released_and_possibly_charged_adds_up(books: Books, cost: int) -> None:
    job = await books.bring(await books.place(30 * CENT), Stage.RENDERING)
    await books.jobs.rendered(job.job_id, ["https://cdn.example/a.mp4"], cost_micros=cost * CENT, now=NOON)
    job = await books.jobs.fetched(job.job_id, Path("a.mp4"), now=NOON)
    assert job is not None
    found = dict(await books.entries(job))
    assert found["hold"] == found["settle"] + found.get("release", 0) == 30 * CENT
    assert found["settle"] + found.get("possible_charge", 0) == cost * CENT


async def test_pixazos_error_is_documented_as_not_charged(books: Books) -> None:
    for charged in (None, False):
        job = await books.bring(await books.place(30 * CENT, gateway="pixazo"), Stage.RENDERING)
        failure = Failure(kind=FailureKind.GATEWAY_DOWN, code="ERROR", charged=charged)
        await books.jobs.fail(job.job_id, failure, now=NOON)
    store = BalanceStore(books.database)
    november = Period(starts_at=NOON.replace(day=1, hour=0), turns_at=NOON.replace(month=12, day=1, hour=0))
    assert await store.possible_micros("pixazo", november) == 30 * CENT
    assert await store.possible_micros("apixo", november) == 0


async def test_only_real_jobs_that_were_at_the_gateway_in_the_window_are_compared(books: Books) -> None:
    def at(minutes: int) -> dt.datetime:
        return NOON + dt.timedelta(minutes=minutes)

    async def make(stage: Stage, minutes: int, **changes: Any) -> str:
        job = await books.place(1 * CENT, at=at(minutes), **changes)
        return (await books.bring(job, stage, at=at(minutes))).job_id

    await make(Stage.DONE, 0)  # settled when the first balance was read
    done = await make(Stage.DONE, 1)
    failed = await make(Stage.FAILED, 2)
    rendering = await make(Stage.RENDERING, 3)
    last = await make(Stage.FETCHING, 60)
    await make(Stage.QUEUED, 4)
    await make(Stage.CANCELLED, 4)
    await make(Stage.DONE, 4, gateway="pixazo")
    await make(Stage.DONE, 4, account=Account.SANDBOX)
    await make(Stage.DONE, 61)
    late = await make(Stage.RENDERING, 5)
    await books.jobs.rendered(late, ["https://cdn.example/a.mp4"], now=at(62))
    await books.jobs.fetched(late, Path("a.mp4"), now=at(62))

    found = await BalanceStore(books.database).paid_jobs("apixo", Period(starts_at=at(0), turns_at=at(60)))

    assert [
        (job.job_id, job.settled_micros // CENT, job.possible_micros // CENT, job.is_over) for job in found
    ] == [
        (done, 1, 0, True),
        (failed, 0, 1, True),
        (rendering, 0, 0, False),
        (late, 0, 0, False),  # at the gateway when the second balance was read
        (last, 0, 0, False),
    ]
