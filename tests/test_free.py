"""A model that costs nothing, from its price to its receipt."""

import io
from pathlib import Path

import pytest

from bot import receipts, uncertain_messages
from bot.models import Budget, Stage
from bot.quotas import Measure
from storage.grants import GrantStore
from storage.proof import prove_ledger
from tests.acting import world_with
from tests.books import CENT, DOLLAR, SERVER, open_books

FREE = '[models."apixo/sora-2".price]\nunit = "video"\nrows = [ { usd = "0" } ]'


@pytest.mark.parametrize("stage", [Stage.DONE, Stage.FAILED, Stage.CANCELLED, Stage.UNCERTAIN])
async def test_a_free_job_is_booked_with_nothing_at_every_end(tmp_path: Path, stage: Stage) -> None:
    async with open_books(tmp_path) as books:
        job = await books.bring(await books.place(0), stage)
        sums = await books.sums()

        assert (job.quote.micros, job.held_micros, job.settled_micros) == (0, 0, 0)
        assert (sums.spent_micros, sums.held_micros) == (0, 0)
        out = io.StringIO()
        assert prove_ledger(books.database.path, out), out.getvalue()
        assert "It is free of charge at apixo." in uncertain_messages.reminder(job, to_operator=False)


async def test_a_free_job_needs_no_money_but_a_limit_that_lets_one_order(tmp_path: Path) -> None:
    async with open_books(tmp_path) as books:
        await books.place(DOLLAR)  # all of the month's dollar
        await books.refusal(CENT)
        await books.place(0)
        await books.limit(1, measure=Measure.JOBS_A_DAY)
        assert (await books.refusal(0)).standing.limit.measure is Measure.JOBS_A_DAY
        await books.limit(0)
        await books.refusal(0)


async def test_a_free_job_is_charged_to_an_open_purse_and_is_nothing_to_refund(tmp_path: Path) -> None:
    async with open_books(tmp_path) as books:
        await books.purse(CENT)
        job = await books.bring(await books.place(0), Stage.DONE)
        refundable = await GrantStore(books.database, books.jobs).refundable(SERVER, limit=10)

        assert job.charge.budget is Budget.PURSE
        assert refundable == []
        assert receipts.line(job) == "Free · the purse of <#200>"


async def test_a_quote_of_what_is_free_says_so_and_names_no_price_that_would_change(tmp_path: Path) -> None:
    async with world_with(tmp_path, FREE) as world:
        told = await world.ask("video quote", prompt="A fox", model="apixo/sora-2")
        assert told.startswith("This is **free**: apixo/sora-2 · 10 s")
        assert "What changes the price" not in told


async def test_a_free_job_says_so_wherever_a_price_stands(tmp_path: Path) -> None:
    async with world_with(tmp_path, FREE) as world:
        assert "\n10 s free, 15 s free\n" in await world.ask("video models")
        told = await world.create(prompt="A fox")
        await world.settled()
        assert "is ordered: apixo/sora-2 · 10 s · landscape, free of charge. " in told
        assert f"-# Free · <@{world.member.id}>'s quota" in await world.card()
        assert "$100.00 left" in await world.ask("quota show")


async def test_a_free_job_that_is_cancelled_returns_nothing(tmp_path: Path) -> None:
    async with open_books(tmp_path) as books:
        job = await books.bring(await books.place(0), Stage.CANCELLED)

        assert receipts.returned(job) == receipts.returned_to_member(job) == "It was free of charge"
        assert receipts.costs(job.quote) == "is free"
