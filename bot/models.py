"""The values every other module speaks in: frozen, keyword-only, free of Discord and of SQL."""

import dataclasses
import datetime as dt
import time
from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, TypeAlias
from zoneinfo import ZoneInfo


class Mode(StrEnum):
    """What a clip is made from."""

    TEXT = "text-to-video"
    IMAGE = "image-to-video"


class Shape(StrEnum):
    """Which way the clip lies: the width and height it has in proportion."""

    LANDSCAPE = "landscape"
    PORTRAIT = "portrait"
    SQUARE = "square"
    FOUR_TO_THREE = "4:3"
    THREE_TO_FOUR = "3:4"
    THREE_TO_TWO = "3:2"
    TWO_TO_THREE = "2:3"
    CINEMA = "21:9"

    @property
    def proportion(self) -> str:
        """Width and height, as in 16:9."""
        return {"landscape": "16:9", "portrait": "9:16", "square": "1:1"}.get(self, self.value)

    @property
    def ratio(self) -> float:
        """Width by height."""
        width, height = self.proportion.split(":")
        return int(width) / int(height)


class Quality(StrEnum):
    """The tier of resolution, for models that sell more than one."""

    P360 = "360p"
    P480 = "480p"
    P540 = "540p"
    P720 = "720p"
    P768 = "768p"
    P1080 = "1080p"


class Account(StrEnum):
    """Whose money an entry counts: real dollars, or the sandbox's play money."""

    REAL = "real"
    SANDBOX = "sandbox"


class Stage(StrEnum):
    """Where a job stands; it only ever moves forward, but for a submit the gateway did not accept."""

    QUEUED = "queued"  # stored and held; the card is posted here, then it waits for a slot
    SUBMITTING = "submitting"  # nothing but the paid POST is left to wait for
    UNCERTAIN = "uncertain"  # the gateway may or may not have the task; money stays held
    RENDERING = "rendering"  # the gateway named a task
    FETCHING = "fetching"  # the gateway named a clip; it is being downloaded
    DELIVERING = "delivering"  # the clip is on disk and paid for
    DONE = "done"  # the clip is in the channel, or waits in /video show
    FAILED = "failed"  # told with its reason, money released
    CANCELLED = "cancelled"  # stopped by its member or staff

    @property
    def is_open(self) -> bool:
        """Whether the worker still has something to do for the video itself."""
        return self not in {Stage.DONE, Stage.FAILED, Stage.CANCELLED}


class Budget(StrEnum):
    """Whose money a job is charged to. The first two are the member's own quota."""

    MEMBER = "member"  # bounded by their own limit or the default one
    ROLE = "role"  # bounded by the limit of one of their roles
    PURSE = "purse"  # the channel's
    APPROVAL = "approval"  # granted by staff for this one job


class FailureKind(StrEnum):
    """The small set of reasons a job can end without a clip, or hang without a verdict."""

    PROMPT_REFUSED = "prompt_refused"
    PICTURE_REFUSED = "picture_refused"
    VIDEO_REFUSED = "video_refused"
    BAD_REQUEST = "bad_request"
    NO_ACCESS = "no_access"
    NO_BALANCE = "no_balance"
    RATE_LIMITED = "rate_limited"
    GATEWAY_DOWN = "gateway_down"
    MODEL_GONE = "model_gone"
    TIMED_OUT = "timed_out"
    NO_OUTPUT = "no_output"
    BAD_FILE = "bad_file"
    CLIP_LOST = "clip_lost"  # it was said to be ready, and could not be downloaded
    SUBMIT_LOST = "submit_lost"  # the gateway may have the task; nobody knows its id
    NO_VERDICT = "no_verdict"  # the task is known, and has no end
    RELEASED = "released"  # staff gave up what was uncertain
    NO_CARD = "no_card"  # ours, not a gateway's: the channel refused the job's card
    CHANGED = "changed"  # ours: since it was ordered, the catalogue says otherwise of its model


@dataclasses.dataclass(frozen=True, kw_only=True)
class Failure:
    """Why something did not work.

    `detail` is the gateway's own words (already cut and redacted, may be empty) and `code` its
    machine-readable code. `charged` is False only where the gateway documents that it takes no
    money for this ending; None means nobody says.
    """

    kind: FailureKind
    detail: str = ""
    code: str = ""
    charged: bool | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture on disk exactly as the gateway will get it.

    `width` and `height` are pixels; `content_type` is image/jpeg, image/png or image/webp;
    `cropped` says that something of the member's picture was cut away.
    """

    path: Path
    content_type: str
    width: int
    height: int
    cropped: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class VideoRequest:
    """A validated wish: every field is one the model has.

    `quality` and what stands below it are None where the model has no such choice, `negative_prompt`, `seed`
    and `style` also where nobody made it.
    """

    model: str
    mode: Mode
    prompt: str
    seconds: int
    shape: Shape
    quality: Quality | None = None
    keep_watermark: bool | None = None
    sound: bool | None = None
    negative_prompt: str | None = None
    seed: int | None = None
    style: str | None = None

    @property
    def choices(self) -> dict[str, Any]:
        """What was chosen beside the model, the mode and the prompt, by name."""
        return {name: getattr(self, name) for name in CHOICES}


CHOICES = ("seconds", "shape", "quality", "keep_watermark", "sound", "negative_prompt", "seed", "style")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Quote:
    """What a request costs. `estimate` marks prices the gateway does not state (shown with ≈).

    `version` names the price list it was read from.
    """

    micros: int
    estimate: bool
    version: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """When a job came into a stage, and what was written down of it."""

    stage: Stage
    note: str
    at: dt.datetime


@dataclasses.dataclass(frozen=True, kw_only=True)
class Charge:
    """The budget a job is charged to; `subject_id` is the id of the role or purse, where it is one."""

    budget: Budget
    subject_id: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """One order as the database knows it.

    Ids of Discord things are their snowflakes; times are aware UTC; amounts are micro-dollars. `hook_token`
    ends the address of the job's own callback: a secret between the bot and the gateway. `named_task_id` is
    the task which a callback names for a job that knows none, until a look confirms it. `end_picture` is
    what the clip ends with. `is_auto` says that the bot chose the model, `fell_from` is the model that it
    chose first, where that one failed, and `fell_to` the job that goes on in the stead of this one.
    """

    job_id: str
    origin: str
    account: Account
    server_id: int
    channel_id: int
    home_channel_id: int
    member_id: int
    user_id: int | None
    request: VideoRequest
    gateway: str
    picture: Picture | None
    end_picture: Picture | None
    note: str
    is_auto: bool
    fell_from: str | None
    fell_to: str | None
    stage: Stage
    failure: Failure | None
    waiting_for: str
    task_id: str | None
    submit_tries: int
    result_urls: tuple[str, ...]
    clip: Path | None
    quote: Quote
    charge: Charge
    role_id: int | None
    cost_micros: int | None
    held_micros: int
    settled_micros: int
    corrected_micros: int
    card_message_id: int | None
    card_stage: Stage | None
    video_message_id: int | None
    told_stage: Stage | None
    hook_token: str | None = dataclasses.field(repr=False)
    named_task_id: str | None
    created_at: dt.datetime
    submitted_at: dt.datetime | None
    rendered_at: dt.datetime | None
    uncertain_at: dt.datetime | None
    fetched_at: dt.datetime | None
    finished_at: dt.datetime | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class NewJob:
    """A checked and priced order, ready to be stored; see `Job`.

    `home_channel_id` is the channel whose limits and purse count: of a thread its parent. `role_ids` are all
    the member's roles, `top_role_id` their highest one: a job counts in one role only.
    """

    job_id: str
    origin: str
    account: Account
    server_id: int
    channel_id: int
    home_channel_id: int
    user_id: int
    role_ids: frozenset[int] = frozenset()
    top_role_id: int | None = None
    request: VideoRequest
    gateway: str
    picture: Picture | None
    end_picture: Picture | None = None
    note: str
    is_auto: bool = False
    fell_from: str | None = None
    quote: Quote


class Audience(StrEnum):
    """Whom an alert is for."""

    STAFF = "staff"  # in their server's staff channel
    MEMBER = "member"  # alone, if they chose so
    OPERATOR = "operator"  # alone


class DraftStage(StrEnum):
    """Where an order stands that waits for a yes."""

    QUOTED = "quoted"  # its member has to confirm the price
    REFUSED = "refused"  # over a limit; its member may ask for more
    ASKED = "asked"  # staff have to decide
    ORDERED = "ordered"  # it became a job
    DENIED = "denied"  # staff said no
    DROPPED = "dropped"  # its member said no, or left
    EXPIRED = "expired"  # nobody said anything for a day

    @property
    def is_open(self) -> bool:
        """Whether somebody's yes still makes it a job."""
        return self in {DraftStage.QUOTED, DraftStage.REFUSED, DraftStage.ASKED}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Draft:
    """A checked and priced order that waits for a yes.

    `why` is the refusal that staff read, `member_id` the requester's row, and `new.user_id` is 0 where the
    person was forgotten.
    """

    draft_id: str
    new: NewJob
    member_id: int
    stage: DraftStage
    why: str
    created_at: dt.datetime
    expires_at: dt.datetime
    staff_channel_id: int | None
    staff_message_id: int | None
    shown_stage: DraftStage | None
    decider_user_id: int | None
    job_id: str | None


AUTO = "auto"  # in the place of a model: the bot chooses one


class AutoPolicy(StrEnum):
    """By what a server has `auto` choose."""

    CHEAPEST = "cheapest"
    FASTEST = "fastest"  # from the order to the clip, the waiting line included
    OWN = "own"  # staff's own order of models, and no others


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """What staff set for their server; `zone` is None where the operator's counts.

    `auto_models` is staff's own order of models, which counts with that policy.
    """

    zone: ZoneInfo | None = None
    staff_channel_id: int | None = None
    approver_role_id: int | None = None
    confirm_above_micros: int = 2_000_000
    auto_policy: AutoPolicy = AutoPolicy.CHEAPEST
    auto_models: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Purse:
    """A channel's own budget, in micro-dollars; it ends at a time, when closed, or when it is empty."""

    purse_id: int
    server_id: int
    channel_id: int
    amount_micros: int
    spent_micros: int
    held_micros: int
    opened_at: dt.datetime
    ends_at: dt.datetime | None
    closed_at: dt.datetime | None

    @property
    def left_micros(self) -> int:
        """What can still be ordered from it."""
        return max(0, self.amount_micros - self.spent_micros - self.held_micros)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Act:
    """What staff or the operator did. `what` and `reason` name no person: `about_user_id` does.

    Ids of people are None where they are forgotten; `is_bots` says that nobody did it but the bot itself.
    """

    act_id: str
    server_id: int
    actor_user_id: int | None
    is_bots: bool
    act: str
    about_user_id: int | None
    what: str
    reason: str
    at: dt.datetime


class PauseScope(StrEnum):
    """What takes no orders until somebody resumes it."""

    SERVER = "server"
    GATEWAY = "gateway"
    MODEL = "model"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pause:
    """What takes no orders: `subject` is the id of a server, or the name of a gateway or model."""

    scope: PauseScope
    subject: str
    reason: str
    since: dt.datetime


class RuleScope(StrEnum):
    """What an access rule is about."""

    ROLE = "role"
    MEMBER = "member"
    CHANNEL = "channel"


@dataclasses.dataclass(frozen=True, kw_only=True)
class AccessRule:
    """What staff say of a role, a person or a channel by their Discord id; None is somebody forgotten."""

    scope: RuleScope
    subject_id: int | None
    allows: bool


class OutageScope(StrEnum):
    """What an outage stops."""

    KEY = "key"  # everything on a gateway: its key was refused or is out of money
    MODEL = "model"  # one model: the gateway said that it is unknown, disabled or paused


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outage:
    """A key or a model that takes no orders since a gateway refused it.

    `subject` is the name of the gateway or the id of the model; `detail` is the gateway's own words.
    """

    scope: OutageScope
    subject: str
    failure: FailureKind
    detail: str
    since: dt.datetime


class Upload(Protocol):
    """A file a person attached, not read yet; what is known of it is what Discord says."""

    @property
    def filename(self) -> str:
        """The file's name, as the person's machine has it."""
        ...

    @property
    def size(self) -> int:
        """How many bytes it has."""
        ...

    async def read(self) -> bytes:
        """Download the whole file."""
        ...


Clock: TypeAlias = Callable[[], dt.datetime]
Sleep: TypeAlias = Callable[[float], Awaitable[None]]
Ticks: TypeAlias = Callable[[], float]


def utc_now() -> dt.datetime:
    """The real clock, injected wherever time is needed."""
    return dt.datetime.now(dt.UTC)


def ticks() -> float:
    """Seconds that nobody can set, with those in which the machine slept where the system counts them."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
