"""Every sentence a person reads about a job, a model or a quota."""

import datetime as dt

from bot import pacing, text
from bot.catalogue import Model
from bot.models import Failure, FailureKind, Job, Quote, Stage, VideoRequest
from bot.money import dollars
from bot.quotas import Standing

WHAT_HAPPENED = {
    FailureKind.PROMPT_REFUSED: "The gateway refused the prompt. Say it in other words and order again.",
    FailureKind.PICTURE_REFUSED: "The gateway refused the picture. Order again with another one.",
    FailureKind.VIDEO_REFUSED: (
        "The gateway rendered the clip and then refused to hand it out. Say it in other words and order again."
    ),
    FailureKind.BAD_REQUEST: "The gateway did not take the order as it was. Change it and order again.",
    FailureKind.NO_ACCESS: "The gateway refused the bot's key. The operator has to act.",
    FailureKind.NO_BALANCE: "The bot's account at the gateway is empty. The operator has to act.",
    FailureKind.RATE_LIMITED: "The gateway was too busy to take the order. Order again later.",
    FailureKind.GATEWAY_DOWN: "The gateway is out of order. Order again later, or choose another model.",
    FailureKind.MODEL_GONE: "The gateway no longer has this model. Choose another: `/video models`.",
    FailureKind.TIMED_OUT: "The gateway gave up rendering. Order again.",
    FailureKind.NO_OUTPUT: "The gateway ended the job without a clip. Order again, or choose another model.",
    FailureKind.BAD_FILE: "What the gateway handed out is no video. Order again, or choose another model.",
    FailureKind.UNCERTAIN: (
        "Nobody can say whether the gateway has this job. It will not be sent again, so nobody pays twice."
    ),
    FailureKind.NO_CARD: "The bot could not post in this channel, so it did not start the job.",
}

STAGE_TITLES = {
    Stage.QUEUED: "Waiting",
    Stage.SUBMITTING: "Ordering",
    Stage.UNCERTAIN: "Unclear",
    Stage.RENDERING: "Rendering",
    Stage.FETCHING: "Fetching the clip",
    Stage.DELIVERING: "Posting the clip",
    Stage.DONE: "Done",
    Stage.FAILED: "Failed",
    Stage.CANCELLED: "Cancelled",
}

CANNOT_STOP = (
    "Job `{job_id}` is already at the gateway, which cannot stop it: it will be rendered and charged. "
    "The clip comes here when it is ready."
)
ALREADY_OVER = "Job `{job_id}` is over already: {stage}."


def price(quote: Quote) -> str:
    """Write a price, marked where it is an estimate."""
    return f"{'≈' if quote.estimate else ''}{dollars(quote.micros)}"


def settings_line(request: VideoRequest) -> str:
    """Write what was ordered, but for the prompt."""
    parts = [request.model, f"{request.seconds} s", request.shape, request.quality]
    if request.keep_watermark:
        parts.append("with watermark")
    return " · ".join(str(part) for part in parts if part)


def money_line(job: Job) -> str:
    """Write what the job costs or cost."""
    if job.settled_micros:
        return f"{dollars(job.settled_micros)} spent"
    if job.held_micros:
        return f"{price(job.quote)} held"
    return f"{dollars(job.quote.micros)} returned"


def acknowledged(job: Job) -> str:
    """Answer an order once it is stored."""
    return f"Job `{job.job_id}` is ordered: {settings_line(job.request)}, {price(job.quote)} held. Its card is below."


def progress(job: Job, model: Model, now: dt.datetime) -> str:
    """Write where the job stands, with times that Discord itself keeps current."""
    match job.stage:
        case Stage.QUEUED:
            return job.waiting_for or "In line for a place at the gateway."
        case Stage.RENDERING if job.submitted_at is not None:
            full = pacing.bar_cells(model.timing, job.submitted_at, now)
            bar = "▰" * full + "▱" * (pacing.BAR_CELLS - full)
            end = pacing.expected_end(model.timing, job.submitted_at)
            late = " (later than usual)" if now > end else ""
            return f"{bar}\nOrdered {_ago(job.submitted_at)}, usually ready {_ago(end)}{late}."
        case Stage.UNCERTAIN | Stage.FAILED if job.failure is not None:
            return failure_lines(job, job.failure)
        case Stage.CANCELLED:
            return "Stopped before it was submitted; it cost nothing."
        case _:
            return ""


def failure_lines(job: Job, failure: Failure) -> str:
    """Write what went wrong, in the gateway's own words too, and what it cost."""
    lines = [WHAT_HAPPENED[failure.kind]]
    words = text.code(" ".join(part for part in (failure.code, failure.detail) if part))
    if words:
        lines.append(f"The gateway's words: {words}" if failure.kind is not FailureKind.NO_CARD else words)
    if job.held_micros:
        lines.append(f"{price(job.quote)} stays held until that is settled.")
    else:
        lines.append(f"{dollars(job.quote.micros)} returned to your quota.")
    return "\n".join(lines)


def notes(job: Job) -> list[str]:
    """Write what the member should know about how their order was taken."""
    found = [job.note] if job.note else []
    if job.picture is not None and job.picture.cropped:
        found.append(
            f"The picture was cropped to {job.request.shape}, {job.picture.width}×{job.picture.height}."
        )
    return found


def delivered(job: Job) -> str:
    """Head the message with the clip."""
    return (
        f"{_for(job)}your clip is ready: {settings_line(job.request)}, {money_line(job)}. Job `{job.job_id}`."
    )


def told(job: Job) -> str:
    """Head the message that tells a failure."""
    what = "hangs" if job.stage is Stage.UNCERTAIN else "failed"
    failure = job.failure or Failure(kind=FailureKind.NO_OUTPUT)
    return f"{_for(job)}job `{job.job_id}` {what}.\n{failure_lines(job, failure)}"


def shrunk(original_bytes: int) -> str:
    """Say that the clip in the message is not the gateway's own file."""
    return f"Re-encoded to fit this server's limit; the original has {megabytes(original_bytes)}."


def linked(link: str, until: dt.datetime) -> str:
    """Give the gateway's link where the file cannot be posted."""
    return (
        f"The file is too large for this channel. <{link}>\n"
        f"The gateway promises it until {_at(until)}; it may end sooner."
    )


def kept_only(job: Job) -> str:
    """Tell by direct message what could not be told in the channel."""
    return (
        f"I could not post in <#{job.channel_id}>. `/video show job:{job.job_id}` gives you the clip there."
    )


def megabytes(size: int) -> str:
    """Write a size as people read it."""
    return f"{size / (1024 * 1024):.1f} MB"


def job_line(job: Job) -> str:
    """Write one line of a list of jobs."""
    link = (
        f" · https://discord.com/channels/{job.server_id}/{job.channel_id}/{job.card_message_id}"
        if job.card_message_id
        else ""
    )
    title = STAGE_TITLES[job.stage]
    return (
        f"`{job.job_id}` {title} · {_ago(job.created_at)} · {settings_line(job.request)} · "
        f"{money_line(job)}{link}\n-# {text.code(job.request.prompt, 80)}"
    )


def job_page(job: Job) -> str:
    """Write all there is to say of one job, within a message's 2,000 characters."""
    lines = [job_line(job)]
    if job.failure is not None:
        lines.append(failure_lines(job, job.failure))
    elif job.waiting_for and job.stage is Stage.QUEUED:
        lines.append(job.waiting_for)
    lines += notes(job)
    return text.cut("\n".join(lines), 1900)


def menu_line(job: Job) -> str:
    """Write a job for a menu of at most 100 characters."""
    return text.one_line(f"{job.job_id} · {STAGE_TITLES[job.stage]} · {job.request.prompt}", 100)


def cancelled(job: Job) -> str:
    """Answer a cancel."""
    return f"Job `{job.job_id}` is cancelled. {dollars(job.quote.micros)} returned to your quota."


def too_large_here(size: int, links: tuple[str, ...]) -> str:
    """Say why a clip is not attached."""
    link = f" The gateway's link, while it lasts: <{links[0]}>" if links else ""
    return f"The clip has {megabytes(size)}, more than I may attach here.{link}"


def limit_set(user_id: int, amount_micros: int) -> str:
    """Answer staff who set a limit."""
    return f"<@{user_id}> may spend {dollars(amount_micros)} a month here."


def limit_cleared(user_id: int, default_micros: int, *, had_one: bool) -> str:
    """Answer staff who cleared a limit."""
    before = "" if had_one else "There was no limit of their own. "
    return f"{before}<@{user_id}> may spend the default {dollars(default_micros)} a month here."


def model_lines(model: Model, why_not: str | None) -> str:
    """Write what a model makes and costs, and whether it can be ordered."""
    mark = "🔴" if why_not else {"available": "🟢", "doubtful": "🟡"}.get(model.status, "🔴")
    lines = [
        f"{mark} **{model.model_id}** ({model.title}, {model.status})",
        f"{' and '.join(mode.value for mode in model.modes)} · {', '.join(model.shapes)}"
        + (f" · {', '.join(model.qualities)}" if model.qualities else ""),
        _price_list(model),
    ]
    if model.note:
        lines.append(f"-# {model.note}")
    if why_not:
        lines.append(f"-# Not now: {why_not}")
    return "\n".join(lines)


def quota(standing: Standing, *, sandbox: bool) -> str:
    """Write where a member stands this month."""
    lines = [
        f"**{dollars(standing.left_micros)} left** of {dollars(standing.limit_micros)} this month",
        f"Spent: {dollars(standing.sums.spent_micros)}",
        f"Held by running jobs: {dollars(standing.sums.held_micros)}",
        f"The month turns {_ago(standing.period.turns_at)} ({_at(standing.period.turns_at)}).",
    ]
    if sandbox:
        lines.append("-# This is the sandbox's play money.")
    return "\n".join(lines)


def offer(model: Model, request: VideoRequest) -> str:
    """Write one offer of a menu."""
    return text.one_line(f"{model.model_id}, {request.seconds} s, {price(model.quote(request))}", 100)


def _price_list(model: Model) -> str:
    costs: dict[str, dict[int, str]] = {}
    for order in model.orders(next(iter(model.modes))):
        key = " · ".join(str(part) for part in (order.quality,) if part)
        costs.setdefault(key, {})[order.seconds] = price(model.quote(order))
    return "\n".join(
        (f"{quality}: " if quality else "")
        + ", ".join(f"{seconds} s {cost}" for seconds, cost in by_length.items())
        for quality, by_length in costs.items()
    )


def _for(job: Job) -> str:
    return f"<@{job.user_id}>, " if job.user_id is not None else ""


def _ago(moment: dt.datetime) -> str:
    return f"<t:{int(moment.timestamp())}:R>"


def _at(moment: dt.datetime) -> str:
    return f"<t:{int(moment.timestamp())}:f>"
