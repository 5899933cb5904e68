"""Money as integer micro-dollars: written for people, read from people, never a float."""

import re
from decimal import Decimal
from fractions import Fraction

MICROS_PER_DOLLAR = 1_000_000
MICROS_PER_CENT = 10_000
MOST_DOLLARS = 1_000_000

_AMOUNT = re.compile(r"\$?\s*(\d{1,9})(?:[.,](\d{1,2}))?", re.ASCII)


def dollars(micros: int) -> str:
    """Write micro-dollars as people read them: `$0.27`, with more places only where cents lie."""
    sign = "-" if micros < 0 else ""
    whole, rest = divmod(abs(micros), MICROS_PER_DOLLAR)
    places = f"{rest:06d}".rstrip("0").ljust(2, "0")
    return f"{sign}${whole:,}.{places}"


def micros(usd: Decimal) -> int:
    """Turn decimal dollars into micro-dollars.

    Raises:
        ValueError: the amount is not a whole number of micro-dollars, or not finite.
    """
    if not usd.is_finite():
        raise ValueError(f"{usd} is not an amount of money")
    exact = Fraction(usd) * MICROS_PER_DOLLAR  # a product of Decimals would be rounded to 28 digits
    if exact.denominator != 1:
        raise ValueError(f"{usd} has more than six decimal places")
    return exact.numerator


def parse_dollars(text: str) -> int:
    """Read an amount as a person types it (`12`, `$12`, `12.50`, `12,50`) into micro-dollars.

    Raises:
        ValueError: it is not such an amount, or more than a million dollars.
    """
    match = _AMOUNT.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not an amount like 12.50")
    whole, cents = match.groups()
    amount = int(whole) * MICROS_PER_DOLLAR + int((cents or "0").ljust(2, "0")) * MICROS_PER_CENT
    if amount > MOST_DOLLARS * MICROS_PER_DOLLAR:
        raise ValueError(f"{text!r} is more than ${MOST_DOLLARS:,}")
    return amount
