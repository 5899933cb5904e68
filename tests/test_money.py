"""Money: whole micro-dollars, read as people type them and written as they read them."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.money import dollars, micros, parse_dollars


@pytest.mark.parametrize(
    ("amount", "written"),
    [
        (0, "$0.00"),
        (270_000, "$0.27"),
        (1_000_000, "$1.00"),
        (1_500_000, "$1.50"),
        (33_333, "$0.033333"),
        (5_000, "$0.005"),
        (1, "$0.000001"),
        (1_234_567_890_000, "$1,234,567.89"),
        (-270_000, "-$0.27"),
    ],
)
def test_an_amount_is_written_in_cents_and_finer_only_where_it_is_finer(amount: int, written: str) -> None:
    assert dollars(amount) == written


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("12", 12_000_000),
        ("$12", 12_000_000),
        ("$ 12", 12_000_000),
        ("12.50", 12_500_000),
        ("12,50", 12_500_000),
        ("12.5", 12_500_000),
        (" 0 ", 0),
        ("0.01", 10_000),
        ("007", 7_000_000),
        ("1000000", 1_000_000_000_000),
    ],
)
def test_an_amount_is_read_as_people_type_it(text: str, amount: int) -> None:
    assert parse_dollars(text) == amount


@pytest.mark.parametrize(
    "text",
    [
        "",
        "$",
        "-1",
        "+1",
        "1.234",
        "1,000",
        "1,000.00",
        "1.",
        ".5",
        "1e3",
        "nan",
        "inf",
        "12 $",
        "12€",
        "1 2",
        "\uff11\uff12",
        "١٢",
        "1000000.01",
        "9" * 9,
        "9" * 400,
        "1\n2",
    ],
)
def test_what_is_no_amount_or_absurd_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not an amount|more than \$1,000,000"):
        parse_dollars(text)


@given(st.integers(0, 100_000_000))
def test_what_is_written_in_cents_is_read_back(cents: int) -> None:
    amount = cents * 10_000

    assert parse_dollars(dollars(amount).replace(",", "")) == amount


@given(st.integers(-(10**15), 10**15))
def test_decimal_dollars_become_micro_dollars_exactly(amount: int) -> None:
    assert micros(Decimal(amount).scaleb(-6)) == amount
    assert Decimal(dollars(amount).replace(",", "").replace("$", "")) == Decimal(amount).scaleb(-6)


@pytest.mark.parametrize(
    "amount", ["0.0000001", "0.1000000000000000000000000000000000001", "NaN", "Infinity"]
)
def test_what_is_no_whole_number_of_micro_dollars_is_refused(amount: str) -> None:
    with pytest.raises(ValueError, match=r"decimal places|not an amount"):
        micros(Decimal(amount))
