"""Text from people and gateways made inert: nothing in it pings, links, formats or turns around."""

import re
import unicodedata
from collections.abc import Sequence

_LINE_ENDS = re.compile("\r\n|[\r\v\f\x85\u2028\u2029]")
# Controls, fillers, lone surrogates, and the marks that change reading direction
# (https://www.unicode.org/reports/tr9/). Joiners and variation selectors stay: emoji are made with them.
_HIDDEN = re.compile(
    "[\x00-\x09\x0e-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f"
    "\u202a-\u202e\u2060-\u206f\u2800\u3164\ufeff\uffa0\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e0fff]"
)
_NOTHING_TO_SEE = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp", "Mn", "Me", "Mc"})  # Unicode's general categories
_PERSON = re.compile(r"<@!?\d+>")
_GRAVE = "\u02cb"  # looks like a backtick and ends no code


def visible(text: str) -> str:
    """Drop what cannot be seen and what reorders the rest; keep line breaks."""
    return _HIDDEN.sub("", _LINE_ENDS.sub("\n", text).replace("\t", " "))


def is_blank(text: str) -> bool:
    """Whether there is nothing to see: only spaces, invisible characters and marks without a letter."""
    return all(unicodedata.category(character) in _NOTHING_TO_SEE for character in visible(text))


def cut(text: str, most: int) -> str:
    """Shorten to at most `most` characters, with an ellipsis where something is missing."""
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def code(text: str, most: int = 200) -> str:
    """Write one line of foreign text as inline code, where nothing has a meaning."""
    line = one_line(text, most).replace("`", _GRAVE)
    return f"`{line}`" if line else ""


def code_block(text: str, most: int) -> str:
    """Write foreign text as a code block, where nothing has a meaning."""
    return f"```\n{cut(visible(text).strip().replace('`', _GRAVE), most)}\n```"


def one_line(text: str, most: int) -> str:
    """Write foreign text for places that show it as it is, such as menus and descriptions."""
    return cut(" ".join(visible(text).split()), most)


def cell(text: str) -> str:
    """Write foreign text for a cell of a CSV file, where a spreadsheet must find no formula."""
    line = " ".join(visible(text).split())
    return f"'{line}" if line.startswith(("=", "+", "-", "@")) else line


def nameless(text: str) -> str:
    """Write what staff typed without mentions of people, for what is kept for good and must name nobody."""
    return _PERSON.sub("@somebody", text)


def either(values: Sequence[object]) -> str:
    """Write what one may choose from: "4, 8 or 12"."""
    *most, last = map(str, values)
    return f"{', '.join(most)} or {last}" if most else last
