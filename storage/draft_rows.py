"""Drafts as their rows have them: an order that waits for a yes is one JSON text."""

import json
from pathlib import Path
from typing import Any

from bot.models import Account, Draft, DraftStage, NewJob, Quote
from storage.jobs import columns, picture_of, request_of


def order_json(new: NewJob) -> str:
    """Write down an order that may become a job later."""
    return json.dumps(
        {
            **columns(new),
            "role_ids": sorted(new.role_ids),
            "top_role_id": new.top_role_id,
            "prompt": _storable(new.request.prompt),
            "negative_prompt": _storable(new.request.negative_prompt or "") or None,
        }
    )


def _storable(words: str) -> str:
    return words.encode("utf-8", "replace").decode()


def draft_of(row: Any, pictures: Path) -> Draft:
    """Read a row, joined with the Discord ids of who asks and of who decided."""
    values = json.loads(row.order_json)
    new = NewJob(
        job_id=row.draft_id,
        origin=row.origin,
        account=Account(values["account"]),
        server_id=row.server_id,
        channel_id=row.channel_id,
        home_channel_id=values["home_channel_id"],
        user_id=row.discord_id or 0,
        role_ids=frozenset(values["role_ids"]),
        top_role_id=values["top_role_id"],
        request=request_of(values),
        gateway=values["gateway"],
        picture=picture_of(values, pictures),
        end_picture=picture_of(values, pictures, "end"),
        is_auto=bool(values.get("is_auto")),
        fell_from=values.get("fell_from"),
        note=values["note"],
        quote=Quote(
            micros=values["quote_micros"],
            estimate=bool(values["estimate"]),
            version=values["price_version"],
        ),
    )
    return Draft(
        draft_id=row.draft_id,
        new=new,
        member_id=row.member_id,
        stage=DraftStage(row.stage),
        why=row.why,
        created_at=row.created_at,
        expires_at=row.expires_at,
        staff_channel_id=row.staff_channel_id,
        staff_message_id=row.staff_message_id,
        shown_stage=DraftStage(row.shown_stage) if row.shown_stage else None,
        decider_user_id=row.decider,
        job_id=row.job_id,
    )
