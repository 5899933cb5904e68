"""What members and gateways wrote is inert: it pings nobody, formats nothing and fits."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.text import cell, code, code_block, cut, is_blank, one_line, visible

HOSTILE = [
    "@everyone @here <@1> <@&2> <#3> </video create:4>",
    "`a` ``b`` ```c``` \\`",
    "https://evil.example [masked](https://evil.example) <https://evil.example>",
    "# big\n> quote\n- list\n||spoiler|| **bold** __under__ ~~gone~~ -# small",
    "\u202egnp.exe\u202c \u2066a\u2069 \u200f \u061c",
    "zero\u200bwidth \u2060joined \ufefftext\u00ad",
    "x" * 4_000,
    "<t:0:R> <:emoji:1> <a:emoji:2>",
    "a\r\nb\rc\u2028d\u2029e\x0bf\x0cg\x85h",
    "null\x00 bell\x07 escape\x1b[31m \ud83d half",
    "``\u200b`",
]
REORDERING = {"RLE", "LRE", "RLO", "LRO", "PDF", "RLI", "LRI", "FSI", "PDI"}


@pytest.mark.parametrize("text", HOSTILE)
def test_inline_code_is_one_line_that_ends_where_it_should(text: str) -> None:
    written = code(text, 200)

    assert (written[0], written[-1]) == ("`", "`")
    assert not set("`\n\r") & set(written[1:-1])
    assert len(written) <= 202


@pytest.mark.parametrize("text", HOSTILE)
def test_a_code_block_ends_where_it_should(text: str) -> None:
    written = code_block(text, 1_000)

    assert written.startswith("```\n")
    assert written.endswith("\n```")
    assert "`" not in written[4:-4]
    assert len(written) <= 1_008


@given(st.sampled_from(HOSTILE) | st.text(), st.integers(1, 300))
def test_nothing_written_reorders_hides_or_overflows(text: str, most: int) -> None:
    for written in (one_line(text, most), code(text, most)[1:-1], code_block(text, most)[4:-4]):
        assert len(written) <= most
        for character in written:
            assert unicodedata.bidirectional(character) not in REORDERING
            assert unicodedata.category(character) != "Cs"
            assert character == "\n" or unicodedata.category(character) != "Cc"
            written.encode()


def test_line_ends_of_every_kind_become_one_kind() -> None:
    assert visible("a\r\nb\rc\u2028d\u2029e\x0bf\x0cg\x85h\ti") == "a\nb\nc\nd\ne\nf\ng\nh i"


@pytest.mark.parametrize("text", ["👩\u200d🚀", "❤\ufe0f", "e\u0301", "می\u200cخوریم", "नमस्ते", "שלום", "字"])
def test_what_people_write_is_left_as_it_is(text: str) -> None:
    assert visible(text) == text
    assert not is_blank(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \t\r\n",
        "\u00a0\u2003\u3000",
        "\u200b\u200c\u200d\u2060\ufeff",
        "\u202e\u202c",
        "\u00ad\u034f\u115f\u1160\u3164\uffa0\u2800\u180e",
        "\ufe0f\ufe0f",
        "\u0301\u0301",
        "\U000e0041\U000e0042\U000e0100",
        "\x00\x01\x7f",
        "\ud83d",
    ],
)
def test_text_with_nothing_to_see_is_blank(text: str) -> None:
    assert is_blank(text)


@pytest.mark.parametrize("text", [".", "?", "1", "+", "$", "🩷", "\ue000", " x\u200b"])
def test_a_single_thing_to_see_is_not_blank(text: str) -> None:
    assert not is_blank(text)


@pytest.mark.parametrize(
    ("text", "most", "short"), [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("a  bcd", 4, "a…"), ("abc", 1, "…")]
)
def test_a_cut_text_shows_that_something_is_missing(text: str, most: int, short: str) -> None:
    assert cut(text, most) == short


def test_no_text_is_no_code() -> None:
    assert code(" \u200b") == ""


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("=SUM(A1:A9)", "'=SUM(A1:A9)"),
        (" \t@cmd", "'@cmd"),
        ("\r\n+1", "'+1"),
        ("-1", "'-1"),
        ("\u200b=1", "'=1"),
        ("for the\nlaunch = ours", "for the launch = ours"),
        ("", ""),
    ],
)
def test_no_cell_is_a_formula(written: str, shown: str) -> None:
    assert cell(written) == shown
