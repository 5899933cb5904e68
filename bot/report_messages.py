"""Every sentence a person reads about what was spent in past and present periods."""

from collections.abc import Sequence

from bot import text
from bot.messages import at, megabytes
from bot.money import dollars
from bot.money_messages import account_line
from bot.periods import NamedPeriod
from bot.quotas import Measure
from storage.reports import By, Spent

NO_PERIOD = (
    "That is no period. Choose one from the list, or write a month like `2026-10` or a day like `2026-10-17`."
)

# They have 18 digits or more, of which a spreadsheet's numbers keep 15.
IDS_AS_TEXT = "-# Import its columns of ids as text: a spreadsheet would round them."

MOST_NAME = 24

_NAMELESS = {By.MEMBER: "someone forgotten", By.ROLE: "no role"}


def nobody(by: By, subject: str | None) -> str:
    """Name what Discord no longer knows, or what never had a name."""
    return f"{by} …{subject[-4:]}" if subject else _NAMELESS.get(by, f"no {by}")


def report(
    named: NamedPeriod,
    by: By,
    lines: Sequence[tuple[str, Spent]],
    *,
    file_name: str,
    is_too_big_for: int | None,
    sandbox: bool,
) -> str:
    """Write a period as a table; with `is_too_big_for` bytes there is no file."""
    period = named.period
    return "\n".join(
        [
            f"**{_first_upper(named.title)}, by {by}** · {at(period.starts_at)} – {at(period.turns_at)}",
            _table(lines),
            "-# A job counts when it was ordered, however late it ends; spent is less what was refunded.",
            *(["-# It counts for the highest role its member had then."] if by is By.ROLE else []),
            f"Every job is in `{file_name}`.\n{IDS_AS_TEXT}"
            if is_too_big_for is None
            else f"The list of every job is over the {megabytes(is_too_big_for)} that a file may have here. "
            "The bot's operator can write it with `python -m bot export --what jobs --format csv`.",
            *account_line(sandbox=sandbox),
        ]
    )


def chart_title(named: NamedPeriod, by: By, total: Spent) -> str:
    """Head a chart of a period."""
    return f"{_first_upper(named.title)}, by {by}: {dollars(total.spent_micros)}"


def no_jobs(named: NamedPeriod) -> str:
    """Answer where nothing was ordered."""
    return f"**{_first_upper(named.title)}**: no videos were ordered here."


def no_history(measure: Measure) -> str:
    """Answer who ordered nothing."""
    return f"You ordered no videos here in the last six {measure}s."


def history(measure: Measure, periods: Sequence[tuple[NamedPeriod, Spent, int]], *, sandbox: bool) -> str:
    """Write what a member spent period by period, and what of it was not charged to their own quota."""
    lines = [(named.title, spent) for named, spent, _ in periods]
    elsewhere = [
        f"-# {_first_upper(named.title)}: {dollars(micros)} of it was paid by channel purses or approvals."
        for named, _, micros in periods
        if micros
    ]
    return "\n".join(
        [
            f"**Your last six {measure}s in this server**",
            _table(lines),
            *elsewhere,
            "-# A job counts when it was ordered; spent is less what was refunded.",
            *account_line(sandbox=sandbox),
        ]
    )


def history_title(measure: Measure, total: Spent) -> str:
    """Head a chart of what a member spent."""
    return f"Your last six {measure}s: {dollars(total.spent_micros)}"


def folded(rows: Sequence[Spent], names: Sequence[str], most: int) -> list[tuple[str, Spent]]:
    """Number the first rows with their names, and add up all others in a line of their own."""
    listed = min(most, len(names))
    lines = [
        (f"{number}. {name}", row) for number, (name, row) in enumerate(zip(names, rows, strict=False), 1)
    ]
    rest = rows[listed:]
    if rest:
        lines.append((f"{len(rest):,} other{'s' * (len(rest) > 1)}", sum(rest, Spent())))
    return lines


def _table(lines: Sequence[tuple[str, Spent]]) -> str:
    """Set a table with a total; names come last, since nobody knows how wide an emoji is."""
    total = sum((spent for _, spent in lines), Spent())
    rows = [
        (dollars(spent.spent_micros), dollars(spent.held_micros), f"{spent.jobs:,}", _inert(name))
        for name, spent in [*lines, ("total", total)]
    ]
    heads = ("Spent", "Held", "Jobs", "")
    widths = [max(len(row[column]) for row in [heads, *rows]) for column in range(3)]
    shown = [
        "  ".join([*(cell.rjust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip()
        for row in [heads, *rows]
    ]
    return "\n".join(["```", *shown[:-1], "─" * (sum(widths) + 4), shown[-1], "```"])


def _inert(name: str) -> str:
    return text.code(name, MOST_NAME + len("15. ")).strip("`")


def _first_upper(words: str) -> str:
    return words[:1].upper() + words[1:]
