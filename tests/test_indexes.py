"""Reads that must not grow with the history: each finds its rows by an index, and looks through no others."""

import datetime as dt
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path

import pytest

from bot.models import Account, Stage
from bot.quotas import Period
from storage.audit import ActStore
from storage.balances import BalanceStore
from storage.gauges import GaugeStore
from storage.job_search import JobFilter, JobSearch
from storage.uncertain import UncertainStore
from tests.books import ALICE, CHANNEL, DOLLAR, NOON, SERVER, Books, open_books

AN_HOUR = Period(starts_at=NOON - dt.timedelta(hours=1), turns_at=NOON)


@pytest.fixture
async def books(tmp_path: Path) -> AsyncGenerator[Books]:
    async with open_books(tmp_path) as opened:
        await opened.place()
        await opened.purse(DOLLAR)
        yield opened


def _search(books: Books, wanted: JobFilter) -> Awaitable[object]:
    return JobSearch(books.database, books.jobs).of_server(SERVER, wanted)


READS: dict[str, tuple[Callable[[Books], Awaitable[object]], str]] = {
    "a member's jobs": (lambda books: books.jobs.of_member(SERVER, ALICE), "jobs_by_member (member_id=?)"),
    "a member's open jobs": (
        lambda books: books.jobs.of_member(SERVER, ALICE, only_open=True),
        "jobs_by_stage (stage=?)",
    ),
    "a server's jobs": (lambda books: _search(books, JobFilter()), "jobs_by_server (server_id=?)"),
    "by stage": (
        lambda books: _search(books, JobFilter(stage=Stage.UNCERTAIN)),
        "jobs_by_server_and_stage (server_id=? AND stage=?)",
    ),
    "by model": (
        lambda books: _search(books, JobFilter(model="apixo/sora-2")),
        "jobs_by_server_and_model (server_id=? AND model=?)",
    ),
    "by member": (lambda books: _search(books, JobFilter(user_id=ALICE)), "jobs_by_member (member_id=?)"),
    "by member and stage": (
        lambda books: _search(books, JobFilter(user_id=ALICE, stage=Stage.DONE)),
        "jobs_by_member (member_id=?)",
    ),
    "by member and model": (
        lambda books: _search(books, JobFilter(user_id=ALICE, model="apixo/sora-2")),
        "jobs_by_member (member_id=?)",
    ),
    "the log": (lambda books: ActStore(books.database).page(SERVER), "acts_by_server (server_id=?)"),
    "what a member did": (
        lambda books: ActStore(books.database).page(SERVER, user_id=ALICE),
        "acts_by_actor (actor_id=?)",
    ),
    "what was done about a member": (
        lambda books: ActStore(books.database).page(SERVER, user_id=ALICE),
        "acts_by_member (about_id=?)",
    ),
    "a channel's purse": (
        lambda books: books.purses.open_in(SERVER, CHANNEL, Account.REAL, now=NOON),
        "channel_has_one_purse (server_id=? AND channel_id=?)",
    ),
    "the last balance": (
        lambda books: BalanceStore(books.database).latest("apixo"),
        "balances_in_turn (gateway=?)",
    ),
    "the first balance of a day": (
        lambda books: BalanceStore(books.database).earliest("apixo", NOON),
        "balances_by_gateway (gateway=? AND read_at>?)",
    ),
    "what was booked in an hour": (
        lambda books: BalanceStore(books.database).paid_jobs("apixo", AN_HOUR),
        "ledger_by_gateway (gateway=? AND created_at>?)",
    ),
    "what is uncertain in a server": (
        lambda books: UncertainStore(books.database, books.jobs).listed(SERVER, limit=25),
        "jobs_by_stage (stage=?)",
    ),
    "how much is uncertain in a server": (
        lambda books: UncertainStore(books.database, books.jobs).count(SERVER),
        "jobs_by_stage (stage=?)",
    ),
    "what is uncertain anywhere": (
        lambda books: UncertainStore(books.database, books.jobs).listed(None, limit=25),
        "jobs_by_stage (stage=?)",
    ),
    "all open jobs": (lambda books: GaugeStore(books.database).open_jobs(), "jobs_by_stage (stage=?)"),
    "what is at a gateway": (
        lambda books: BalanceStore(books.database).paid_jobs("apixo", AN_HOUR),
        "jobs_by_stage (stage=?)",
    ),
}
# Open jobs and two pages of acts are sorted, but they are few.
IN_THE_INDEXS_ORDER = (
    "a member's jobs",
    "a server's jobs",
    "by stage",
    "by model",
    "by member",
    "by member and stage",
    "by member and model",
    "the log",
    "the last balance",
)


@pytest.mark.parametrize("name", READS)
async def test_a_read_finds_its_rows_by_an_index(books: Books, name: str) -> None:
    read, index = READS[name]

    steps = await books.plans(read(books))

    assert any(step.endswith((f" INDEX {index}", f" COVERING INDEX {index}")) for step in steps), steps
    tables = ("jobs", "ledger", "acts", "purses", "balances", "members")
    assert not [step for step in steps if step.startswith(tuple(f"SCAN {table}" for table in tables))], steps


@pytest.mark.parametrize("name", IN_THE_INDEXS_ORDER)
async def test_a_page_is_read_in_its_order_and_sorts_no_history(books: Books, name: str) -> None:
    steps = await books.plans(READS[name][0](books))

    assert not [step for step in steps if "TEMP B-TREE" in step], steps


async def test_what_the_operator_is_to_be_told_of_is_found_without_looking_at_all_balances(
    books: Books,
) -> None:
    steps = await books.plans(BalanceStore(books.database).untold())

    assert steps == ["SCAN balances USING INDEX balances_untold"]
