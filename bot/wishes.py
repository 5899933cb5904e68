"""What a person asked for, unchecked, and its prompt: typed, or in a text file."""

import dataclasses
import unicodedata
from typing import Any

from bot import text
from bot.catalogue import Model
from bot.errors import BadOrder
from bot.models import CHOICES, Quality, Shape, Upload

MOST_PROMPT_FILE_BYTES = 64 * 1024


@dataclasses.dataclass(frozen=True, kw_only=True)
class Order:
    """What a person asked for, unchecked. `origin` names the act, so that it is never done twice.

    `home_channel_id` is the channel whose limits and purse count: of a thread its parent.
    """

    origin: str
    server_id: int
    channel_id: int
    home_channel_id: int
    user_id: int
    role_ids: frozenset[int] = frozenset()
    top_role_id: int | None = None
    prompt: str | None = None
    prompt_file: Upload | None = None
    picture: Upload | None = None
    model: str | None = None
    seconds: int | None = None
    shape: Shape | None = None
    quality: Quality | None = None
    keep_watermark: bool | None = None
    sound: bool | None = None
    negative_prompt: str | None = None
    seed: int | None = None
    style: str | None = None
    end_picture: Upload | None = None
    note: str = ""

    @property
    def choices(self) -> dict[str, Any]:
        """What was chosen beside the model, the pictures and the prompt, by name."""
        return {name: getattr(self, name) for name in CHOICES}


async def read_prompt(order: Order, model: Model) -> str:
    """Return the prompt, typed or from its file, trimmed.

    Raises:
        BadOrder: both or neither were given, or the file is no text of the right size.
    """
    if order.prompt is not None and order.prompt_file is not None:
        raise BadOrder("You gave both `prompt` and `prompt_file`. Give exactly one of them.")
    if order.prompt_file is not None:
        prompt = await _read_text(order.prompt_file)
    elif order.prompt is not None:
        prompt = order.prompt
    else:
        raise BadOrder(
            "Give a `prompt`, or a `prompt_file` with it: "
            f"{model.model_id} takes 1 to {model.prompt_limit:,} characters."
        )
    return "" if text.is_blank(prompt) else prompt.strip()


async def _read_text(file: Upload) -> str:
    """Return what a text file says.

    Raises:
        BadOrder: it is too large, or no UTF-8 text.
    """
    if file.size > MOST_PROMPT_FILE_BYTES:
        raise BadOrder(
            f"The prompt file has {file.size:,} bytes; at most {MOST_PROMPT_FILE_BYTES:,} are taken."
        )
    try:
        written = (await file.read()).decode("utf-8-sig")
    except UnicodeDecodeError:
        written = "\0"
    # Bytes that happen to decode are not yet text: no text has control characters but these.
    if any(unicodedata.category(character) == "Cc" and character not in "\t\n\r\f" for character in written):
        raise BadOrder(
            f"The prompt file ({file.size:,} bytes) is no UTF-8 text. Save it as plain text in UTF-8, "
            f"at most {MOST_PROMPT_FILE_BYTES:,} bytes, and attach it again."
        )
    return written
