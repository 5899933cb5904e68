import asyncio
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageColor

from bot.charts import BACKGROUND, HELD, INK, SPENT, Bar, Charts

ROOT = Path(__file__).parent.parent
ALICE = Bar(label="1. Alice", spent_micros=3_600_000, held_micros=0)
BOB = Bar(label="2. Bob", spent_micros=1_800_000, held_micros=900_000)


@pytest.fixture(scope="module")
def charts() -> Iterator[Charts]:
    opened = Charts()
    yield opened
    opened.close()


def opened(png: bytes) -> Image.Image:
    with Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG"
        return image.convert("RGBA")


def pixels_by_line(image: Image.Image, colour: str) -> list[int]:
    """How many pixels of a colour each line of pixels has."""
    wanted = (*ImageColor.getrgb(colour), 255)
    width, height = image.size
    return [sum(image.getpixel((x, y)) == wanted for x in range(width)) for y in range(height)]


def luminance(colour: str) -> float:
    """By WCAG 2.2, "relative luminance" (https://www.w3.org/TR/WCAG22/#dfn-relative-luminance)."""
    shares = [part / 255 for part in ImageColor.getrgb(colour)[:3]]
    red, green, blue = (
        share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


async def test_bars_are_as_long_as_what_was_spent_and_held(charts: Charts) -> None:
    image = opened(await charts.draw("November 2026", [ALICE, BOB]))

    spent, held = pixels_by_line(image, SPENT), pixels_by_line(image, HELD)
    middle = image.height * 2 // 3
    alice, bob, bobs_held = max(spent[:middle]), max(spent[middle:]), max(held)
    assert alice > 400
    assert bob / alice == pytest.approx(0.5, abs=0.02)
    assert bobs_held / alice == pytest.approx(0.25, abs=0.02)


async def test_a_chart_is_legible_on_its_own_background_whatever_theme_is_around_it(charts: Charts) -> None:
    image = opened(await charts.draw("November 2026", [ALICE, BOB]))

    corners = {image.getpixel((x, y)) for x in (0, image.width - 1) for y in (0, image.height - 1)}
    assert corners == {(*ImageColor.getrgb(BACKGROUND), 255)}
    assert image.getchannel("A").getextrema() == (255, 255)  # nothing shines through
    assert sum(pixels_by_line(image, INK)) > 1000
    assert contrast(INK, BACKGROUND) > 7
    assert contrast(SPENT, BACKGROUND) > 4.5
    assert contrast(HELD, BACKGROUND) > 4.5
    assert contrast(SPENT, HELD) > 1.5  # told apart without colours, too


@pytest.mark.parametrize("count", [1, 2, 6, 11])
async def test_a_chart_fits_into_a_message_and_grows_with_its_lines(charts: Charts, count: int) -> None:
    png = await charts.draw("November 2026", [ALICE] * count)

    image = opened(png)
    assert image.width == 960
    assert image.height == pytest.approx(90 + 54 * count, abs=1)
    assert len(png) < 200_000


async def test_a_chart_of_nothing_but_jobs_that_cost_nothing_is_drawn(charts: Charts) -> None:
    nothing = Bar(label="1. Alice", spent_micros=0, held_micros=0)

    image = opened(await charts.draw("November 2026", [nothing]))

    assert max(pixels_by_line(image, SPENT)) <= 2


@pytest.mark.parametrize(
    "label",
    [
        pytest.param("$x^2$ \\frac{1}{", id="formula"),
        pytest.param("1. 🦊🏳️‍🌈", id="emoji"),
        pytest.param("名前太郎", id="another script"),
        pytest.param("محمد", id="right to left"),
        pytest.param("a\u202eb\u200dc\nd\x00", id="invisible"),
        pytest.param("Z" + "\u0335" * 300, id="marks upon marks"),
        pytest.param("\ud83d", id="half a surrogate pair"),
        pytest.param("", id="empty"),
    ],
)
async def test_no_name_breaks_a_chart(charts: Charts, label: str) -> None:
    image = opened(await charts.draw("November 2026", [Bar(label=label, spent_micros=1, held_micros=1)]))

    assert image.size == (960, 144)
    assert max(pixels_by_line(image, SPENT)) > 150


async def test_a_name_of_which_nothing_can_be_written_has_a_stand_in(charts: Charts) -> None:
    names = [
        "Alice",
        "\u540d\u524d\u592a\u90ce",
        "\U0001f98a\u2764\ufe0f",
        "\u540d\u524d Bob",
        "- \u540d\u524d",
        "\u200b",
        "2026",
    ]
    stand_ins = [f"member …{number}" for number in range(len(names))]

    assert await charts.legible(names, stand_ins) == [
        "Alice",
        "member …1",
        "member …2",
        "\u540d\u524d Bob",
        "member …4",
        "member …5",
        "2026",
    ]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(label=st.text(max_size=40), spent=st.integers(0, 10**13), held=st.integers(0, 10**13))
def test_anything_can_be_drawn(charts: Charts, label: str, spent: int, held: int) -> None:
    bar = Bar(label=label, spent_micros=spent, held_micros=held)

    image = opened(asyncio.run(charts.draw("November 2026", [bar])))

    assert image.size == (960, 144)


async def test_a_long_name_leaves_room_for_the_bars(charts: Charts) -> None:
    wide = Bar(label="W" * 500, spent_micros=3_600_000, held_micros=0)

    image = opened(await charts.draw("November 2026", [wide]))

    assert max(pixels_by_line(image, SPENT)) > 300


async def test_charts_at_once_come_out_as_one_alone(charts: Charts) -> None:
    alone = [await charts.draw("November 2026", [bar]) for bar in (ALICE, BOB)]

    together = await asyncio.gather(*(charts.draw("November 2026", [bar]) for bar in (ALICE, BOB) * 3))

    assert together == alone * 3


def run_python(code: str, *flags: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, *flags, "-c", code],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


def test_starting_the_bot_does_not_load_matplotlib() -> None:
    code = "import sys, bot.app; print('matplotlib' in sys.modules)"

    assert run_python(code) == "False\n"


def test_a_home_that_cannot_be_written_to_is_no_hindrance() -> None:
    code = (
        "import asyncio; from bot.charts import Bar, Charts; "
        "print(asyncio.run(Charts().draw('x', [Bar(label='a', spent_micros=1, held_micros=0)]))[1:4])"
    )

    assert run_python(code, "-W", "error", HOME="/dev/null/nowhere", MPLCONFIGDIR="") == "b'PNG'\n"
