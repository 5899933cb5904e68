"""Charts of money as pictures, drawn by matplotlib in a thread of their own, one after the other."""
# pyright: reportUnknownMemberType=false
# The types that come with matplotlib say nothing of its keyword arguments.

import asyncio
import dataclasses
import functools
import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bot import text
from bot.money import MICROS_PER_DOLLAR, dollars

# A dark card: it stands on Discord's dark theme and on its light one.
BACKGROUND = "#2b2d31"
INK = "#f2f3f5"
LINE = "#80848e"
SPENT = "#8ea1ff"
HELD = "#ffd98a"

MOST_LABEL = 26
DOTS_PER_INCH = 150
WIDTH_INCHES = 6.4
BAR_INCHES = 0.36
TITLE_INCHES = 0.6
MARGIN_INCHES = 0.12
BAR_WIDTH = 0.62  # of what a line has


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bar:
    """One line of a chart; the label may be anybody's text."""

    label: str
    spent_micros: int
    held_micros: int


class Charts:
    """Draws bars of what was spent and is held."""

    def __init__(self) -> None:
        # matplotlib is not made for threads; this one is begun by the first chart.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="charts")

    async def draw(self, title: str, bars: Sequence[Bar]) -> bytes:
        """Return a PNG file with a line for each of the bars, of which there is at least one."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, _draw, title, bars)

    async def legible(self, names: Sequence[str], stand_ins: Sequence[str]) -> list[str]:
        """Return names of which a chart can write something, and for each of the others its stand-in."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, _legible, names, stand_ins)

    def close(self) -> None:
        """Draw nothing more."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def _draw(title: str, bars: Sequence[Bar]) -> bytes:
    # Imported by the thread that needs it, when it does: it takes a second and a good deal of memory.
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415
    from matplotlib.layout_engine import ConstrainedLayoutEngine  # noqa: PLC0415

    figure = Figure(
        figsize=(WIDTH_INCHES, TITLE_INCHES + BAR_INCHES * len(bars)),
        dpi=DOTS_PER_INCH,
        facecolor=BACKGROUND,
        layout=ConstrainedLayoutEngine(w_pad=MARGIN_INCHES, h_pad=MARGIN_INCHES),
    )
    canvas = FigureCanvasAgg(figure)
    # Nothing is ever read as a formula: names are anybody's text, and amounts begin with a dollar sign.
    ink: dict[str, Any] = {"color": INK, "parse_math": False}
    figure.suptitle(title, x=MARGIN_INCHES / WIDTH_INCHES, ha="left", size=12, weight="bold", **ink)
    axes = figure.add_subplot(facecolor=BACKGROUND)
    lines = range(len(bars))
    spent = [bar.spent_micros / MICROS_PER_DOLLAR for bar in bars]
    held = [bar.held_micros / MICROS_PER_DOLLAR for bar in bars]
    ends = list(map(sum, zip(spent, held, strict=True)))
    longest = max(ends) or 1.0
    axes.barh(lines, spent, height=BAR_WIDTH, color=SPENT)
    axes.barh(lines, held, left=spent, height=BAR_WIDTH, color=HELD)
    for line, bar, end in zip(lines, bars, ends, strict=True):
        axes.text(end + longest * 0.015, line, _amount(bar), va="center", size=9, **ink)
    axes.set_xlim(0, longest)
    axes.set_ylim(len(bars) - 0.5, -0.5)
    axes.set_xticks([])
    axes.set_yticks(lines, [_label(bar) for bar in bars], size=9.5, **ink)
    axes.tick_params(length=0, pad=8)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.spines["left"].set_color(LINE)
    with io.BytesIO() as file:
        canvas.print_png(file)
        return file.getvalue()


def _amount(bar: Bar) -> str:
    held = f" + {dollars(bar.held_micros)} held" if bar.held_micros else ""
    return f"{dollars(bar.spent_micros)}{held}"


def _legible(names: Sequence[str], stand_ins: Sequence[str]) -> list[str]:
    return [
        name if any(character.isalnum() and ord(character) in _shapes() for character in name) else stand_in
        for name, stand_in in zip(names, stand_ins, strict=True)
    ]


def _label(bar: Bar) -> str:
    """Leave out what the font that comes with matplotlib has no shape for, such as emoji."""
    shown = "".join(character for character in bar.label if ord(character) in _shapes())
    return text.one_line(shown, MOST_LABEL)


@functools.cache
def _shapes() -> frozenset[int]:
    from matplotlib import font_manager  # noqa: PLC0415 - as above

    return frozenset(font_manager.get_font(font_manager.findfont("DejaVu Sans")).get_charmap())
