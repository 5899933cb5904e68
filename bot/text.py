"""Text from people and gateways made inert: nothing in it pings, links, formats or turns around."""

import re

# Controls, and the marks that change reading direction: https://www.unicode.org/reports/tr9/
_HIDDEN = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]"
)
_GRAVE = "\u02cb"  # looks like a backtick and ends no code


def visible(text: str) -> str:
    """Drop what cannot be seen and what reorders the rest; keep line breaks."""
    return _HIDDEN.sub("", text.replace("\r\n", "\n").replace("\t", " "))


def cut(text: str, most: int) -> str:
    """Shorten to at most `most` characters, with an ellipsis where something is missing."""
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def code(text: str, most: int = 200) -> str:
    """Write one line of foreign text as inline code, where nothing has a meaning."""
    line = " ".join(visible(text).split()).replace("`", _GRAVE)
    return f"`{cut(line, most)}`" if line else ""


def code_block(text: str, most: int) -> str:
    """Write foreign text as a code block, where nothing has a meaning."""
    return f"```\n{cut(visible(text).strip().replace('`', _GRAVE), most)}\n```"


def one_line(text: str, most: int) -> str:
    """Write foreign text for places that show it as it is, such as menus and descriptions."""
    return cut(" ".join(visible(text).split()), most)
