"""Read-only export of jobs, ledger and acts, beside a running bot. Columns are only ever added."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, TextIO, TypeAlias

from bot import text
from storage.database import read_only

What: TypeAlias = Literal["jobs", "ledger", "acts"]
Format: TypeAlias = Literal["csv", "json"]

_QUERIES: dict[What, str] = {
    "jobs": """
        SELECT job_id, CAST(server_id AS TEXT) AS server_id, CAST(channel_id AS TEXT) AS channel_id,
               CAST(discord_id AS TEXT) AS member_id, mode, model, seconds, shape, quality, stage, failure,
               task_id, quote_micros,
               COALESCE(hold, 0) - COALESCE(settle, 0) - COALESCE(release, 0) AS held_micros,
               COALESCE(settle, 0) AS settled_micros,
               CAST(card_message_id AS TEXT) AS card_message_id,
               CAST(video_message_id AS TEXT) AS video_message_id,
               created_at, submitted_at, finished_at,
               account, gateway, CAST(COALESCE(home_channel_id, channel_id) AS TEXT) AS home_channel_id,
               CAST(role_id AS TEXT) AS role_id, budget, CAST(budget_id AS TEXT) AS budget_id, price_version,
               cost_micros, COALESCE(correction, 0) AS refunded_micros,
               sound, seed, style, is_auto, fell_from, fell_to
        FROM jobs JOIN members USING (server_id, member_id)
        LEFT JOIN (
            SELECT job_id,
                   SUM(amount_micros) FILTER (WHERE kind = 'hold') AS hold,
                   SUM(amount_micros) FILTER (WHERE kind = 'settle') AS settle,
                   SUM(amount_micros) FILTER (WHERE kind = 'release') AS release,
                   SUM(amount_micros) FILTER (WHERE kind = 'correction') AS correction
            FROM ledger GROUP BY job_id
        ) USING (job_id)
        ORDER BY created_at, job_id
    """,
    "ledger": """
        SELECT CAST(entry_id AS TEXT) AS entry_id, job_id, CAST(ledger.server_id AS TEXT) AS server_id,
               CAST(member.discord_id AS TEXT) AS member_id, kind, amount_micros, model, reason, created_at,
               ordered_at, account, gateway, CAST(channel_id AS TEXT) AS channel_id,
               CAST(role_id AS TEXT) AS role_id, budget, CAST(budget_id AS TEXT) AS budget_id, price_version,
               CAST(actor.discord_id AS TEXT) AS actor_id, act_id
        FROM ledger JOIN members AS member USING (member_id)
        LEFT JOIN members AS actor ON actor.member_id = actor_id
        ORDER BY ledger.entry_id
    """,
    "acts": """
        SELECT act_id, CAST(acts.server_id AS TEXT) AS server_id, CAST(actor.discord_id AS TEXT) AS actor_id,
               act, CAST(about.discord_id AS TEXT) AS about_id, what, reason, at
        FROM acts
        LEFT JOIN members AS actor ON actor.member_id = acts.actor_id
        LEFT JOIN members AS about ON about.member_id = acts.about_id
        ORDER BY acts.rowid
    """,
}


def write_export(database: Path, what: What, form: Format, out: TextIO) -> None:
    """Write all rows to `out`; the file is opened read-only.

    Raises:
        SettingsError: there is no database to read yet.
        SchemaError: the file is none of ours, or broken.
    """
    with read_only(database) as connection:
        cursor = connection.execute(_QUERIES[what])
        names = [column[0] for column in cursor.description]
        (_write_csv if form == "csv" else _write_json)(names, cursor, out)


def _write_csv(names: list[str], rows: Iterator[tuple[Any, ...]], out: TextIO) -> None:
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        writer.writerow([text.cell(value) if isinstance(value, str) else value for value in row])


def _write_json(names: list[str], rows: Iterator[tuple[Any, ...]], out: TextIO) -> None:
    """Write one array, a row at a time, so that a long history needs no memory."""
    separator = "[\n"
    for row in rows:
        out.write(separator + json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False))
        separator = ",\n"
    out.write("[]\n" if separator == "[\n" else "\n]\n")
