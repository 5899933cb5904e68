"""Every sentence a person reads about a job or a model."""

import datetime as dt
import re
import urllib.parse

from bot import price_lists, receipts, text
from bot.breaker import Record
from bot.catalogue import Model
from bot.models import Failure, FailureKind, Job, Outage, Stage, VideoRequest
from bot.outlook import BAR_CELLS, Outlook
from bot.receipts import price

MOST_STYLE = 40
MOST_NEGATIVE = 60
MOST_ADDRESS = 1000  # of a link, in messages of 2,000 characters

WHAT_HAPPENED = {
    FailureKind.PROMPT_REFUSED: "The gateway refused the prompt. Say it in other words and order again.",
    FailureKind.PICTURE_REFUSED: "The gateway refused the picture. Order again with another one.",
    FailureKind.VIDEO_REFUSED: (
        "The gateway rendered the clip and then refused to hand it out. "
        "Say it in other words and order again."
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
    FailureKind.CLIP_LOST: (
        "The gateway said that the clip was ready, but it could not be downloaded. "
        "Order again, or choose another model."
    ),
    FailureKind.SUBMIT_LOST: (
        "The gateway did not answer, so nobody can say whether it has this job. "
        "It will not be sent again: nobody will be charged twice."
    ),
    FailureKind.NO_VERDICT: (
        "The gateway took this job and does not say how it ended. "
        "It will not be sent again: nobody will be charged twice."
    ),
    FailureKind.RELEASED: (
        "Nobody could find out what became of this job, so staff closed it. "
        "Nobody here was charged; should a clip come of it after all, it is not posted."
    ),
    FailureKind.NO_CARD: "The bot could not post in this channel, so it did not start the job.",
    FailureKind.CHANGED: "The model has changed since this was ordered, so it was not sent. Order again.",
}

# Before the details of a failure, where they are not the gateway's own.
_WHOSE_WORDS = {
    FailureKind.NO_CARD: "",
    FailureKind.CHANGED: "",
    FailureKind.BAD_FILE: "What is known: ",
    FailureKind.CLIP_LOST: "What is known: ",
    FailureKind.SUBMIT_LOST: "What is known: ",
    FailureKind.NO_VERDICT: "What is known: ",
}

# How a job that hangs may go on.
SETTLED_BY_CALLBACK = (
    "If the gateway has it, its callback settles this by itself, or the operator does: "
    "`/video-admin uncertain ran`. Staff can give the money back: `/video-admin uncertain release`."
)
SETTLED_BY_PEOPLE = (
    "If the gateway has it, the operator can name its task: `/video-admin uncertain ran`. "
    "Staff can give the money back: `/video-admin uncertain release`."
)
SETTLED_BY_A_LOOK = (
    "Staff can have the gateway asked once more: `/video-admin uncertain look`, "
    "or give the money back: `/video-admin uncertain release`."
)

# What a card says while its job waits.
WAITS_FOR_OPERATOR = "The gateway takes no orders now; the operator has to act. The bot waits up to a day."
WAITS_FOR_TRIAL = "The last orders of this model failed at the gateway; the bot tries again, one order first."
WAITS_FOR_CALM = "The gateway is busy; the bot tries again."
WAITS_FOR_REPAIR = "The gateway is out of order; the bot tries again."

OVERDUE = "takes very long; the bot keeps looking, for up to a day"

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

TOO_MANY_OF_YOURS_WAIT = (
    "{count} of your orders wait to be started; a member may have no more in line. "
    "Order again when some have started; nothing was charged."
)
TOO_MANY_WAIT = (
    "{count} orders of this server wait to be started; no more are taken now. "
    "Order again when some have started; nothing was charged."
)
NO_JOBS = "You have no jobs here yet. `/video create` orders one."
NOT_YOURS = "Only the member who ordered job `{job_id}`, and staff, can cancel it."


# What an order can ask for where the model lets one.
OPTIONS = {
    "keep_watermark": "watermark to keep or leave out",
    "sound": "choice of sound",
    "negative_prompt": "negative prompt",
    "seed": "seed",
    "style": "choice of style",
    "end_frame": "picture to end with",
}


# The same as commands call it, where that is another word.
_COMMANDS_WORDS = {"end_frame": "end_image"}


def settings_line(request: VideoRequest) -> str:
    """Write what was ordered, but for the prompt."""
    parts = [request.model, f"{request.seconds} s", request.shape, request.quality]
    if request.keep_watermark:
        parts.append("with watermark")
    parts.append(price_lists.SOUND[request.sound])
    if request.style is not None:
        parts.append(text.code(request.style, MOST_STYLE))
    if request.seed is not None:
        parts.append(f"seed {request.seed}")
    if request.negative_prompt is not None:
        parts.append(f"without {text.code(request.negative_prompt, MOST_NEGATIVE)}")
    return " · ".join(str(part) for part in parts if part)


def acknowledged(job: Job, left: str = "") -> str:
    """Answer an order once it is stored; `left` says in private what is left to spend."""
    told = f"Job `{job.job_id}` is ordered: {settings_line(job.request)}, {receipts.held_from(job)}."
    return " ".join(filter(None, [told, left, "Its card is below.", *notes(job)]))


def progress(job: Job, outlook: Outlook) -> str:
    """Write where the job stands, with times that Discord itself keeps current."""
    match job.stage:
        case Stage.QUEUED:
            return job.waiting_for or in_line(outlook)
        case Stage.RENDERING if job.submitted_at is not None and outlook.ends_at is not None:
            bar = "▰" * outlook.cells + "▱" * (BAR_CELLS - outlook.cells)
            slow = OVERDUE if outlook.is_late else "takes longer than usual"
            expected = slow if outlook.is_slow else f"usually ready {ago(outlook.ends_at)}"
            return f"{bar}\nAt the gateway since {ago(job.submitted_at)} · {expected}"
        case Stage.UNCERTAIN | Stage.FAILED if job.failure is not None:
            return failure_lines(job, job.failure)
        case Stage.CANCELLED:
            when = "before it was submitted" if job.task_id is None else "while it was rendered"
            return f"Stopped {when}; it cost nothing."
        case Stage.DONE if job.video_message_id is None:
            return f"The clip could not be posted here. `/video show job:{job.job_id}` gives it to you."
        case _:
            return ""


def in_line(outlook: Outlook) -> str:
    """Write where in the line a job is, and how long it takes until it starts."""
    line = "In line for a place at the gateway"
    if not outlook.place:
        return f"{line}."
    hours, minutes = divmod(outlook.minutes, 60)
    time = f"{minutes} min" if minutes else f"{hours} h"
    return f"{line}: {ordinal(outlook.place)}, about {time}."


def ordinal(number: int) -> str:
    """Write a place in a line: 1st, 2nd, 3rd, 11th."""
    is_teen = number % 100 in {11, 12, 13}
    ending = "th" if is_teen else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def failure_lines(job: Job, failure: Failure) -> str:
    """Write what went wrong, in the gateway's own words too, and what it cost."""
    lines = [WHAT_HAPPENED[failure.kind] if job.fell_to is None else what_happened(failure.kind)]
    words = text.code(" ".join(part for part in (failure.code, failure.detail) if part))
    if words:
        lines.append(_WHOSE_WORDS.get(failure.kind, "The gateway's words: ") + words)
    if job.held_micros:
        lines.append(f"{price(job.quote)} stays held until that is settled.")
    else:
        lines.append(f"{receipts.returned(job)}.")
    if job.stage is Stage.UNCERTAIN:
        lines.append(how_to_settle(job))
    if job.fell_to is not None:
        lines.append(f"Another model took over, as job `{job.fell_to}`.")
    return "\n".join(lines)


def what_happened(kind: FailureKind) -> str:
    """Say it in one sentence, without what to do about it."""
    sentence, end, _ = WHAT_HAPPENED[kind].partition(".")
    return sentence + end


def how_to_settle(job: Job) -> str:
    """Say who can end the uncertainty of a job."""
    if job.task_id is not None:
        return SETTLED_BY_A_LOOK
    return SETTLED_BY_PEOPLE if job.hook_token is None else SETTLED_BY_CALLBACK


def notes(job: Job) -> list[str]:
    """Write what the member should know about how their order was taken."""
    found = [job.note] if job.note else []
    if job.picture is not None and job.picture.cropped:
        found.append(
            f"The picture was cropped to {job.request.shape}, {job.picture.width}×{job.picture.height}."
        )
    return found


# How messages of a job begin, by the stage in which they are posted. After a crash the bot knows them by
# these words and the job's id, whatever else they said: amounts and names may have changed since.
_HEADS = {
    Stage.RENDERING: "takes longer than usual.",
    Stage.UNCERTAIN: "hangs.",
    Stage.DELIVERING: "your clip is ready:",
    Stage.FAILED: "failed.",
}


def delivered(job: Job) -> str:
    """Head the message with the clip."""
    return (
        f"{_for(job)}{_HEADS[Stage.DELIVERING]} {settings_line(job.request)}\n"
        f"-# {receipts.line(job, to_member=True)} · {named(job)}"
    )


def told(job: Job) -> str:
    """Head the message that tells a failure, or that the job is overdue."""
    head = f"{_for(job)}job `{job.job_id}` {_head(job)}"
    if job.stage is Stage.RENDERING:
        return f"{head}\nThe bot keeps looking; the clip comes as soon as it is ready."
    failure = job.failure or Failure(kind=FailureKind.NO_OUTPUT)
    return f"{head}\n{failure_lines(job, failure)}"


def tells(content: str, job: Job) -> bool:
    """Whether a message of the bot is what `delivered` or `told` wrote for the job in its stage."""
    first, *more = re.sub(r"^<@!?\d+>, ", "", content).splitlines() or [""]
    if job.stage is Stage.DELIVERING:
        return first.startswith(_head(job)) and bool(more) and more[0].endswith(named(job))
    return first == f"job `{job.job_id}` {_head(job)}"


def _head(job: Job) -> str:
    """Write the words that only this message about a job has; one that is found again may hang once more."""
    is_known = job.failure is not None and job.failure.kind is FailureKind.NO_VERDICT
    return "hangs at the gateway." if job.stage is Stage.UNCERTAIN and is_known else _HEADS[job.stage]


def shrunk(original_bytes: int) -> str:
    """Say that the clip in the message is not the gateway's own file."""
    return f"Re-encoded to fit this server's limit; the original has {megabytes(original_bytes)}."


def linked(job: Job, until: dt.datetime) -> str:
    """Give the gateway's link where the file cannot be posted."""
    address = _clip_address(job)
    if not address:
        return "The file could not be posted here, and the gateway gave no link that could be shown."
    return (
        f"The file could not be posted here: {address}\n"
        f"The gateway promises it until {at(until)}; it may end sooner."
    )


def kept(job: Job) -> str:
    """Say how to have the file where it cannot be posted."""
    return f"`/video show job:{job.job_id}` gives you the file."


def kept_only(job: Job) -> str:
    """Tell by direct message what could not be told in the channel."""
    return (
        f"I could not post in <#{job.channel_id}>. `/video show job:{job.job_id}` gives you the clip there."
    )


def megabytes(size: int) -> str:
    """Write a size as people read it."""
    return f"{size / (1024 * 1024):.1f} MB"


def message_link(job: Job, message_id: int) -> str:
    """Lead to a message in the channel of the job."""
    return f"https://discord.com/channels/{job.server_id}/{job.channel_id}/{message_id}"


def job_line(job: Job) -> str:
    """Write two lines of a list of jobs."""
    card = f" · {message_link(job, job.card_message_id)}" if job.card_message_id else ""
    return (
        f"`{job.job_id}` **{STAGE_TITLES[job.stage]}** · {ago(job.created_at)} · "
        f"{settings_line(job.request)} · {receipts.line(job)}{card}\n-# {text.code(job.request.prompt, 80)}"
    )


def job_page(job: Job, *, clip_bytes: int | None, limit: int) -> str:
    """Write all there is to say of one job, within a message's 2,000 characters.

    `clip_bytes` is None where no clip is on disk, `limit` what can be attached to the answer.
    """
    lines = [job_line(job)]
    if job.failure is not None:
        lines.append(failure_lines(job, job.failure))
    elif job.waiting_for and job.stage is Stage.QUEUED:
        lines.append(job.waiting_for)
    lines += notes(job)
    if clip_bytes is None and job.stage is Stage.DONE:
        lines.append("Its file is no longer kept here.")
    elif clip_bytes is not None and clip_bytes > limit:
        lines.append(f"The clip has {megabytes(clip_bytes)}, more than can be attached here.")
        address = _clip_address(job)
        lines.append(f"The gateway's link, while it lasts: {address}" if address else "")
    return "\n".join(filter(None, lines))


def menu_line(job: Job) -> str:
    """Write a job for a menu of at most 100 characters."""
    return text.one_line(f"{job.job_id} · {STAGE_TITLES[job.stage]} · {job.request.prompt}", 100)


def cancelled(job: Job, *, by: int) -> str:
    """Answer a cancel by its member or by staff."""
    tell = receipts.returned if by == job.user_id else receipts.returned_to_member
    return f"Job `{job.job_id}` is cancelled. {tell(job)}."


def cannot_stop(job: Job, *, aborts: bool) -> str:
    """Say why a job goes on, and what that costs; `aborts` says that its gateway can end tasks."""
    match job.stage:
        case Stage.SUBMITTING if aborts:
            why = "is being ordered just now. Stop it once it is rendered, in a moment."
        case Stage.RENDERING if aborts:
            why = "is being stopped already."
        case Stage.UNCERTAIN:
            held = f"{price(job.quote)} stays held until that is clear."
            why = f"may be at the gateway, which cannot stop it. {held}"
        case Stage.FETCHING | Stage.DELIVERING:
            why = "is rendered already; its clip comes in a moment."
        case stage if stage.is_open:
            why = (
                "is already at the gateway, which cannot stop it. "
                f"The clip comes when it is ready and {receipts.costs(job.quote)}; a failure costs nothing."
            )
        case stage:
            why = f"is over already: {STAGE_TITLES[stage].lower()}."
    return f"Job `{job.job_id}` {why}"


def goes_on(job: Job) -> str:
    """Say that the gateway did not end a task that it was asked to end."""
    return (
        f"The gateway was asked to stop job `{job.job_id}`, and did not say that it has. "
        "Its clip comes when it is ready; if it was stopped after all, it costs nothing."
    )


def model_lines(model: Model, why_not: str | None, record: Record) -> str:
    """Write what a model makes and costs, whether it can be ordered, and how its last orders ended."""
    mark = "🔴" if why_not else {"available": "🟢", "doubtful": "🟡"}.get(model.status, "🔴")
    makes = [" and ".join(model.modes), text.either(model.shapes), text.either(model.qualities or ("",))]
    lines = [
        f"{mark} **{model.model_id}** ({text.one_line(model.title, 60)}, {model.status})",
        " · ".join(filter(None, makes)),
        text.cut(price_lists.price_list(model), 500),
    ]
    options = [_option(name, model) for name in OPTIONS if model.has_option(name)]
    if options:
        lines.append(text.cut(f"-# Options: {', '.join(options)}", 300))
    if why_not:
        lines.append(text.cut(f"-# Not now: {why_not}", 600))
    if record.ended:
        lines.append(f"-# Lately {record.faults} of {record.ended} orders failed at the gateway.")
    if model.note and model.note not in (why_not or ""):
        lines.append(text.cut(f"-# {model.noted_on}: {model.note}", 400))
    return "\n".join(lines)


def _option(name: str, model: Model) -> str:
    """Write what a command calls an option, with the looks to choose from."""
    style = model.options.style if name == "style" else None
    looks = f" ({text.either(style.words)})" if style is not None else ""
    return f"`{_COMMANDS_WORDS.get(name, name)}`{looks}"


def model_choice(model: Model) -> str:
    """Write a model for a menu of at most 100 characters."""
    return text.one_line(f"{model.model_id} · {price_lists.cheapest(model)} · {model.status}", 100)


def faults_in_a_row(faults: int) -> str:
    """Say of a model that it fails, as a sentence goes on or as a menu has it."""
    return f"its last {faults} orders failed at the gateway"


def left_alone(faults: int, until: dt.datetime) -> str:
    """Say why a model takes no orders that failed too often, after "it cannot be ordered:"."""
    return f"{faults_in_a_row(faults)}; one is tried again {ago(until)}."


def outage_line(outage: Outage) -> str:
    """Write what is out for a menu of at most 100 characters, for the operator."""
    since = f"{outage.since:%d %b %H:%M} UTC"
    return text.one_line(f"{outage.scope} {outage.subject}: {_kind(outage)} since {since}", 100)


def reopened(outage: Outage) -> str:
    """Answer the operator who ended an outage."""
    return (
        f"The {outage.scope} {text.code(outage.subject)} takes orders again. "
        f"It was out since {ago(outage.since)}: {text.code(outage.detail or _kind(outage))}"
    )


def named(job: Job) -> str:
    """Name a job as its card and the message with its clip do."""
    return f"Job `{job.job_id}`"


def _for(job: Job) -> str:
    return f"<@{job.user_id}>, " if job.user_id is not None else ""


def ago(moment: dt.datetime) -> str:
    """Write a moment as Discord keeps it current: "in 5 minutes", "2 hours ago"."""
    return f"<t:{int(moment.timestamp())}:R>"


def at(moment: dt.datetime) -> str:
    """Write a moment as a date and time in each reader's own zone."""
    return f"<t:{int(moment.timestamp())}:f>"


def _kind(outage: Outage) -> str:
    return outage.failure.replace("_", " ")


def _clip_address(job: Job) -> str:
    """Write the link to a job's clip that anybody can open; nothing where there is none.

    The route of a `/v1/videos` server itself wants its key, or is reached from the bot's machine alone.
    """
    route = f"/videos/{urllib.parse.quote(job.task_id or '', safe='')}/content"
    addresses = (_address(link) for link in job.result_urls if route not in link)
    return next(filter(None, addresses), "")


def _address(link: str) -> str:
    """Write a gateway's link so that nothing in it can leave it; nothing where it is none to show."""
    quoted = urllib.parse.quote(link, safe="%:/?#[]@!$&'()*+,;=")
    is_one = quoted.startswith(("https://", "http://")) and len(quoted) <= MOST_ADDRESS
    return f"<{quoted}>" if is_one else ""
