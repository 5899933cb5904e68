"""Every sentence staff read about jobs of their server and in its audit log."""

from collections.abc import Sequence

from bot import messages, text
from bot.messages import at
from bot.models import Act, Job, Stage, Step

NO_SUCH_JOB = "There is no job {job_id} in this server. `/video-admin jobs` shows them."
NO_SUCH_MODEL = "There is no model {model}. Choose one from the menu."
MODEL_LEFT = "That model is no longer in the catalogue. Use the command again without it."
NO_JOBS = "No jobs fit."
NO_ACTS = "Nobody did anything yet that the audit log keeps."
STAFF_ONLY = (
    "Only those who may manage this server turn pages that are older than a quarter of an hour. "
    "Use the command again."
)

MOST_STEPS = 15
_MOST_WORDS = 120


def job_line(job: Job) -> str:
    """Write a job of a list: whose it is, and what a member reads of it."""
    return f"{person(job.user_id)} · {messages.job_line(job)}"


def job_page(job: Job, history: Sequence[Step]) -> str:
    """Write all there is to say of one job, the newest stages where there were many."""
    lines = [job_line(job), f"Ordered in <#{job.channel_id}> {at(job.created_at)}."]
    if job.failure is not None:
        lines.append(messages.WHAT_HAPPENED[job.failure.kind])
        words = text.code(f"{job.failure.code} {job.failure.detail}")
        lines += [f"The reason given: {words}"] if words else []
        lines += [messages.how_to_settle(job)] if job.stage is Stage.UNCERTAIN else []
    elif job.waiting_for and job.stage is Stage.QUEUED:
        lines.append(job.waiting_for)
    lines += messages.notes(job)
    lines.append("**History**")
    if len(history) > MOST_STEPS:
        lines.append(f"-# {len(history) - MOST_STEPS} earlier stages are left out.")
    lines += [_step(step) for step in history[-MOST_STEPS:]]
    return "\n".join(lines)


def act_line(act: Act) -> str:
    """Write an act of the audit log: when, who, what, about whom, why."""
    who = "the bot" if act.is_bots else person(act.actor_user_id)
    about = f" · about {person(act.about_user_id)}" if act.about_user_id is not None else ""
    what = f" · {text.code(act.what, _MOST_WORDS)}" if act.what else ""
    why = f"\n-# because {text.code(act.reason, _MOST_WORDS)}" if act.reason else ""
    return f"{at(act.at)} · {who} · **{act.act}**{what}{about}{why}"


def person(user_id: int | None) -> str:
    """Name somebody, whom the bot may have been told to forget."""
    return f"<@{user_id}>" if user_id is not None else "somebody forgotten"


def _step(step: Step) -> str:
    note = f" · {text.code(step.note, _MOST_WORDS)}" if step.note else ""
    return f"{at(step.at)} · {messages.STAGE_TITLES[step.stage]}{note}"
