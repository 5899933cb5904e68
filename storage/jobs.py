"""Jobs: every step of a job's way is one method and one transaction here."""

import dataclasses
import datetime as dt
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.models import (
    Account,
    Budget,
    Charge,
    DraftStage,
    Failure,
    FailureKind,
    Job,
    Mode,
    NewJob,
    Picture,
    Quality,
    Quote,
    Shape,
    Stage,
    VideoRequest,
)
from storage import audit, ledger, members
from storage.database import Database, Store, reads, writes
from storage.schema import EntryKind, drafts, jobs, stage_history
from storage.schema import ledger as entries
from storage.schema import members as people

# Of jobs ordered in the same instant the one that was stored later.
NEWEST_FIRST = (jobs.c.created_at.desc(), sa.literal_column("jobs.rowid", sa.Integer).desc())

_OPEN = tuple(stage for stage in Stage if stage.is_open)
_TOLD = (Stage.FAILED, Stage.UNCERTAIN)
_BOOKED = (EntryKind.HOLD, EntryKind.SETTLE, EntryKind.RELEASE, EntryKind.CORRECTION)


def _booked(kind: EntryKind) -> sa.Label[int]:
    """What the ledger has of a kind for the job in the row (at most one entry, by its unique key)."""
    total = sa.select(sa.func.coalesce(sa.func.sum(entries.c.amount_micros), 0)).where(
        entries.c.job_id == jobs.c.job_id, entries.c.kind == kind
    )
    return total.scalar_subquery().label(kind)


_JOBS = sa.select(jobs, people.c.discord_id, *(_booked(kind) for kind in _BOOKED)).join(
    people, people.c.member_id == jobs.c.member_id
)


class JobStore(Store):
    """The jobs of all servers.

    Methods that move a job return it as it is afterwards, or None where the job was no longer in the
    stage it must move from: then somebody else was faster.
    """

    def __init__(self, database: Database, *, pictures: Path, clips: Path) -> None:
        super().__init__(database)
        self.pictures = pictures
        self._clips = clips

    # Ordering; `storage/orders.py` decides whether there may be a job

    async def insert(
        self,
        connection: AsyncConnection,
        new: NewJob,
        member_id: int,
        charge: Charge,
        *,
        now: dt.datetime,
        ordered_at: dt.datetime | None = None,
    ) -> Job:
        """Store a job and hold its money, in a transaction that made sure of both.

        `ordered_at` is when it was ordered, where that was earlier: its money counts in the period of then.
        """
        await connection.execute(
            sa.insert(jobs).values(
                **columns(new),
                stage=Stage.QUEUED,
                member_id=member_id,
                role_id=new.top_role_id,
                budget=charge.budget,
                budget_id=charge.subject_id,
                created_at=ordered_at or now,
            )
        )
        history = "ordered" if new.fell_from is None else f"ordered since {new.fell_from} failed"
        await self._remember(connection, new.job_id, Stage.QUEUED, history, now)
        job = await self._get(connection, new.job_id)
        await ledger.book(
            connection,
            job,
            EntryKind.HOLD,
            new.quote.micros,
            reason="ordered",
            actor_id=member_id,
            now=now,
        )
        return dataclasses.replace(job, held_micros=new.quote.micros)

    async def of_origin(self, connection: AsyncConnection, origin: str) -> Job | None:
        """Return the job that an act has made."""
        return await self._find(connection, jobs.c.origin == origin)

    async def of_id(self, connection: AsyncConnection, job_id: str) -> Job | None:
        """Return a job of any server, in somebody else's transaction."""
        return await self._find(connection, jobs.c.job_id == job_id)

    async def of_task(self, connection: AsyncConnection, job: Job, task_id: str) -> Job | None:
        """Return the other job of the same gateway that has a task."""
        is_its = sa.and_(jobs.c.gateway == job.gateway, jobs.c.task_id == task_id)
        return await self._find(connection, sa.and_(is_its, jobs.c.job_id != job.job_id))

    # The way of a job

    @writes
    async def card_posted(
        self, connection: AsyncConnection, job_id: str, message_id: int, *, showing: Stage
    ) -> Job:
        """Remember the job's card, and the stage it was posted with."""
        await connection.execute(
            sa.update(jobs)
            .where(jobs.c.job_id == job_id)
            .values(card_message_id=message_id, card_stage=showing)
        )
        return await self._get(connection, job_id)

    @writes
    async def wait(self, connection: AsyncConnection, job_id: str, reason: str) -> Job:
        """Say why a queued job waits; an empty reason takes it back."""
        await connection.execute(
            sa.update(jobs)
            .where(jobs.c.job_id == job_id, jobs.c.stage == Stage.QUEUED)
            .values(waiting_for=reason)
        )
        return await self._get(connection, job_id)

    async def start_submit(
        self, job_id: str, *, hook_token: str | None = None, now: dt.datetime
    ) -> Job | None:
        """Write down that the paid request is about to be sent, and what its callback will be known by.

        Each request has a token of its own: an earlier one was refused, and whatever calls for it is no word
        on this one.
        """
        return await self._move(
            job_id,
            {Stage.QUEUED},
            Stage.SUBMITTING,
            now,
            submitted_at=now,
            submit_tries=jobs.c.submit_tries + 1,
            hook_token=hook_token,
            named_task_id=None,
            waiting_for="",
        )

    @writes
    async def submit_accepted(
        self, connection: AsyncConnection, job_id: str, task_id: str, *, now: dt.datetime
    ) -> Job | None:
        """The gateway named the task. Where that is another job's, nobody knows what this one has."""
        job = await self.of_id(connection, job_id)
        if job is None:
            return None
        if other := await self.of_task(connection, job, task_id):
            detail = f"the gateway named task {task_id}, which is that of job {other.job_id}"
            return await self._lose(connection, job_id, detail, now)
        return await self.change(
            connection, job_id, {Stage.SUBMITTING}, Stage.RENDERING, now, task_id=task_id
        )

    async def submit_not_accepted(
        self, job_id: str, reason: str, *, counts: bool, now: dt.datetime
    ) -> Job | None:
        """The gateway provably took nothing: back to the queue. Only refusals that count use up a try."""
        tries = jobs.c.submit_tries if counts else jobs.c.submit_tries - 1
        return await self._move(
            job_id,
            {Stage.SUBMITTING},
            Stage.QUEUED,
            now,
            history=reason,
            waiting_for=reason,
            submit_tries=tries,
            submitted_at=None,
        )

    @writes
    async def lose_sight(
        self, connection: AsyncConnection, job_id: str, detail: str, *, now: dt.datetime
    ) -> Job | None:
        """Nobody can say whether the gateway has the task, or what became of it: money stays held."""
        return await self._lose(connection, job_id, detail, now)

    async def rendered(
        self,
        job_id: str,
        urls: Sequence[str],
        *,
        cost_micros: int | None = None,
        ready_at: dt.datetime | None = None,
        now: dt.datetime,
    ) -> Job | None:
        """The gateway named the clip, and where it tells it what the clip cost.

        `ready_at` is None where nobody can say when the clip was ready: then nothing is learned from it.
        """
        return await self._move(
            job_id,
            {Stage.RENDERING},
            Stage.FETCHING,
            now,
            result_urls=json.dumps(list(urls)),
            cost_micros=cost_micros,
            rendered_at=ready_at,
        )

    @writes
    async def fetched(
        self, connection: AsyncConnection, job_id: str, clip: Path, *, now: dt.datetime
    ) -> Job | None:
        """The clip is on disk: the member has what they pay for, so the money settles with it.

        They pay the smaller of quote and cost; what the gateway took beyond the quote is the operator's.
        """
        job = await self.change(
            connection,
            job_id,
            {Stage.FETCHING},
            Stage.DELIVERING,
            now,
            clip_name=clip.name,
            fetched_at=now,
        )
        if job is None:
            return None
        held = job.held_micros
        cost = held if job.cost_micros is None else job.cost_micros
        await ledger.book(connection, job, EntryKind.SETTLE, min(held, cost), reason="clip fetched", now=now)
        if cost < held:
            await ledger.book(
                connection, job, EntryKind.RELEASE, held - cost, reason="cost less than quoted", now=now
            )
        if cost > held:
            await ledger.book(
                connection,
                job,
                EntryKind.POSSIBLE_CHARGE,
                cost - held,
                reason="cost more than quoted",
                now=now,
            )
        return await self._get(connection, job_id)

    async def delivered(
        self, job_id: str, message_id: int | None, *, note: str, now: dt.datetime
    ) -> Job | None:
        """The clip is in the channel, or (without a message) waits in /video show."""
        return await self._move(
            job_id,
            {Stage.DELIVERING},
            Stage.DONE,
            now,
            history=note,
            video_message_id=message_id,
            finished_at=now,
        )

    @writes
    async def fail(
        self, connection: AsyncConnection, job_id: str, failure: Failure, *, now: dt.datetime
    ) -> Job | None:
        """End the job without a clip and give the held money back.

        Where the gateway had taken the task and does not document that it takes no money for such an
        ending, a possible charge is booked for the operator: what it said it took, else the quote.
        """
        return await self.end(connection, job_id, failure, now=now)

    async def end(
        self,
        connection: AsyncConnection,
        job_id: str,
        failure: Failure,
        *,
        fell_to: str | None = None,
        now: dt.datetime,
    ) -> Job | None:
        """Do as `fail` says, in a transaction that does more.

        A job that another goes on for is told by its card alone.
        """
        job = await self.change(
            connection,
            job_id,
            {Stage.QUEUED, Stage.SUBMITTING, Stage.RENDERING, Stage.FETCHING},
            Stage.FAILED,
            now,
            history=failure.kind,
            failure=failure.kind,
            failure_detail=failure.detail,
            failure_code=failure.code,
            waiting_for="",
            finished_at=now,
            fell_to=fell_to,
            told_stage=jobs.c.told_stage if fell_to is None else Stage.FAILED,
        )
        if job is None:
            return None
        await ledger.book(connection, job, EntryKind.RELEASE, job.held_micros, reason=failure.kind, now=now)
        if job.task_id is not None and failure.charged is not False:
            await ledger.book(
                connection,
                job,
                EntryKind.POSSIBLE_CHARGE,
                job.quote.micros if job.cost_micros is None else job.cost_micros,
                reason=failure.kind,
                now=now,
            )
        return await self._get(connection, job_id)

    @writes
    async def cancel(
        self,
        connection: AsyncConnection,
        job_id: str,
        *,
        by: str,
        user_id: int | None = None,
        now: dt.datetime,
    ) -> Job | None:
        """End a job that was never submitted and give the held money back.

        `by` is written into the ledger for good ("by its member"), so it must name nobody; the entry's actor
        is the row of `user_id`. Where that is not the job's member, it is an act of staff.
        """
        job = await self.of_id(connection, job_id)
        if job is None or job.stage is not Stage.QUEUED:
            return None
        actor = None if user_id is None else await members.row(connection, job.server_id, user_id)
        cancelled = await self.call_off(connection, job_id, {Stage.QUEUED}, by=by, actor_id=actor, now=now)
        if cancelled is not None and user_id is not None:
            reason = "stopped by staff while it waited"
            await audit.record_stop(connection, job, by=user_id, reason=reason, now=now)
        return cancelled

    async def call_off(
        self,
        connection: AsyncConnection,
        job_id: str,
        stages: Collection[Stage],
        *,
        by: str,
        actor_id: int | None,
        now: dt.datetime,
    ) -> Job | None:
        """End a job that is in one of these stages, and give the held money back; see `cancel`."""
        job = await self.change(
            connection,
            job_id,
            stages,
            Stage.CANCELLED,
            now,
            history=by,
            waiting_for="",
            finished_at=now,
        )
        if job is None:
            return None
        await ledger.book(
            connection,
            job,
            EntryKind.RELEASE,
            job.held_micros,
            reason=f"cancelled {by}",
            actor_id=actor_id,
            now=now,
        )
        return await self._get(connection, job_id)

    # What Discord shows of it

    @writes
    async def card_shows(self, connection: AsyncConnection, job_id: str, stage: Stage) -> None:
        """Remember which stage the card was last edited to."""
        await connection.execute(sa.update(jobs).where(jobs.c.job_id == job_id).values(card_stage=stage))

    async def outdate_card(self, connection: AsyncConnection, job_id: str) -> Job:
        """Let the job's card be edited again, in a transaction that changed what it says."""
        await connection.execute(sa.update(jobs).where(jobs.c.job_id == job_id).values(card_stage=None))
        return await self._get(connection, job_id)

    @writes
    async def told(self, connection: AsyncConnection, job_id: str, stage: Stage) -> None:
        """Remember that the member was told of the stage that the job is in."""
        await connection.execute(
            sa.update(jobs).where(jobs.c.job_id == job_id, jobs.c.stage == stage).values(told_stage=stage)
        )

    # Reading

    @reads
    async def get(self, connection: AsyncConnection, job_id: str) -> Job | None:
        """Return a job of any server."""
        return await self._find(connection, jobs.c.job_id == job_id)

    @reads
    async def unfinished(self, connection: AsyncConnection) -> list[Job]:
        """Return every job with something left to do or to tell, oldest first."""
        left = sa.or_(
            jobs.c.stage.in_(_OPEN),
            sa.and_(jobs.c.stage.in_(_TOLD), sa.func.coalesce(jobs.c.told_stage, "") != jobs.c.stage),
            sa.and_(jobs.c.card_message_id.is_not(None), jobs.c.card_stage.is_distinct_from(jobs.c.stage)),
        )
        return await self.select(connection, left, jobs.c.created_at, jobs.c.job_id)

    @reads
    async def of_member(
        self,
        connection: AsyncConnection,
        server_id: int,
        user_id: int,
        *,
        offset: int = 0,
        limit: int = 25,
        only_open: bool = False,
    ) -> list[Job]:
        """Return a member's jobs in a server, newest first."""
        member = await members.find(connection, server_id, user_id)
        if member is None:
            return []
        where = jobs.c.member_id == member
        if only_open:
            # The plus lets SQLite begin with everybody's open jobs, not all the member ever ordered.
            where = sa.and_(sa.literal_column("+jobs.member_id") == member, jobs.c.stage.in_(_OPEN))
        return await self.select(connection, where, *NEWEST_FIRST, offset=offset, limit=limit)

    @reads
    async def files_needed(self, connection: AsyncConnection, since: dt.datetime) -> set[str]:
        """Return the names of files of jobs that are open or ended after a moment, and of open drafts."""
        recent = sa.or_(jobs.c.stage.in_(_OPEN), jobs.c.finished_at >= since)
        rows = await connection.execute(
            sa.select(jobs.c.picture_name, jobs.c.end_name, jobs.c.clip_name)
            .where(recent)
            .union_all(
                sa.select(drafts.c.picture_name, drafts.c.end_name, sa.null()).where(
                    drafts.c.stage.in_([stage for stage in DraftStage if stage.is_open])
                )
            )
        )
        return {name for row in rows for name in row if name is not None}

    # How it is done

    @writes
    async def _move(
        self,
        connection: AsyncConnection,
        job_id: str,
        from_stages: Collection[Stage],
        to_stage: Stage,
        now: dt.datetime,
        *,
        history: str = "",
        **values: Any,
    ) -> Job | None:
        return await self.change(connection, job_id, from_stages, to_stage, now, history=history, **values)

    async def _lose(
        self, connection: AsyncConnection, job_id: str, detail: str, now: dt.datetime
    ) -> Job | None:
        is_known = jobs.c.task_id.is_not(None)
        return await self.change(
            connection,
            job_id,
            {Stage.SUBMITTING, Stage.RENDERING},
            Stage.UNCERTAIN,
            now,
            history=detail,
            failure=sa.case((is_known, FailureKind.NO_VERDICT), else_=FailureKind.SUBMIT_LOST),
            failure_detail=detail,
            uncertain_at=now,
            reminded_at=None,
        )

    async def change(
        self,
        connection: AsyncConnection,
        job_id: str,
        from_stages: Collection[Stage],
        to_stage: Stage,
        now: dt.datetime,
        *,
        history: str = "",
        **values: Any,
    ) -> Job | None:
        """Move a job, in a transaction that does more; None where it was in none of these stages."""
        result = await connection.execute(
            sa.update(jobs)
            .where(jobs.c.job_id == job_id, jobs.c.stage.in_(tuple(from_stages)))
            .values(stage=to_stage, **values)
        )
        if result.rowcount == 0:
            return None
        await self._remember(connection, job_id, to_stage, history, now)
        return await self._get(connection, job_id)

    async def _remember(
        self, connection: AsyncConnection, job_id: str, stage: Stage, note: str, now: dt.datetime
    ) -> None:
        await connection.execute(
            sa.insert(stage_history).values(job_id=job_id, stage=stage, note=note, at=now)
        )

    async def _get(self, connection: AsyncConnection, job_id: str) -> Job:
        (job,) = await self.select(connection, jobs.c.job_id == job_id)
        return job

    async def _find(self, connection: AsyncConnection, where: sa.ColumnElement[bool]) -> Job | None:
        return next(iter(await self.select(connection, where, limit=1)), None)

    async def select(
        self,
        connection: AsyncConnection,
        where: sa.ColumnElement[bool],
        *order: sa.ColumnElement[Any],
        offset: int = 0,
        limit: int | None = None,
    ) -> list[Job]:
        """Return the jobs that fit; for this store and `storage/job_search.py`."""
        query = _JOBS.where(where).order_by(*order).offset(offset).limit(limit)
        return [self._job(row) for row in (await connection.execute(query)).mappings()]

    def _job(self, row: sa.RowMapping) -> Job:
        return Job(
            job_id=row["job_id"],
            origin=row["origin"],
            account=Account(row["account"]),
            server_id=row["server_id"],
            channel_id=row["channel_id"],
            home_channel_id=row["home_channel_id"] or row["channel_id"],
            member_id=row["member_id"],
            user_id=row["discord_id"],
            request=request_of(row),
            gateway=row["gateway"],
            picture=picture_of(row, self.pictures),
            end_picture=picture_of(row, self.pictures, "end"),
            note=row["note"],
            is_auto=bool(row["is_auto"]),
            fell_from=row["fell_from"],
            fell_to=row["fell_to"],
            stage=Stage(row["stage"]),
            failure=Failure(
                kind=FailureKind(row["failure"]),
                detail=row["failure_detail"] or "",
                code=row["failure_code"] or "",
            )
            if row["failure"]
            else None,
            waiting_for=row["waiting_for"],
            task_id=row["task_id"],
            submit_tries=row["submit_tries"],
            result_urls=tuple(json.loads(row["result_urls"])),
            clip=self._clips / row["clip_name"] if row["clip_name"] else None,
            quote=Quote(
                micros=row["quote_micros"], estimate=bool(row["estimate"]), version=row["price_version"]
            ),
            charge=Charge(budget=Budget(row["budget"]), subject_id=row["budget_id"]),
            role_id=row["role_id"],
            cost_micros=row["cost_micros"],
            held_micros=row["hold"] - row["settle"] - row["release"],
            settled_micros=row["settle"],
            corrected_micros=row["correction"],
            card_message_id=row["card_message_id"],
            card_stage=Stage(row["card_stage"]) if row["card_stage"] else None,
            video_message_id=row["video_message_id"],
            told_stage=Stage(row["told_stage"]) if row["told_stage"] else None,
            hook_token=row["hook_token"],
            named_task_id=row["named_task_id"],
            created_at=row["created_at"],
            submitted_at=row["submitted_at"],
            rendered_at=row["rendered_at"],
            uncertain_at=row["uncertain_at"],
            fetched_at=row["fetched_at"],
            finished_at=row["finished_at"],
        )


def columns(new: NewJob) -> dict[str, Any]:
    """Return what an order says, as its columns; a draft keeps the same as JSON."""
    request = new.request
    return {
        "job_id": new.job_id,
        "origin": new.origin,
        "account": new.account,
        "server_id": new.server_id,
        "channel_id": new.channel_id,
        "home_channel_id": new.home_channel_id,
        "mode": request.mode,
        "model": request.model,
        "gateway": new.gateway,
        "prompt": request.prompt,
        "seconds": request.seconds,
        "shape": request.shape,
        "quality": request.quality,
        "keep_watermark": request.keep_watermark,
        "sound": request.sound,
        "negative_prompt": request.negative_prompt,
        "seed": request.seed,
        "style": request.style,
        **_picture_columns(new.picture, "picture"),
        **_picture_columns(new.end_picture, "end"),
        "is_auto": new.is_auto,
        "fell_from": new.fell_from,
        "note": new.note,
        "quote_micros": new.quote.micros,
        "estimate": new.quote.estimate,
        "price_version": new.quote.version,
    }


def request_of(values: Mapping[Any, Any]) -> VideoRequest:
    """Read back what was ordered."""
    return VideoRequest(
        model=values["model"],
        mode=Mode(values["mode"]),
        prompt=values["prompt"],
        seconds=values["seconds"],
        shape=Shape(values["shape"]),
        quality=Quality(values["quality"]) if values["quality"] else None,
        keep_watermark=_choice(values["keep_watermark"]),
        sound=_choice(values.get("sound")),
        negative_prompt=values.get("negative_prompt"),
        seed=values.get("seed"),
        style=values.get("style"),
    )


def picture_of(values: Mapping[Any, Any], folder: Path, which: str = "picture") -> Picture | None:
    """Read back which picture was kept for it: the first one, or the `end`."""
    name = values.get(f"{which}_name")  # drafts of earlier versions have no end
    if not name:
        return None
    return Picture(
        path=folder / name,
        content_type=values[f"{which}_type"],
        width=values[f"{which}_width"],
        height=values[f"{which}_height"],
        cropped=bool(values[f"{which}_cropped"]),
    )


def _picture_columns(picture: Picture | None, which: str) -> dict[str, Any]:
    return {
        f"{which}_name": picture and picture.path.name,
        f"{which}_type": picture and picture.content_type,
        f"{which}_width": picture and picture.width,
        f"{which}_height": picture and picture.height,
        f"{which}_cropped": picture and picture.cropped,
    }


def _choice(value: Any) -> bool | None:
    return None if value is None else bool(value)
