"""Every sentence staff and the operator read about jobs of which nobody knows what became of them."""

from bot import messages, text
from bot.messages import STAGE_TITLES, WHAT_HAPPENED, ago, at
from bot.models import Failure, FailureKind, Job
from bot.receipts import price, returned_to_member

# What the audit log calls what was done; the ways people have are commands of these names.
RAN, LOOK, RELEASE = "uncertain ran", "uncertain look", "uncertain release"

NONE = "No job is unclear: of each the gateway said what became of it, or still renders it."
BAD_TASK = "That is no id of a task. Copy it from the gateway's own list, as it stands there."

_MOST_ID = 80


def no_job(job_id: str) -> str:
    """Say that there is no such job to act on."""
    return (
        f"There is no job {text.code(job_id, 20)} in this server. `/video-admin uncertain list` shows them."
    )


def not_uncertain(job: Job) -> str:
    """Say that nothing about the job is unclear any more."""
    return f"Job `{job.job_id}` is not unclear: {STAGE_TITLES[job.stage]}. Nothing was changed."


def task_known(job: Job) -> str:
    """Say that nobody needs to name the task."""
    return (
        f"The gateway named the task of job `{job.job_id}` itself: {text.code(job.task_id or '', _MOST_ID)}. "
        "`/video-admin uncertain look` asks what became of it."
    )


def task_unknown(job: Job) -> str:
    """Say that there is nothing to look at yet."""
    return (
        f"Nobody knows under which id the gateway has job `{job.job_id}`, if it has it at all. "
        "Its operator may find it in the gateway's list of tasks: `/video-admin uncertain ran`."
    )


def task_taken(task_id: str, other: Job) -> str:
    """Say that a task cannot be two jobs'."""
    return f"Task {text.code(task_id, _MOST_ID)} is that of job `{other.job_id}`. Nothing was changed."


def not_found(task_id: str, detail: str) -> str:
    """Say that the gateway does not confirm the task."""
    words = f": {text.code(detail)}" if detail else ""
    return f"The gateway does not know task {text.code(task_id, _MOST_ID)}{words}. Nothing was changed."


def no_answer(detail: str) -> str:
    """Say that the gateway could not be asked."""
    words = f": {text.code(detail)}" if detail else ""
    return f"The gateway gave no answer{words}. Nothing was changed; try again later."


def still_rendering(job: Job) -> str:
    """Say that the task has no end yet."""
    return (
        f"The gateway says that it still renders job `{job.job_id}`, after more than a day. "
        "Nothing was changed."
    )


def goes_on(job: Job) -> str:
    """Answer whoever found the job again."""
    return (
        f"The gateway has job `{job.job_id}` as task {text.code(job.task_id or '', _MOST_ID)}. "
        "The bot takes it from there: its clip, or the reason why there is none, comes in its channel."
    )


def released(job: Job) -> str:
    """Answer whoever gave the job up."""
    return (
        f"Job `{job.job_id}` is closed without a clip: {returned_to_member(job)}. Should the gateway have "
        f"charged for it, {price(job.quote)} is the operator's loss, and booked as possible."
    )


def line(job: Job) -> str:
    """Write an uncertain job of the list for staff."""
    failure = job.failure or Failure(kind=FailureKind.SUBMIT_LOST)
    known = text.code(f"{failure.code} {failure.detail}", 120)
    since = f"Since {at(job.uncertain_at)}: " if job.uncertain_at is not None else ""
    return "\n".join(
        [
            messages.job_line(job),
            f"{since}{WHAT_HAPPENED[failure.kind]} {known}",
            *([f"Its task: {text.code(job.task_id, _MOST_ID)}"] if job.task_id is not None else []),
            messages.how_to_settle(job),
        ]
    )


def more(shown: int, count: int) -> str:
    """Say that the list goes on, and where it has pages."""
    return (
        f"These are the oldest {shown} of {count}. `/video-admin jobs stage:uncertain` shows all of a "
        "server, page by page; the menus of these commands find each by its id or a part of its prompt."
    )


def reminder(job: Job, *, to_operator: bool) -> str:
    """Tell staff, or the operator of a server whose staff have no channel; people are not named."""
    failure = job.failure or Failure(kind=FailureKind.SUBMIT_LOST)
    since = f" since {ago(job.uncertain_at)}" if job.uncertain_at is not None else ""
    card = f"\n{messages.message_link(job, job.card_message_id)}" if job.card_message_id is not None else ""
    no_channel = f"\n-# To you, since server {job.server_id} has no staff channel." if to_operator else ""
    held = f"It may have cost {price(job.quote)} at {job.gateway}; as much is held for it."
    return (
        f"Job `{job.job_id}` in <#{job.channel_id}> is unclear{since}. {WHAT_HAPPENED[failure.kind]}\n"
        f"{held if job.quote.micros else f'It is free of charge at {job.gateway}.'} "
        f"{messages.how_to_settle(job)}{card}{no_channel}"
    )
