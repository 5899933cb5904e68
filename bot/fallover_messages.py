"""Every sentence about a job that another model goes on with, since the first one failed."""

from bot import messages
from bot.models import Draft, Failure, Job
from bot.receipts import price


def took_over(job: Job, failure: Failure, model: str) -> str:
    """Say on the card of the job that goes on why it is another model's."""
    return f"`auto` took {job.request.model} first, which failed: {_in_few_words(failure)} {model} took over."


def offer(draft: Draft, job: Job) -> str:
    """Ask for a yes to what another model would do at a higher price."""
    new = draft.new
    return (
        f"{new.request.model} can make the same clip, and costs more: **{price(new.quote)}** in place of "
        f"{price(job.quote)}. Confirm to order it. Until then nothing is held; the offer ends after a day."
    )


def _in_few_words(failure: Failure) -> str:
    sentence = messages.what_happened(failure.kind)
    return f"{sentence[0].lower()}{sentence[1:]}"
