"""The proof of the ledger: sums it anew, and finds what does not agree with totals, jobs or acts."""

import datetime as dt
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from bot.models import Stage
from storage.checkup import read_within
from storage.ledger import QUARTER_SECONDS

# What each job of the ledger adds up to, by all that totals are kept for. A job whose money came back
# whole counts as none.
_COUNTED = """
    CREATE TEMP TABLE counted AS
    SELECT account, server_id, channel_id, member_id, gateway, budget, budget_id,
           strftime('%s', substr(ordered_at, 1, 19)) / :quarter AS quarter,
           SUM(CASE kind WHEN 'settle' THEN amount_micros WHEN 'correction' THEN -amount_micros ELSE 0 END)
               AS spent,
           SUM(CASE kind WHEN 'hold' THEN amount_micros
                         WHEN 'settle' THEN -amount_micros
                         WHEN 'release' THEN -amount_micros ELSE 0 END) AS held,
           SUM(CASE kind WHEN 'grant' THEN amount_micros ELSE 0 END) AS granted,
           SUM(CASE kind WHEN 'possible_charge' THEN amount_micros ELSE 0 END) AS possible,
           SUM(kind = 'hold') - SUM(kind = 'release' AND job_id NOT IN (
               SELECT job_id FROM ledger WHERE kind = 'settle'
           )) AS jobs
    FROM ledger GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
"""

# Of a member all jobs are counted, but no money that a purse pays or staff approved for one job.
_IS_OWN = "(budget IN ('member', 'role'))"

_EXPECTED = (
    """
    CREATE TEMP TABLE expected (
        account TEXT, scope TEXT, subject TEXT, quarter INTEGER,
        spent INTEGER, held INTEGER, granted INTEGER, possible INTEGER, jobs INTEGER,
        PRIMARY KEY (account, scope, subject, quarter)
    ) WITHOUT ROWID
    """,
    *(
        f"""
        INSERT INTO expected
        SELECT account, '{scope}', CAST({subject} AS TEXT), quarter,
               SUM(spent * {pays}), SUM(held * {pays}), {granted}, SUM(possible * {pays}), SUM(jobs)
        FROM counted WHERE {where} GROUP BY 1, 2, 3, 4
        """  # noqa: S608 - the names are the table below
        for scope, subject, pays, granted, where in (
            ("member", "member_id", _IS_OWN, f"SUM(granted * {_IS_OWN})", "true"),
            ("purse", "budget_id", "1", "0", "budget = 'purse'"),
            ("channel", "channel_id", "1", "0", "channel_id IS NOT NULL"),
            ("server", "server_id", "1", "0", "true"),
            ("key", "gateway", "1", "0", "gateway IS NOT NULL"),
            ("operator", "''", "1", "0", "true"),
        )
    ),
)

_KEY = "account, scope, subject, quarter"
_KEPT = "spent_micros, held_micros, granted_micros, possible_micros, totals.jobs"
_SUMMED = "spent, held, granted, possible, expected.jobs"
_TOTALS = f"""
    SELECT {_KEY}, {_SUMMED}, {_KEPT} FROM expected LEFT JOIN totals USING ({_KEY})
    WHERE ({_SUMMED}) IS NOT ({_KEPT})
    UNION ALL
    SELECT {_KEY}, {_SUMMED}, {_KEPT} FROM totals LEFT JOIN expected USING ({_KEY})
    WHERE expected.account IS NULL
"""  # noqa: S608 - the names are those above

_JOBS = """
    SELECT job_id, stage, quote_micros, budget, hold, settle, release, correction, granted
    FROM jobs LEFT JOIN (
        SELECT job_id,
               SUM(amount_micros) FILTER (WHERE kind = 'hold') AS hold,
               SUM(amount_micros) FILTER (WHERE kind = 'settle') AS settle,
               SUM(amount_micros) FILTER (WHERE kind = 'release') AS release,
               SUM(amount_micros) FILTER (WHERE kind = 'correction') AS correction,
               SUM(amount_micros) FILTER (WHERE kind = 'grant') AS granted
        FROM ledger GROUP BY job_id
    ) USING (job_id)
"""

_STRAYS = """
    SELECT entry_id, kind, 'names a job that is not there'
    FROM ledger LEFT JOIN jobs USING (job_id) WHERE ledger.job_id IS NOT NULL AND jobs.job_id IS NULL
    UNION ALL
    SELECT entry_id, kind, 'says something else than its job'
    FROM ledger JOIN jobs USING (job_id)
    WHERE (ledger.account, ledger.server_id, ledger.channel_id, ledger.member_id, ledger.model,
           ledger.gateway, ledger.role_id, ledger.budget, ledger.budget_id, ledger.price_version,
           ledger.ordered_at)
       IS NOT (jobs.account, jobs.server_id, COALESCE(home_channel_id, jobs.channel_id), jobs.member_id,
               jobs.model, jobs.gateway, jobs.role_id, jobs.budget, jobs.budget_id, jobs.price_version,
               jobs.created_at)
    UNION ALL
    SELECT entry_id, kind, 'has no act of its server'
    FROM ledger LEFT JOIN acts USING (act_id)
    WHERE kind IN ('grant', 'correction') AND ledger.server_id IS NOT acts.server_id
    UNION ALL
    SELECT entry_id, kind, 'is charged to a purse that is not its server''s'
    FROM ledger LEFT JOIN purses ON purse_id = budget_id
    WHERE budget = 'purse' AND ledger.server_id IS NOT purses.server_id
"""


def prove_ledger(database: Path, out: TextIO, *, seconds: float | None = None) -> bool:
    """Write one line for each finding and a summary; return whether all agrees. The file is only read.

    Raises:
        TimeoutError: it took longer than so many seconds.
        SettingsError: there is no database to read yet.
        SchemaError: the file is none of ours, or broken.
    """
    with read_within(database, seconds) as connection:
        connection.execute("BEGIN")  # one moment for all of it, while the bot goes on writing
        count = 0
        for finding in _findings(connection):
            out.write(f"{finding}\n")
            count += 1
        entries, jobs, totals = (
            connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - three of ours
            for table in ("ledger", "jobs", "totals")
        )
    verdict = "all agree" if not count else f"{count:,} finding{'s' * (count > 1)}"
    out.write(f"{entries:,} entries, {jobs:,} jobs and {totals:,} totals: {verdict}\n")
    return not count


def _findings(connection: sqlite3.Connection) -> Iterator[str]:
    connection.execute(_COUNTED, {"quarter": QUARTER_SECONDS})
    for statement in _EXPECTED:
        connection.execute(statement)
    for account, scope, subject, quarter, *amounts in connection.execute(_TOTALS):
        since = dt.datetime.fromtimestamp(quarter * QUARTER_SECONDS, dt.UTC)
        yield (
            f"total of {scope} {subject} ({account}) at {since:%Y-%m-%d %H:%M} UTC: "
            f"{_amounts(amounts[5:])}; its entries: {_amounts(amounts[:5])}"
        )
    for job_id, stage, quote, budget, *booked in connection.execute(_JOBS):
        if wrong := _wrong(Stage(stage), quote, budget, booked):
            yield f"job {job_id}: {wrong}"
    for entry_id, kind, wrong in connection.execute(_STRAYS):
        yield f"entry {entry_id} ({kind}): {wrong}"


def _amounts(amounts: list[int | None]) -> str:
    if amounts[0] is None:
        return "none"
    names = ("spent", "held", "granted", "possibly charged", "jobs")
    return ", ".join(f"{name} {amount}" for name, amount in zip(names, amounts, strict=True))


def _wrong(stage: Stage, quote: int, budget: str, booked: list[int | None]) -> str:
    """Say what of a job's entries does not fit its stage, in micro-dollars; nothing where all does."""
    hold, settle, release, correction, granted = booked
    if hold is None:
        return "nothing was ever held"
    if hold != quote:
        return f"{hold} was held, {quote} was quoted"
    if budget == "approval" and granted != hold:
        return f"{hold} was held, {granted or 0} was approved"
    if (correction or 0) > (settle or 0):
        return f"{correction} was refunded, {settle or 0} was settled"
    left = hold - (settle or 0) - (release or 0)
    match stage:
        case Stage.DELIVERING | Stage.DONE:
            fits = settle is not None and left == 0
        case Stage.FAILED | Stage.CANCELLED:
            fits = settle is None and release == hold
        case _:
            fits = settle is None and release is None
    return "" if fits else f"is {stage}; of {hold} held {settle or 0} is settled and {release or 0} released"
