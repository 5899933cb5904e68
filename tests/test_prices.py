"""Prices, typed in from the gateways' own price tables, against what the catalogue quotes."""

import pytest

from bot import price_lists
from bot.catalogue import Model
from bot.catalogue_tables import load_catalogue
from bot.entries import Price, PriceRow
from bot.models import Account, Mode, Quality, Shape, VideoRequest

CENT = 10_000
MODELS = load_catalogue().models
SIZES = {
    "720x1280": (Shape.PORTRAIT, Quality.P720),
    "1280x720": (Shape.LANDSCAPE, Quality.P720),
    "1024x1792": (Shape.PORTRAIT, Quality.P1080),
    "1792x1024": (Shape.LANDSCAPE, Quality.P1080),
}

# https://gateway.pixazo.ai/sora-video/v1: one table for text to video, the same for image to video.
PIXAZO = [
    ("720x1280", 4, 150),
    ("1280x720", 4, 150),
    ("720x1280", 8, 300),
    ("1280x720", 8, 300),
    ("720x1280", 12, 450),
    ("1280x720", 12, 450),
    ("1024x1792", 4, 250),
    ("1792x1024", 4, 250),
    ("1024x1792", 8, 500),
    ("1792x1024", 8, 500),
    ("1024x1792", 12, 750),
    ("1792x1024", 12, 750),
]

# https://apixo.ai/docs/models/video/sora-2-pro: $0.27 a second at 720p, $0.45 at 1080p.
APIXO_PRO = [
    ("720p", 4, 108),
    ("720p", 8, 216),
    ("720p", 12, 324),
    ("1080p", 4, 180),
    ("1080p", 8, 360),
    ("1080p", 12, 540),
]

# An older page of APIXO's; today's page of sora-2 names no price.
APIXO_ESTIMATES = [(10, 50), (15, 75)]


def price(model: Model, request: VideoRequest) -> tuple[int, bool]:
    """What it costs in micro-dollars, and whether that is an estimate."""
    quote = model.quote(request)
    return quote.micros, quote.estimate


@pytest.mark.parametrize("model", ["pixazo/sora-2-pro", "sandbox/pixazo"])
@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize(("size", "seconds", "cents"), PIXAZO)
def test_pixazo_costs_what_its_table_says(
    model: str, mode: Mode, size: str, seconds: int, cents: int
) -> None:
    shape, quality = SIZES[size]
    request = MODELS[model].request(mode=mode, prompt="a fox", seconds=seconds, shape=shape, quality=quality)

    assert MODELS[model].size(request).send == {"size": size}
    assert price(MODELS[model], request) == (cents * CENT, False)


@pytest.mark.parametrize("model", ["apixo/sora-2-pro", "sandbox/sora-2-pro"])
@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("shape", [Shape.LANDSCAPE, Shape.PORTRAIT])
@pytest.mark.parametrize(("quality", "seconds", "cents"), APIXO_PRO)
def test_apixos_pro_model_is_billed_by_the_second(
    *, model: str, mode: Mode, shape: Shape, quality: str, seconds: int, cents: int
) -> None:
    request = MODELS[model].request(
        mode=mode, prompt="a fox", seconds=seconds, shape=shape, quality=Quality(quality)
    )

    assert price(MODELS[model], request) == (cents * CENT, False)


@pytest.mark.parametrize("size", SIZES)
def test_apixos_text_sizes_lie_in_the_tier_their_page_names(size: str) -> None:
    shape, quality = SIZES[size]
    model = MODELS["apixo/sora-2-pro"]
    text = model.request(mode=Mode.TEXT, prompt="a fox", shape=shape, quality=quality)
    image = model.request(mode=Mode.IMAGE, prompt="a fox", shape=shape, quality=quality)

    assert model.size(text).send == {"size": size.replace("x", "*")}
    assert model.size(image).send == {"resolution": quality}


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("shape", [Shape.LANDSCAPE, Shape.PORTRAIT])
@pytest.mark.parametrize(("seconds", "cents"), APIXO_ESTIMATES)
def test_sora_2_costs_an_estimate_and_says_so(mode: Mode, shape: Shape, seconds: int, cents: int) -> None:
    model = MODELS["apixo/sora-2"]
    request = model.request(mode=mode, prompt="a fox", seconds=seconds, shape=shape)

    assert model.size(request).send == {"aspect_ratio": shape}
    assert price(model, request) == (cents * CENT, True)


# The successors', by APIXO's older page of Veo 3.1 and by Pixazo's list of April 2026, in thousandths of a
# dollar: what a second costs, or a clip. None stands for any; no row, for a price that no page prints.

SECOND, CLIP = True, False
SUCCESSORS: dict[str, tuple[bool, bool, dict[tuple[str | None, bool | None, int | None], int]]] = {
    "apixo/veo-3-1-fast": (CLIP, True, {(None, None, None): 200}),
    "apixo/veo-3-1-quality": (CLIP, True, {(None, None, None): 1_500}),
    "pixazo/ltx-free": (CLIP, False, {(None, None, None): 0}),
    "pixazo/p-video": (SECOND, False, {("720p", None, None): 20, ("1080p", None, None): 40}),
    "pixazo/pixverse-v6": (
        SECOND,
        True,
        {
            ("360p", False, None): 25,
            ("360p", True, None): 35,
            ("540p", False, None): 35,
            ("540p", True, None): 45,
            ("720p", False, None): 45,
            ("720p", True, None): 60,
            ("1080p", False, None): 90,
            ("1080p", True, None): 115,
        },
    ),
    "pixazo/grok-imagine": (SECOND, True, {("480p", None, None): 50, ("720p", None, None): 70}),
    "pixazo/veo-3-1-fast": (SECOND, False, {(None, False, None): 100, (None, True, None): 150}),
    "pixazo/kling-3-0": (SECOND, False, {(None, False, None): 168, (None, True, None): 252}),
    "pixazo/seedance-2-0": (SECOND, False, {(None, None, None): 290}),
    "pixazo/wan-2-6": (CLIP, True, {(None, None, 5): 750, (None, None, 10): 1_500}),
    "pixazo/hailuo-2-3": (CLIP, False, {(None, None, 6): 350, (None, None, 10): 600}),
    "pixazo/runway-gen-4-5": (SECOND, False, {(None, None, None): 120}),
}
UNKNOWN = {"apixo/seedance-2-0-fast", "apixo/kling-3-0-turbo", "apixo/wan-2-6-video"}


@pytest.mark.parametrize("name", SUCCESSORS)
def test_a_successor_costs_what_its_page_prints(name: str) -> None:
    is_by_second, is_estimate, table = SUCCESSORS[name]
    for order in MODELS[name].orders():
        (mills,) = [
            mills
            for (quality, sound, seconds), mills in table.items()
            if quality in {None, order.quality}
            and sound in {None, order.sound}
            and seconds in {None, order.seconds}
        ]
        expected = mills * 1_000 * (order.seconds if is_by_second else 1)
        assert price(MODELS[name], order) == (expected, is_estimate)


def test_every_price_of_the_catalogue_is_in_these_tables() -> None:
    real = {name: model for name, model in MODELS.items() if model.account is Account.REAL}
    sora = {name: model for name, model in MODELS.items() if "sora" in name or name == "sandbox/pixazo"}
    quoted = {name: {model.quote(order).micros for order in model.orders()} for name, model in sora.items()}
    pixazo = {cents * CENT for _, _, cents in PIXAZO}
    pro = {cents * CENT for _, _, cents in APIXO_PRO}
    estimates = {cents * CENT for _, cents in APIXO_ESTIMATES}

    assert quoted == {
        "apixo/sora-2": estimates,
        "apixo/sora-2-pro": pro,
        "pixazo/sora-2-pro": pixazo,
        "sandbox/sora-2": estimates,
        "sandbox/sora-2-pro": pro,
        "sandbox/pixazo": pixazo,
    }
    assert real.keys() - sora.keys() == SUCCESSORS.keys() | UNKNOWN
    assert {name for name, model in real.items() if model.price is None} == UNKNOWN


# As people read them


@pytest.mark.parametrize(
    ("name", "lines", "choice"),
    [
        ("apixo/sora-2", ["10 s ≈$0.50, 15 s ≈$0.75"], "from ≈$0.50"),
        (
            "apixo/sora-2-pro",
            ["720p: 4 s $1.08, 8 s $2.16, 12 s $3.24", "1080p: 4 s $1.80, 8 s $3.60, 12 s $5.40"],
            "from $1.08",
        ),
        ("apixo/kling-3-0-turbo", [f"3 to 15 s; {price_lists.UNKNOWN}"], "price unknown"),
        ("apixo/veo-3-1-fast", ["8 s ≈$0.20"], "from ≈$0.20"),
        ("pixazo/ltx-free", ["1 to 20 s free"], "free"),
        (
            "pixazo/p-video",
            ["720p: 1 to 10 s $0.02 a second", "1080p: 1 to 10 s $0.04 a second"],
            "from $0.02",
        ),
        (
            "pixazo/kling-3-0",
            ["silent: 3 to 15 s $0.168 a second", "with sound: 3 to 15 s $0.252 a second"],
            "from $0.504",
        ),
        ("pixazo/hailuo-2-3", ["6 s $0.35, 10 s $0.60"], "from $0.35"),
    ],
)
def test_prices_are_written_by_what_they_hang_on(name: str, lines: list[str], choice: str) -> None:
    assert price_lists.price_list(MODELS[name]).splitlines() == lines
    assert price_lists.cheapest(MODELS[name]) == choice


def test_many_lengths_without_a_price_of_a_second_are_written_by_the_ends() -> None:
    model = MODELS["pixazo/p-video"]
    rows = [PriceRow(seconds=seconds, usd=f"0.{seconds * seconds:03}") for seconds in model.seconds]
    odd = model.model_copy(update={"price": Price(unit="video", rows=tuple(rows))})

    assert price_lists.price_list(odd) == "1 to 10 s $0.001 to $0.10"
