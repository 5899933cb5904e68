"""Four books, compared: what people were told, the database, the gateways' ledger, and the channels."""

import contextlib
import dataclasses
import io
import re
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bot.models import DraftStage, Stage
from storage.proof import prove_ledger
from tests.crash.chat import job_in
from tests.discord_server import texts

_TITLES = {
    Stage.DONE: "### Done",
    Stage.FAILED: "### Failed",
    Stage.CANCELLED: "### Cancelled",
    Stage.UNCERTAIN: "### Unclear",
}
_REQUEST_TITLES = {
    DraftStage.ASKED: "### Request for",
    DraftStage.ORDERED: "### Approved",
    DraftStage.DENIED: "### Denied",
}
_NUMBER = re.compile(r"number (\d+)")


@dataclasses.dataclass(frozen=True, kw_only=True)
class JobBook:
    """A job as the database has it. Amounts are micro-dollars."""

    job_id: str
    number: int
    stage: Stage
    told_stage: str | None
    card_stage: str | None
    card_message_id: int | None
    settled: int
    held: int
    possible: int
    fell_to: str | None = None

    @property
    def is_told(self) -> bool:
        """Whether nothing is left to do or to show."""
        is_over = not self.stage.is_open or self.stage is Stage.UNCERTAIN
        wants_words = self.stage in {Stage.FAILED, Stage.UNCERTAIN}
        shows = self.card_message_id is None or self.card_stage == self.stage
        return is_over and shows and (not wants_words or self.told_stage == self.stage)


@dataclasses.dataclass(frozen=True, kw_only=True)
class OrderBook:
    """What a person was told of their order."""

    number: int
    job_id: str
    is_cancelled: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaskBook:
    """What the gateway charged for a task."""

    task_id: str
    number: int
    charged: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class RequestBook:
    """A request to staff as the database has it."""

    draft_id: str
    stage: DraftStage
    job_id: str | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Said:
    """What the channels show of one job: the words of its cards, its clips, and words on how it ended."""

    cards: tuple[str, ...] = ()
    clips: int = 0
    failures: int = 0
    hangs: int = 0


@contextlib.contextmanager
def copied(database: Path) -> Iterator[sqlite3.Connection]:
    """Read a copy: whoever opened the file itself would recover it in the bot's stead."""
    with tempfile.TemporaryDirectory() as folder:
        for name in (database.name, f"{database.name}-wal"):
            if (database.parent / name).exists():
                shutil.copyfile(database.parent / name, Path(folder) / name)
        with contextlib.closing(sqlite3.connect(Path(folder) / database.name)) as connection:
            yield connection


@contextlib.contextmanager
def beside(database: Path) -> Iterator[sqlite3.Connection]:
    """Read beside a running bot."""
    uri = f"{database.absolute().as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
        yield connection


def submitting(database: Path) -> set[str]:
    """Return the jobs whose paid request was under way when the process died."""
    if not database.exists():
        return set()
    with copied(database) as connection:
        try:
            found = connection.execute("SELECT job_id FROM jobs WHERE stage = 'submitting'").fetchall()
        except sqlite3.OperationalError:
            return set()  # it died before there were tables
    return {job_id for (job_id,) in found}


def read_jobs(connection: sqlite3.Connection) -> list[JobBook]:
    """Read the second book."""
    rows = connection.execute(
        """
        SELECT job_id, prompt, stage, told_stage, card_stage, card_message_id, fell_to,
               COALESCE(SUM(amount_micros) FILTER (WHERE kind = 'settle'), 0),
               COALESCE(SUM(CASE kind WHEN 'hold' THEN amount_micros
                   WHEN 'settle' THEN -amount_micros WHEN 'release' THEN -amount_micros ELSE 0 END), 0),
               COALESCE(SUM(amount_micros) FILTER (WHERE kind = 'possible_charge'), 0)
        FROM jobs JOIN ledger USING (job_id) GROUP BY job_id ORDER BY jobs.created_at
        """
    )
    found: list[JobBook] = []
    for job_id, prompt, stage, told_stage, card_stage, card_message_id, fell_to, *amounts in rows:
        settled, held, possible = amounts
        number = _NUMBER.search(prompt)
        assert number is not None, prompt
        found.append(
            JobBook(
                job_id=job_id,
                number=int(number[1]),
                stage=Stage(stage),
                told_stage=told_stage,
                card_stage=card_stage,
                card_message_id=card_message_id,
                settled=settled,
                held=held,
                possible=possible,
                fell_to=fell_to,
            )
        )
    return found


def read_requests(connection: sqlite3.Connection) -> list[RequestBook]:
    """Read what staff were asked."""
    rows = connection.execute("SELECT draft_id, stage, job_id FROM drafts WHERE staff_channel_id IS NOT NULL")
    return [
        RequestBook(draft_id=draft_id, stage=DraftStage(stage), job_id=job_id)
        for draft_id, stage, job_id in rows
    ]


def untold(connection: sqlite3.Connection) -> list[str]:
    """Return what staff, members and the operator have still to be told besides the ends of jobs."""
    rows = connection.execute(
        """
        SELECT 'request ' || draft_id || ' is ' || stage || ', and that is not shown' FROM drafts
            WHERE staff_channel_id IS NOT NULL AND shown_stage IS NOT stage
        UNION ALL SELECT 'alert ' || alert_id || ' to ' || audience || ' is not told' FROM alerts
            WHERE told_at IS NULL
        UNION ALL SELECT 'note ' || note_id || ' is not told' FROM notes WHERE told_at IS NULL
        """
    )
    return [row[0] for row in rows]


def read_channels(messages: Iterable[dict[str, Any]]) -> dict[str, Said]:
    """Read the fourth book, by job."""
    found: dict[str, Said] = {}
    for message in messages:
        job_id = job_in(message)
        if not job_id:
            continue
        said = found.get(job_id, Said())
        content = message["content"]
        if not content:
            said = dataclasses.replace(said, cards=(*said.cards, "\n".join(texts(message["components"]))))
        elif any(one["filename"].endswith(".mp4") for one in message["attachments"]):
            said = dataclasses.replace(said, clips=said.clips + 1)
        elif f"job `{job_id}` hangs" in content:
            said = dataclasses.replace(said, hangs=said.hangs + 1)
        elif f"job `{job_id}` failed" in content:
            said = dataclasses.replace(said, failures=said.failures + 1)
        found[job_id] = said
    return found


def compare(
    orders: Collection[OrderBook],
    jobs: Collection[JobBook],
    tasks: Collection[TaskBook],
    channels: Mapping[str, Said],
    *,
    posts: Mapping[int, int],
    cut: Collection[str],
    callbacks: bool,
) -> list[str]:
    """Return what the books do not agree on.

    `posts` counts the paid requests that came for each number; `cut` are the jobs of which one was under way
    at a kill.
    """
    found = [*_unkept(orders, jobs), *_twice(jobs, posts)]
    by_number: dict[int, list[TaskBook]] = {}
    for task in tasks:
        by_number.setdefault(task.number, []).append(task)
    strays = set(by_number) - {job.number for job in jobs}
    found += [f"order {number} is at the gateway, and there is no job" for number in strays]
    for job in jobs:
        taken = by_number.get(job.number, []) if job.fell_to is None else []
        wrong = [
            *_wrong_end(job, channels.get(job.job_id, Said())),
            *_wrong_money(job, taken),
            *_wrong_doubt(job, cut, callbacks=callbacks),
        ]
        found += [f"job {job.job_id} (order {job.number}, {job.stage}): {one}" for one in wrong]
    return found


def compare_requests(
    requests: Iterable[RequestBook], notices: Iterable[dict[str, Any]], directs: Iterable[dict[str, Any]]
) -> list[str]:
    """Return what is wrong with the staff channel's messages, and with what was told who asked."""
    shown = ["\n".join(texts(message["components"])) for message in notices]
    told = "\n".join(message["content"] for message in directs)
    found: list[str] = []
    for request in requests:
        own = [words for words in shown if f"Request `{request.draft_id}`" in words]
        if len(own) != 1:
            found.append(f"request {request.draft_id} ({request.stage}): {len(own)} messages show it")
        elif _REQUEST_TITLES.get(request.stage, "nothing that could come here") not in own[0]:
            found.append(f"request {request.draft_id} ({request.stage}): it says {own[0].splitlines()[0]!r}")
        if request.job_id is not None and f"`{request.job_id}`" not in told:
            found.append(f"request {request.draft_id} ({request.stage}): who asked was not told")
    return found


def _unkept(orders: Collection[OrderBook], jobs: Collection[JobBook]) -> Iterator[str]:
    """What was said to a member holds."""
    by_id = {job.job_id: job for job in jobs}
    for order in orders:
        job = by_id.get(order.job_id)
        if job is None or job.number != order.number:
            yield f"order {order.number} was acknowledged as job {order.job_id}, which is not there"
        elif order.is_cancelled and job.stage is not Stage.CANCELLED:
            yield f"job {job.job_id} was cancelled, says the bot, and is {job.stage}"


def _twice(jobs: Collection[JobBook], posts: Mapping[int, int]) -> Iterator[str]:
    """An order is one job, and sent once: nothing that the gateways here answer allows a second try.

    Where another model goes on, it is one for each; what refused it was sent nothing that it took.
    """
    for number, count in Counter(job.number for job in jobs if job.fell_to is None).items():
        if count > 1:
            yield f"order {number} became {count} jobs"
    for number, count in posts.items():
        if count > 1:
            yield f"order {number}: a second paid submit; {count} came"


def _wrong_end(job: JobBook, said: Said) -> Iterator[str]:
    """Each job ends in one clip or one reason, which its one card shows."""
    if not job.is_told:
        yield f"lost: it is not over, or not told; its card shows {job.card_stage}, told {job.told_stage}"
    if said.clips > 1:
        yield f"a second video message; {said.clips} were posted"
    if said.clips != (job.stage is Stage.DONE):
        yield f"{said.clips} clips are in the channel"
    if said.failures != (job.stage is Stage.FAILED and job.fell_to is None):
        yield f"{said.failures} messages tell of a failure"
    if said.hangs > 1 or (job.stage is Stage.UNCERTAIN and not said.hangs):
        yield f"{said.hangs} messages tell that it hangs"
    if len(said.cards) != 1:
        yield f"{len(said.cards)} cards are in the channel"
    elif job.stage in _TITLES and _TITLES[job.stage] not in said.cards[0]:
        yield f"its card says {said.cards[0].splitlines()[0]!r}"


def _wrong_money(job: JobBook, taken: Collection[TaskBook]) -> Iterator[str]:
    """What the ledger has is what the gateway took, or a charge that it names as possible."""
    charged = sum(task.charged for task in taken)
    booked = job.settled + job.possible + (job.held if job.stage is Stage.UNCERTAIN else 0)
    is_sure = job.stage not in {Stage.FAILED, Stage.UNCERTAIN}
    if charged > booked or (is_sure and charged != booked):
        yield f"the gateway took {charged}, the ledger has {booked}"
    if job.stage is Stage.CANCELLED and taken:
        yield "it was cancelled and is at the gateway"


def _wrong_doubt(job: JobBook, cut: Collection[str], *, callbacks: bool) -> Iterator[str]:
    """In doubt is only what was cut off in a paid request; with callbacks nothing stays so."""
    if job.stage is not Stage.UNCERTAIN:
        return
    if job.job_id not in cut:
        yield "it is uncertain, and no kill cut its paid request off"
    if callbacks:
        yield "it is uncertain, and callbacks are on"


def unsound(database: Path) -> list[str]:
    """Return what SQLite and the ledger's own proof find wrong with the file."""
    with copied(database) as connection:
        checks = [row[0] for row in connection.execute("PRAGMA integrity_check")]
        strays = connection.execute("PRAGMA foreign_key_check").fetchall()
    found = [f"integrity_check: {one}" for one in checks if one != "ok"]
    found += [f"foreign_key_check: {one}" for one in strays]
    told = io.StringIO()
    if not prove_ledger(database, told):
        found += [f"doctor --ledger: {line}" for line in told.getvalue().splitlines()]
    return found


def history(database: Path, job_id: str) -> str:
    """Write a job's whole way, for whoever has to find out what went wrong."""
    with copied(database) as connection:
        stages = connection.execute(
            "SELECT at, stage, note FROM stage_history WHERE job_id = ? ORDER BY rowid", (job_id,)
        ).fetchall()
        entries = connection.execute(
            "SELECT created_at, kind, amount_micros, reason FROM ledger WHERE job_id = ?", (job_id,)
        ).fetchall()
    return "\n".join(f"    {' '.join(map(str, row))}" for row in (*stages, *entries))
