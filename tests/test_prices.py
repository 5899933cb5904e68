"""Prices, typed in from the gateways' own price tables, against what the catalogue quotes."""

import pytest

from bot.catalogue import Catalogue, Model
from bot.models import Mode, Quality, Shape, VideoRequest

CENT = 10_000
MODELS = Catalogue.load().models
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


def test_every_price_of_the_catalogue_is_in_these_tables() -> None:
    quoted = {name: {model.quote(order).micros for order in model.orders()} for name, model in MODELS.items()}
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
