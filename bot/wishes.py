"""What a person asked for, unchecked, and its prompt: typed, or in a text file."""

import dataclasses
import unicodedata

from bot import text
from bot.catalogue import Model
from bot.errors import BadOrder
from bot.models import Mode, Quality, Shape, Upload, VideoRequest

MOST_PROMPT_FILE_BYTES = 64 * 1024
MOST_WORD = 40  # of what was typed, in a refusal

SOUND_WORDS = {"on": True, "off": False}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Order:
    """What a person asked for, unchecked and in their own words.

    `origin` names the act, so that it is never done twice.

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
    shape: str | None = None
    quality: str | None = None
    keep_watermark: bool | None = None
    sound: str | None = None
    negative_prompt: str | None = None
    seed: int | None = None
    style: str | None = None
    end_picture: Upload | None = None
    note: str = ""

    @property
    def mode(self) -> Mode:
        """What the clip is to be made from."""
        return Mode.TEXT if self.picture is None else Mode.IMAGE


def wish(order: Order, model: Model, prompt: str) -> VideoRequest:
    """Return what an order asks of a model, its defaults filled in.

    Raises:
        BadOrder: the model has not what was asked for; the sentence says what it has.
    """
    if order.end_picture is not None and not model.has_option("end_frame"):
        raise BadOrder(f"{model.model_id} takes no picture to end with; leave `end_image` out.")
    model.check_mode(order.mode)
    return model.request(
        mode=order.mode,
        prompt=prompt,
        seconds=order.seconds,
        shape=_shape(order.shape, model, order.mode),
        quality=_quality(order.quality, model),
        keep_watermark=order.keep_watermark,
        sound=_sound(order.sound),
        negative_prompt=_trimmed(order.negative_prompt or "") or None,
        seed=order.seed,
        style=order.style,
    )


def _shape(typed: str | None, model: Model, mode: Mode) -> Shape | None:
    if typed is None:
        return None
    words = typed.strip().lower()
    for shape in Shape:
        if words in {shape.value, shape.proportion}:
            return shape
    makes = " or ".join(model.shapes_of(mode))
    raise BadOrder(f"{model.model_id} makes {makes} clips, not {text.code(typed, MOST_WORD)}.")


def _quality(typed: str | None, model: Model) -> Quality | None:
    if typed is None:
        return None
    words = typed.strip().lower()
    for quality in Quality:
        if words in {quality.value, quality.removesuffix("p")}:
            return quality
    has = f"has {' or '.join(model.qualities)}" if model.qualities else "has no choice of quality"
    raise BadOrder(f"{model.model_id} {has}, not {text.code(typed, MOST_WORD)}.")


def _sound(typed: str | None) -> bool | None:
    if typed is None:
        return None
    words = typed.strip().lower()
    if words not in SOUND_WORDS:
        raise BadOrder(f"`sound` is `on` or `off`, not {text.code(typed, MOST_WORD)}.")
    return SOUND_WORDS[words]


async def read_prompt(order: Order, model: Model | None = None) -> str:
    """Return the prompt, typed or from its file, trimmed; `model` is the one that is to take it.

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
        takes = (
            f": {model.model_id} takes 1 to {model.prompt_limit:,} characters" if model is not None else ""
        )
        raise BadOrder(f"Give a `prompt`, or a `prompt_file` with it{takes}.")
    return _trimmed(prompt)


def _trimmed(typed: str) -> str:
    """Return what was typed without blanks around it; "" where there is nothing to see."""
    return "" if text.is_blank(typed) else typed.strip()


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
