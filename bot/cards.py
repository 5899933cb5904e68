"""A job as a Components V2 view: one message that changes with the job."""

from collections.abc import Sequence
from typing import Any

import discord
from discord import ui

from bot import choice_messages, messages, receipts, text
from bot.catalogue import Model
from bot.models import Job, Picture, Stage, VideoRequest
from bot.offers import Choice
from bot.outlook import Outlook

PICTURE_NAME = "picture"
END_NAME = "end"
MOST_PROMPT = 700
MOST_TITLE = 60
MOST_OPTIONS = 25  # of a menu
MOST_PAGE = 3800  # of the 4,000 characters that all texts of a message may have

_COLOURS = {
    Stage.QUEUED: 0x80848E,
    Stage.SUBMITTING: 0x5865F2,
    Stage.RENDERING: 0x5865F2,
    Stage.FETCHING: 0x5865F2,
    Stage.DELIVERING: 0x5865F2,
    Stage.UNCERTAIN: 0xF0B232,
    Stage.DONE: 0x23A55A,
    Stage.FAILED: 0xF23F43,
    Stage.CANCELLED: 0x80848E,
}
_EXTENSIONS = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp"}


def cancel_id(job_id: str) -> str:
    """Return the custom id of a job's cancel button; it carries the id and nothing else."""
    return f"job:cancel:{job_id}"


def pictures(job: Job) -> dict[str, Picture]:
    """Return the job's pictures by the names they are attached to its card with, the first one first."""
    kept = {PICTURE_NAME: job.picture, END_NAME: job.end_picture}
    return {
        f"{name}.{_EXTENSIONS.get(picture.content_type, 'bin')}": picture
        for name, picture in kept.items()
        if picture is not None
    }


def card(
    job: Job, model: Model, outlook: Outlook, *, aborts: bool = False, links: Sequence[str] = ()
) -> ui.LayoutView:
    """Build the job's card as it should look now; a new view for every edit.

    `aborts` says that the job's gateway ends tasks that are being rendered. `links` are shown instead of the
    attached pictures.
    """
    container: ui.Container[ui.LayoutView] = ui.Container(accent_colour=_COLOURS[job.stage])
    head = [
        f"### {messages.STAGE_TITLES[job.stage]} · {text.one_line(model.title, MOST_TITLE)}",
        text.code_block(job.request.prompt, MOST_PROMPT),
    ]
    shown: list[ui.Thumbnail[ui.LayoutView]] = [
        ui.Thumbnail(link) for link in links or [f"attachment://{name}" for name in pictures(job)]
    ]
    if shown:
        container.add_item(ui.Section(*head, accessory=shown[0]))
    else:
        for words in head:
            container.add_item(ui.TextDisplay(words))
    for end in shown[1:]:
        container.add_item(ui.Section("It ends with this picture.", accessory=end))
    progress = messages.progress(job, outlook)
    if progress:
        container.add_item(ui.TextDisplay(progress))
    container.add_item(ui.Separator())
    asked_by = f"<@{job.user_id}> · " if job.user_id is not None else ""
    lines = [
        f"{asked_by}{messages.settings_line(job.request)}",
        receipts.line(job),
        *messages.notes(job),
        messages.named(job),
    ]
    container.add_item(ui.TextDisplay("\n".join(f"-# {line}" for line in lines)))
    button = _button(job, aborts=aborts)
    if button is not None:
        container.add_item(ui.ActionRow(button))
    view = ui.LayoutView(timeout=None)
    view.add_item(container)
    return view


def _button(job: Job, *, aborts: bool) -> ui.Button[ui.LayoutView] | None:
    """Build the one thing to press: what still helps."""
    if job.stage is Stage.QUEUED:
        return ui.Button(label="Cancel", custom_id=cancel_id(job.job_id))
    if job.stage is Stage.RENDERING and aborts:
        return ui.Button(label="Stop rendering", custom_id=cancel_id(job.job_id))
    if job.stage is Stage.DONE and job.video_message_id is not None:
        return ui.Button(label="Go to the clip", url=messages.message_link(job, job.video_message_id))
    return None


def confirm_id(draft_id: str) -> str:
    """Return the custom id of the button that orders what was quoted."""
    return f"quote:confirm:{draft_id}"


def drop_id(draft_id: str) -> str:
    """Return the custom id of the button that lets go of a quote."""
    return f"quote:cancel:{draft_id}"


def take_id(draft_id: str) -> str:
    """Return the custom id of the menu that quotes another model in the place of what was quoted."""
    return f"quote:take:{draft_id}"


def quote_buttons(
    draft_id: str, choices: Sequence[Choice] = (), quoted: VideoRequest | None = None
) -> ui.View:
    """Build what stands below a quote; a new view for every message.

    The choices make a menu, in which the one that was `quoted` is marked.
    """
    view = ui.View(timeout=None)
    if len(choices) > 1:
        options = [choice_option(choice, is_default=choice.offer.request == quoted) for choice in choices]
        view.add_item(ui.Select[ui.View](options=options[:MOST_OPTIONS], custom_id=take_id(draft_id)))
    confirm = ui.Button[ui.View](
        label="Confirm", style=discord.ButtonStyle.success, custom_id=confirm_id(draft_id)
    )
    view.add_item(confirm)
    view.add_item(ui.Button[ui.View](label="Cancel", custom_id=drop_id(draft_id)))
    view.stop()  # presses reach the dynamic items by their ids
    return view


def choice_option(
    choice: Choice, *, value: str | None = None, is_default: bool = False
) -> discord.SelectOption:
    """Write a model beside others as an option of a menu."""
    return discord.SelectOption(
        label=choice_messages.label(choice),
        value=value or choice_messages.value(choice),
        description=choice_messages.facts(choice),
        default=is_default,
    )


def paged(parts: Sequence[str]) -> list[str]:
    """Join parts into as few texts as fit on a page each; there is at least one."""
    pages = [""]
    for part in parts:
        longer = f"{pages[-1]}\n\n{part}" if pages[-1] else part
        if len(longer) > MOST_PAGE:
            pages.append(text.cut(part, MOST_PAGE))
        else:
            pages[-1] = longer
    return pages


def page(shown: str, *buttons: ui.Item[Any]) -> ui.LayoutView:
    """Build a private page of text with the buttons that turn it."""
    view = ui.LayoutView(timeout=None)
    view.add_item(ui.TextDisplay(shown))
    if buttons:
        view.add_item(ui.ActionRow(*buttons))
    view.stop()  # presses reach the dynamic items by their ids; discord.py need not keep the view
    return view
