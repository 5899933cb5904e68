"""A request to staff as a Components V2 view, and the button that makes one."""

from typing import Any

from discord import ButtonStyle, ui

from bot import approval_messages, cards, text
from bot.models import Draft, DraftStage

_COLOURS = {
    DraftStage.ASKED: 0xF0B232,
    DraftStage.ORDERED: 0x23A55A,
    DraftStage.DENIED: 0xF23F43,
}
_OVER = 0x80848E


def ask_id(draft_id: str) -> str:
    """Return the custom id of the button that asks; it carries the id and nothing else."""
    return f"draft:ask:{draft_id}"


def approve_id(draft_id: str) -> str:
    """Return the custom id of the button that approves."""
    return f"draft:approve:{draft_id}"


def deny_id(draft_id: str) -> str:
    """Return the custom id of the button that denies."""
    return f"draft:deny:{draft_id}"


def ask(draft_id: str, price: str) -> ui.View:
    """Build what stands under a private refusal."""
    view = ui.View(timeout=None)
    view.add_item(ui.Button(label=f"Ask for {price}", style=ButtonStyle.primary, custom_id=ask_id(draft_id)))
    view.stop()  # presses reach the dynamic items by their ids; discord.py need not keep the view
    return view


def picture_name(draft: Draft) -> str | None:
    """Return the name under which the picture is attached, if there is one on disk."""
    picture = draft.new.picture
    return f"picture{picture.path.suffix}" if picture is not None and picture.path.exists() else None


def moved(draft: Draft, channel_id: int) -> ui.LayoutView:
    """Build what stays of a request where staff have set another channel for them."""
    view = ui.LayoutView(timeout=None)
    view.add_item(ui.TextDisplay(approval_messages.moved(draft, channel_id)))
    view.stop()
    return view


def request(draft: Draft) -> ui.LayoutView:
    """Build the request as it should look now; a new view for every edit."""
    container: ui.Container[ui.LayoutView] = ui.Container(accent_colour=_COLOURS.get(draft.stage, _OVER))
    head = [
        f"### {approval_messages.title(draft)}",
        approval_messages.request_lines(draft),
        text.code_block(draft.new.request.prompt, cards.MOST_PROMPT),
    ]
    name = picture_name(draft)
    if name is None:
        for words in head:
            container.add_item(ui.TextDisplay(words))
    else:
        beside: ui.Thumbnail[ui.LayoutView] = ui.Thumbnail(f"attachment://{name}")
        container.add_item(ui.Section(*head, accessory=beside))
    container.add_item(ui.TextDisplay(approval_messages.outcome(draft)))
    container.add_item(ui.TextDisplay(f"-# Request `{draft.draft_id}`"))
    # The buttons stay as long as somebody may press them; a press on an older view is answered anyway.
    if draft.stage is DraftStage.ASKED:
        approve: ui.Button[Any] = ui.Button(
            label="Approve", style=ButtonStyle.success, custom_id=approve_id(draft.draft_id)
        )
        deny: ui.Button[Any] = ui.Button(
            label="Deny", style=ButtonStyle.danger, custom_id=deny_id(draft.draft_id)
        )
        container.add_item(ui.ActionRow(approve, deny))
    view = ui.LayoutView(timeout=None)
    view.add_item(container)
    view.stop()
    return view
