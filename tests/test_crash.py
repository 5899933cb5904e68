"""The bot is killed at every boundary its stand-ins see; the harness that does it sees planted faults."""

import dataclasses
import random
from pathlib import Path

import pytest

from bot.models import DraftStage, Stage
from tests.books import open_books
from tests.crash import books, plants
from tests.crash.books import JobBook, OrderBook, RequestBook, Said, TaskBook, compare, compare_requests
from tests.crash.plan import EVERY, plans
from tests.crash.report import storm, written
from tests.crash.traps import Boundary, Moment
from tests.crash.trial import Trial

KILLS = 64
LEAST_AFTER_READY = 40


async def test_nothing_is_lost_paid_twice_or_posted_twice_whenever_the_bot_is_killed(tmp_path: Path) -> None:
    ended = await storm(tmp_path, kills=KILLS, seed="make test")
    told = written(ended)
    assert not any(outcome.complaints for outcome in ended.outcomes), told
    assert ended.kills >= KILLS, told
    assert ended.kills_after_ready >= LEAST_AFTER_READY, told
    assert not ended.missed, told


@pytest.mark.parametrize(
    ("fault", "kill", "complaint"),
    [
        (plants.DOUBLE_SUBMIT, Boundary("submit to apixo", Moment.DONE), "a second paid submit"),
        (plants.DOUBLE_POST, Boundary("post clip", Moment.DONE), "a second video message"),
        (plants.LOST_JOB, Boundary("post clip", Moment.ARRIVED), "lost: "),
    ],
    ids=["a double submit", "a double post", "a lost job"],
)
async def test_the_harness_sees_a_planted_fault(
    fault: str, kill: Boundary, complaint: str, tmp_path: Path
) -> None:
    trial = Trial(
        tmp_path, name="planted", seed="1", callbacks=False, sitecustomize=fault, settle_seconds=2.0
    )
    outcome = await trial.run([kill])
    assert outcome.struck == {kill}
    assert any(complaint in told for told in outcome.complaints), outcome.complaints


@pytest.mark.parametrize("kills", [KILLS, KILLS + 1, 500])
def test_a_plan_meets_every_boundary_and_is_the_same_for_a_seed(kills: int) -> None:
    first, second = plans(kills, random.Random("a"))
    assert len(first) + len(second) == kills
    assert {*first, *second} >= EVERY
    assert (first, second) == plans(kills, random.Random("a"))
    assert (first, second) != plans(kills, random.Random("b"))


async def test_a_jobs_way_can_be_read_in_the_report(tmp_path: Path) -> None:
    async with open_books(tmp_path) as found:
        job = await found.bring(await found.place(), Stage.DONE)
        stages = [line.split()[1] for line in books.history(found.database.path, job.job_id).splitlines()]
    assert stages[:2] == ["queued", "submitting"]
    assert stages[-2:] == ["hold", "settle"]


# Books

DONE = JobBook(
    job_id="j1",
    number=1,
    stage=Stage.DONE,
    told_stage=None,
    card_stage="done",
    card_message_id=5,
    settled=500,
    held=0,
    possible=0,
)
FAILED = dataclasses.replace(
    DONE, stage=Stage.FAILED, told_stage="failed", card_stage="failed", settled=0, possible=500
)
DOUBT = dataclasses.replace(
    DONE, stage=Stage.UNCERTAIN, told_stage="uncertain", card_stage="uncertain", settled=0, held=500
)
CANCELLED = dataclasses.replace(DONE, stage=Stage.CANCELLED, card_stage="cancelled", settled=0)
ORDER = OrderBook(number=1, job_id="j1")
TASK = TaskBook(task_id="t1", number=1, charged=500)
SAID = Said(cards=("### Done",), clips=1)
SAID_FAILED = Said(cards=("### Failed",), failures=1)
SAID_DOUBT = Said(cards=("### Unclear",), hangs=1)


def compared(
    job: JobBook | None = DONE,
    *,
    order: OrderBook = ORDER,
    tasks: tuple[TaskBook, ...] = (TASK,),
    said: Said = SAID,
    posts: int = 1,
    is_cut: bool = False,
    callbacks: bool = False,
) -> list[str]:
    return compare(
        [order],
        [job] if job is not None else [],
        tasks,
        {"j1": said},
        posts={1: posts},
        cut={"j1"} if is_cut else (),
        callbacks=callbacks,
    )


def test_books_that_agree_are_not_complained_of() -> None:
    assert compared() == []
    assert compared(FAILED, said=SAID_FAILED) == []
    assert compared(FAILED, said=SAID_FAILED, tasks=(dataclasses.replace(TASK, charged=0),)) == []
    assert compared(DOUBT, said=SAID_DOUBT, is_cut=True) == []
    cancelled = dataclasses.replace(ORDER, is_cancelled=True)
    assert compared(CANCELLED, order=cancelled, said=Said(cards=("### Cancelled",)), tasks=()) == []


def test_an_order_that_another_model_went_on_with_is_two_jobs_and_paid_for_once() -> None:
    first = dataclasses.replace(FAILED, possible=0, fell_to="j2")
    second = dataclasses.replace(DONE, job_id="j2")
    channels = {"j1": Said(cards=("### Failed",)), "j2": SAID}

    def found(*jobs: JobBook) -> list[str]:
        return compare([ORDER], jobs, [TASK], channels, posts={1: 1}, cut=(), callbacks=False)

    assert found(first, second) == []
    assert "order 1 became 2 jobs" in found(first, second, dataclasses.replace(second, job_id="j3"))


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"job": None, "tasks": ()}, "which is not there"),
        ({"job": None}, "is at the gateway, and there is no job"),
        ({"posts": 2}, "a second paid submit"),
        ({"tasks": (TASK, dataclasses.replace(TASK, task_id="t2"))}, "the gateway took 1000"),
        ({"tasks": ()}, "the gateway took 0, the ledger has 500"),
        ({"said": dataclasses.replace(SAID, clips=2)}, "a second video message"),
        ({"said": dataclasses.replace(SAID, clips=0)}, "0 clips are in the channel"),
        ({"said": dataclasses.replace(SAID, failures=1)}, "1 messages tell of a failure"),
        ({"said": dataclasses.replace(SAID, cards=("### Done", "### Done"))}, "2 cards"),
        ({"said": dataclasses.replace(SAID, cards=("### Rendering",))}, "its card says '### Rendering'"),
        ({"job": dataclasses.replace(DONE, card_stage="rendering")}, "lost: it is not over, or not told"),
        ({"job": dataclasses.replace(DONE, stage=Stage.FETCHING)}, "lost: it is not over, or not told"),
        ({"job": FAILED, "said": Said(cards=("### Failed",))}, "0 messages tell of a failure"),
        ({"job": FAILED, "said": dataclasses.replace(SAID_FAILED, failures=2)}, "2 messages tell"),
        ({"job": dataclasses.replace(FAILED, possible=0), "said": SAID_FAILED}, "the ledger has 0"),
        ({"job": DOUBT, "said": SAID_DOUBT}, "no kill cut its paid request off"),
        (
            {"job": DOUBT, "said": Said(cards=("### Unclear",)), "is_cut": True},
            "0 messages tell that it hangs",
        ),
        (
            {"job": DOUBT, "said": SAID_DOUBT, "is_cut": True, "callbacks": True},
            "it is uncertain, and callbacks are on",
        ),
        (
            {"order": dataclasses.replace(ORDER, is_cancelled=True)},
            "was cancelled, says the bot, and is done",
        ),
        (
            {"job": CANCELLED, "said": Said(cards=("### Cancelled",))},
            "it was cancelled and is at the gateway",
        ),
    ],
)
def test_books_that_disagree_are_complained_of(wrong: dict[str, object], complaint: str) -> None:
    assert any(complaint in told for told in compared(**wrong))  # pyright: ignore[reportArgumentType]


APPROVED = RequestBook(draft_id="d1", stage=DraftStage.ORDERED, job_id="j1")
SHOWN = {"components": [{"content": "### Approved: $1.50"}, {"content": "-# Request `d1`"}]}
OPEN = {"components": [{"content": "### Request for $1.50"}, {"content": "-# Request `d1`"}]}
TOLD = {"content": "Your request was approved: job `j1` is ordered."}


@pytest.mark.parametrize(
    ("notices", "directs", "complaint"),
    [
        ([SHOWN], [TOLD], ""),
        ([SHOWN], [TOLD, TOLD], ""),  # a nonce of a direct message may be forgotten
        ([], [TOLD], "0 messages show it"),
        ([SHOWN, SHOWN], [TOLD], "2 messages show it"),
        ([OPEN], [TOLD], "it says '### Request for $1.50'"),
        ([SHOWN], [], "who asked was not told"),
    ],
)
def test_a_request_is_shown_once_and_answered(
    notices: list[dict[str, object]], directs: list[dict[str, object]], complaint: str
) -> None:
    found = compare_requests([APPROVED], notices, directs)
    assert found == ([f"request d1 (ordered): {complaint}"] if complaint else [])
