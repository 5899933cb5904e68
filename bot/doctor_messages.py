"""Every finding of the doctor: how bad it is, what was seen, and what to do.

They are read in Discord and in a terminal.
"""

import datetime as dt
from collections.abc import Iterable, Sequence

from bot import text
from bot.findings import Finding, Level, in_stage_since
from bot.messages import STAGE_TITLES
from bot.models import Job, Outage, Pause, Stage
from bot.money import dollars

SOON_FULL_BYTES = 1024**3
BACKUP_DAYS = 1
SKEW_SECONDS = 10.0  # more than a busy network delays what another clock says

NO_GATEWAY = Finding(
    level=Level.OK, what="No gateway has a key: orders are rendered by the sandbox, for play money."
)
FFMPEG_RUNS = Finding(level=Level.OK, what="ffmpeg runs.")
FILE_WHOLE = Finding(level=Level.OK, what="The database file is whole.")
NO_STAFF_CHANNEL = Finding(
    level=Level.WARN,
    what="There is no staff channel: requests for more and alerts are posted nowhere.",
    do="Choose one with `/video-admin staff-channel`.",
)
JOBS_FINE = Finding(level=Level.OK, what="No job is stuck, and none is unclear.")
IN_DISCORD = "Discord permissions are checked in Discord itself: `/video-admin doctor`."

_SIGNS = {Level.BAD: "🔴", Level.WARN: "🟡", Level.OK: "🟢"}
_WORDS = {Level.BAD: "BAD ", Level.WARN: "WARN", Level.OK: "ok  "}

_WHAT_HELPS = {
    Stage.QUEUED: "See why with `/video-admin jobs job:{job}`; it can be cancelled there and costs nothing.",
    Stage.SUBMITTING: "Restart the bot: it is marked unclear then, and is never sent twice.",
    Stage.RENDERING: "Nothing: the bot keeps looking for up to a day, and then calls it unclear.",
    Stage.FETCHING: "Read the log for why the clip cannot be fetched; the bot tries until its link ends.",
    Stage.DELIVERING: "Check the bot's permissions in its channel; the clip is on disk and is not lost.",
    Stage.UNCERTAIN: (
        "Find the task in the gateway's own list, then `/video-admin uncertain ran`, `look` or `release`."
    ),
}


# How findings are shown


def page_parts(findings: Iterable[Finding]) -> list[str]:
    """Write findings for Discord, the worst first; what is all right goes on one line each."""
    order = list(Level)[::-1]
    ranked = sorted(findings, key=lambda finding: order.index(finding.level))
    bad = [f"{_SIGNS[one.level]} {one.what}\n-# {one.do}" for one in ranked if one.level is not Level.OK]
    fine = "\n".join(f"{_SIGNS[one.level]} {one.what}" for one in ranked if one.level is Level.OK)
    return [*bad, *([fine] if fine else [])]


def lines(findings: Iterable[Finding]) -> list[str]:
    """Write findings for a terminal, in the order they were asked for."""
    found: list[str] = []
    for one in findings:
        found.append(f"{_WORDS[one.level]}  {one.what}")
        if one.do:
            found.append(f"      -> {one.do}")
    return found


def line(finding: Finding) -> str:
    """Write a finding for a terminal on one line."""
    return f"{_WORDS[finding.level]}  {finding.what} {finding.do}".rstrip()


def summary(findings: Sequence[Finding]) -> str:
    """Count what asks for something."""
    count = sum(finding.level is not Level.OK for finding in findings)
    asks = "asks" if count == 1 else "ask"
    return (
        f"{count} of {len(findings)} findings {asks} for something." if count else "All is as it should be."
    )


# What hangs


def jobs(stuck: Sequence[Job], unclear: Sequence[Job], *, now: dt.datetime, most: int) -> list[Finding]:
    """Name the jobs that hang, those with the longest wait first."""
    found = [_job(job, Level.BAD, now) for job in unclear[:most]]
    found += [_job(job, Level.WARN, now) for job in stuck[:most]]
    left = max(len(unclear) - most, 0) + max(len(stuck) - most, 0)
    if left:
        found.append(
            Finding(
                level=Level.WARN,
                what=f"{left} more jobs hang.",
                do="See them with `/video-admin jobs` and `/video-admin uncertain list`.",
            )
        )
    return found or [JOBS_FINE]


def _job(job: Job, level: Level, now: dt.datetime) -> Finding:
    title = STAGE_TITLES[job.stage].lower()
    passed = span(now - in_stage_since(job))
    why = f" {job.waiting_for}" if job.stage is Stage.QUEUED and job.waiting_for else ""
    return Finding(
        level=level,
        what=f"Job `{job.job_id}` ({job.request.model}) is {title} for {passed}.{why}",
        do=_WHAT_HELPS[job.stage].format(job=job.job_id),
    )


def server_paused(pause: Pause) -> Finding:
    """Tell staff that nobody can order here."""
    return Finding(
        level=Level.WARN,
        what=f"Orders are paused in this server: {text.code(pause.reason)}.",
        do="Let them go on with `/video-admin resume`.",
    )


def paused(pause: Pause, now: dt.datetime) -> Finding:
    """Tell the operator of a gateway or model that was paused."""
    what = f"The {pause.scope} {text.code(pause.subject, 80)} is paused for {span(now - pause.since)}"
    return Finding(
        level=Level.WARN,
        what=f"{what}: {text.code(pause.reason)}.",
        do="Let it go on with `/video-admin resume`.",
    )


def out(outage: Outage, now: dt.datetime) -> Finding:
    """Tell the operator what a gateway refused."""
    what = f"The {outage.scope} {text.code(outage.subject, 80)} is out for {span(now - outage.since)}"
    words = text.code(outage.detail or outage.failure.replace("_", " "))
    return Finding(
        level=Level.BAD,
        what=f"{what}: {words}.",
        do="Mend what the gateway says; the bot tries again by itself, or at once: `/video-admin reopen`.",
    )


# Channels


def channel_lacks(channel_id: int, titles: Sequence[str], *, use: str) -> Finding:
    """Name the permissions that the bot has not where it is needed; `use` says for what."""
    lacking = " and ".join(f"**{title}**" for title in titles)
    return Finding(
        level=Level.BAD,
        what=f"In <#{channel_id}> ({use}) I lack {lacking}.",
        do="Allow it to my role in the channel's settings, under Permissions.",
    )


def channels_fine(count: int) -> Finding:
    """Tell that the bot may do what it must wherever it is used."""
    return Finding(
        level=Level.OK, what=f"My permissions are right in all {count} channels used in the last 30 days."
    )


# The machine


def room(free_bytes: int, used_bytes: int, *, least_bytes: int) -> Finding:
    """Tell how full the disk is; below `least_bytes` no orders are taken."""
    what = f"{_size(free_bytes)} are free in DATA_DIR, whose files take {_size(used_bytes)}."
    if free_bytes < least_bytes:
        return Finding(level=Level.BAD, what=what, do="Free some room: no orders are taken so long.")
    if free_bytes < SOON_FULL_BYTES:
        return Finding(level=Level.WARN, what=what, do="Free some room, or lower KEEP_DAYS.")
    return Finding(level=Level.OK, what=what)


def backup(last: dt.datetime | None, now: dt.datetime) -> Finding:
    """Tell when the database was backed up last."""
    do = "Run `python -m bot backup FILE` every day, by cron for example; keep the file on another disk."
    if last is None:
        return Finding(level=Level.WARN, what="The database was never backed up.", do=do)
    what = f"The last backup was made {span(now - last)} ago."
    is_old = now - last > dt.timedelta(days=BACKUP_DAYS)
    return Finding(level=Level.WARN, what=what, do=do) if is_old else Finding(level=Level.OK, what=what)


def clock(ahead_seconds: float, *, whose: str) -> Finding:
    """Tell how far this machine's clock is ahead of another one."""
    if abs(ahead_seconds) <= SKEW_SECONDS:
        return Finding(level=Level.OK, what=f"The clock agrees with that of {whose}.")
    off, way = dt.timedelta(seconds=abs(ahead_seconds)), "ahead of" if ahead_seconds > 0 else "behind"
    return Finding(
        level=Level.BAD,
        what=f"The clock is {span(off)} {way} that of {whose}.",
        do="Let the machine keep its time (NTP): limits of days and months count by it.",
    )


def ffmpeg_fails(words: str) -> Finding:
    """Tell that clips cannot be shrunk."""
    return Finding(
        level=Level.BAD,
        what=f"ffmpeg does not run: {text.code(words)}.",
        do="Install the requirements anew; without it clips over Discord's limit are posted as links.",
    )


def damaged(words: str) -> Finding:
    """Tell that the database file cannot be relied on."""
    return Finding(
        level=Level.BAD,
        what=f"The database file is damaged: {text.code(words)}.",
        do="Stop the bot and restore a backup: `python -m bot restore FILE`.",
    )


def proof(told: str, *, agrees: bool) -> Finding:
    """Tell what summing the ledger anew says in its last line."""
    if agrees:
        return Finding(level=Level.OK, what=f"The ledger: {told}.")
    return Finding(
        level=Level.BAD, what=f"The ledger: {told}.", do="Read them all: `python -m bot doctor --ledger`."
    )


def versions(*, program: str, schema: str, python: str, discord: str, sqlite: str) -> Finding:
    """Name what runs here."""
    return Finding(
        level=Level.OK,
        what=f"Bot {program}, schema {schema}, Python {python}, discord.py {discord}, SQLite {sqlite}.",
    )


# Gateways


def balance(name: str, micros: int, *, low_micros: int) -> Finding:
    """Tell what is left at a gateway, whose key works then."""
    what = f"{name} takes the key; {dollars(micros)} is left there."
    if micros >= low_micros:
        return Finding(level=Level.OK, what=what)
    return Finding(
        level=Level.BAD if micros <= 0 else Level.WARN,
        what=what,
        do="Top it up: without money it refuses orders.",
    )


def key_taken(name: str) -> Finding:
    """Tell that a gateway without a balance answered."""
    return Finding(level=Level.OK, what=f"{name} answers and does not refuse the key; it tells no balance.")


def key_refused(name: str, words: str) -> Finding:
    """Tell that a gateway does not take the key, or has no money."""
    return Finding(
        level=Level.BAD,
        what=f"{name} refuses the key: {text.code(words)}.",
        do=(
            "Check its key in .env, the key_env that names it (without one no key is sent) and the account "
            "there, then restart the bot."
        ),
    )


def no_model(name: str) -> Finding:
    """Tell that nothing could be asked, since a task is looked for as one of a model."""
    return Finding(
        level=Level.WARN,
        what=f"No model is of the gateway {name}, so its key could not be tried.",
        do="Correct MODELS_FILE, or take the key out of .env; then restart the bot.",
    )


def no_answer(name: str, words: str) -> Finding:
    """Tell that a gateway cannot be asked."""
    return Finding(
        level=Level.BAD,
        what=f"{name} does not answer as it should: {text.code(words)}.",
        do="Check its base_url, this machine's network and its status page; jobs under way wait for it.",
    )


# What could not be looked at


def took_long(what: str, seconds: float) -> Finding:
    """Tell that an answer did not come in time."""
    return Finding(
        level=Level.WARN,
        what=f"{what}: no answer within {seconds:g} s.",
        do="Ask again, or with patience: `python -m bot doctor` on the bot's machine.",
    )


def could_not(what: str, words: str) -> Finding:
    """Tell that something could not be looked at."""
    return Finding(
        level=Level.BAD, what=f"{what} could not be checked: {text.code(words)}.", do="Read the bot's log."
    )


def trouble(words: str) -> Finding:
    """Tell what the running bot noticed itself; the words say what to do."""
    return Finding(level=Level.BAD, what=words, do="`/readyz` and the log tell more.")


def span(length: dt.timedelta) -> str:
    """Write a length of time in its two largest units."""
    seconds = max(int(length.total_seconds()), 0)
    days, hours, minutes = seconds // 86400, seconds // 3600 % 24, seconds // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes else f"{seconds} s"


def _size(size: int) -> str:
    """Write a size of any magnitude."""
    return f"{size / 1024**3:.1f} GiB" if size >= 1024**3 else f"{size / 1024**2:.0f} MiB"
