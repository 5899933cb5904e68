"""The catalogue: what the shipped models are, what an operator's file changes, and how it is refused."""

import datetime as dt
import itertools
import re
import textwrap
from pathlib import Path

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.catalogue import Model
from bot.catalogue_tables import load_catalogue
from bot.entries import (
    GatewaySpec,
    Length,
    Limits,
    ModeSpec,
    Options,
    PictureField,
    Price,
    PriceRow,
    Request,
    Size,
    Timing,
)
from bot.errors import BadOrder, SettingsError
from bot.models import Account, Mode, Quality, Shape, VideoRequest

SHIPPED = load_catalogue().models
MODELS = list(SHIPPED.values())
SORA, PRO, PIXAZO = SHIPPED["apixo/sora-2"], SHIPPED["apixo/sora-2-pro"], SHIPPED["pixazo/sora-2-pro"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "models.toml"


def load(path: Path, text: str) -> dict[str, Model]:
    path.write_text(text, "utf-8")
    return dict(load_catalogue(path).models)


# What is shipped


def test_the_shipped_models_come_in_the_order_they_are_offered() -> None:
    gateways = [model.gateway for model in SHIPPED.values()]

    assert list(SHIPPED)[:3] == ["apixo/sora-2", "apixo/sora-2-pro", "pixazo/sora-2-pro"]
    assert [name for name, _ in itertools.groupby(gateways[3:])][:2] == ["apixo", "pixazo"]
    accounts = [model.account for model in SHIPPED.values()]
    assert accounts == sorted(accounts)  # the sandbox's come last


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.model_id)
def test_every_shipped_model_names_a_page_and_a_day(model: Model) -> None:
    assert re.fullmatch(r".+: https://[a-z.]+/\S+", model.source)
    assert model.noted_on <= dt.date(2026, 11, 21)
    assert model.title


@pytest.mark.parametrize(
    ("model", "seconds", "prompt", "requests", "tasks", "first", "qualities"),
    [
        (SORA, (10, 15), 10_000, 10_000, 1_000, 180, ()),
        (PRO, (4, 8, 12), 5_000, 60, 10, 120, ("720p", "1080p")),
        (PIXAZO, (4, 8, 12), 5_000, 60, 10, 120, ("720p", "1080p")),
    ],
)
def test_the_real_models_have_the_limits_of_their_pages(
    *,
    model: Model,
    seconds: tuple[int, ...],
    prompt: int,
    requests: int,
    tasks: int,
    first: int,
    qualities: tuple[str, ...],
) -> None:
    assert (model.seconds, model.prompt_limit, model.qualities) == (seconds, prompt, qualities)
    assert (model.limits.requests_per_minute, model.limits.concurrent_tasks) == (requests, tasks)
    assert model.timing.first_look_seconds == first
    assert (set(model.modes), model.shapes) == (set(Mode), (Shape.LANDSCAPE, Shape.PORTRAIT))
    assert model.status == "doubtful"
    assert "2026-09-24" in model.note


def test_only_pixazo_wants_the_picture_in_exact_pixels_and_in_the_request() -> None:
    for order in PIXAZO.orders(Mode.IMAGE):
        size = PIXAZO.size(order)
        assert size.pixels is not None
        assert size.send == {"size": "{}x{}".format(*size.pixels)}
    assert PIXAZO.asking.picture is not None
    assert PIXAZO.asking.picture.send == "data-url"
    for model in (SORA, PRO):
        assert model.asking.picture is not None
        assert model.asking.picture.send == "link"
        assert all(model.size(order).pixels is None for order in model.orders())


@pytest.mark.parametrize(("sandbox", "real"), [("sora-2", SORA), ("sora-2-pro", PRO), ("pixazo", PIXAZO)])
def test_a_sandbox_model_is_ordered_like_the_real_one_with_play_money(sandbox: str, real: Model) -> None:
    model = SHIPPED[f"sandbox/{sandbox}"]

    assert (model.modes, model.seconds, model.remote_id) == (real.modes, real.seconds, real.remote_id)
    assert (model.account, real.account) == (Account.SANDBOX, Account.REAL)
    assert model.status == "available"


# What can be ordered


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.model_id)
def test_every_order_has_exactly_one_size_and_one_price(model: Model) -> None:
    orders = list(model.orders())
    shapes = sum(len(model.shapes_of(mode)) for mode in model.modes)
    sounds = 1 if model.options.sound is None else 2

    assert (
        len(orders) == len(set(orders)) == shapes * len(model.seconds) * max(1, len(model.qualities)) * sounds
    )
    for order in orders:
        assert model.size(order).shape in {order.shape, None}
        assert model.size(order).quality in {order.quality, None}
        if model.price is not None:
            assert model.quote(order).micros >= 0
    if model.price is None:
        with pytest.raises(BadOrder, match="has no price yet; the operator has to set one"):
            model.quote(orders[0])


@given(
    st.sampled_from(MODELS),
    st.sampled_from(Mode),
    st.text(min_size=1, max_size=50),
    st.none() | st.integers(-1, 20),
    st.none() | st.sampled_from(Shape),
    st.none() | st.sampled_from(Quality),
    st.none() | st.booleans(),
)
def test_an_order_is_either_refused_or_has_a_size_and_a_price(  # noqa: PLR0917 - hypothesis gives them all
    model: Model,
    mode: Mode,
    prompt: str,
    seconds: int | None,
    shape: Shape | None,
    quality: Quality | None,
    keep: bool | None,
) -> None:
    try:
        request = model.request(
            mode=mode, prompt=prompt, seconds=seconds, shape=shape, quality=quality, keep_watermark=keep
        )
    except BadOrder:
        return
    assert model.size(request) in model.modes[mode].rows()
    assert model.price is None or model.quote(request).micros >= 0
    assert request.seconds == (seconds or model.default_seconds or min(model.seconds))
    assert request.shape is (shape or Shape.LANDSCAPE)
    assert request.quality is None if not model.qualities else request.quality in model.qualities
    assert (request.keep_watermark is None) == (model.watermark_field is None)


@pytest.mark.parametrize("model", [SORA, PRO, PIXAZO], ids=lambda model: model.model_id)
@pytest.mark.parametrize("mode", Mode)
def test_an_order_of_nothing_in_particular_is_short_wide_and_720p(model: Model, mode: Mode) -> None:
    assert model.request(mode=mode, prompt="a fox") == VideoRequest(
        model=model.model_id,
        mode=mode,
        prompt="a fox",
        seconds=min(model.seconds),
        shape=Shape.LANDSCAPE,
        quality=Quality.P720 if model.qualities else None,
        keep_watermark=False if model.watermark_field else None,
    )


@pytest.mark.parametrize(
    ("model", "wish", "sentence"),
    [
        (PRO, {"seconds": 10}, "apixo/sora-2-pro makes clips of 4, 8 or 12 seconds, not 10."),
        (SORA, {"seconds": 4}, "apixo/sora-2 makes clips of 10 or 15 seconds, not 4."),
        (SORA, {"seconds": 0}, "apixo/sora-2 makes clips of 10 or 15 seconds, not 0."),
        (
            SORA,
            {"quality": Quality.P1080},
            "apixo/sora-2 has no choice of quality; leave `quality` out or choose another model.",
        ),
        (
            PIXAZO,
            {"keep_watermark": False},
            "pixazo/sora-2-pro has no option `keep_watermark`; leave it out or choose another model.",
        ),
        (PRO, {"prompt": ""}, "The prompt is empty. apixo/sora-2-pro takes 1 to 5,000 characters."),
        (PRO, {"prompt": " \n\u3000"}, "The prompt is empty. apixo/sora-2-pro takes 1 to 5,000 characters."),
        (
            PRO,
            {"prompt": "\u200b\u2060\ufe0f\u3164"},
            "The prompt is empty. apixo/sora-2-pro takes 1 to 5,000 characters.",
        ),
        (
            PRO,
            {"prompt": "x" * 5_001},
            "The prompt has 5,001 characters; apixo/sora-2-pro takes at most 5,000.",
        ),
    ],
)
def test_what_a_model_has_not_is_refused_with_what_it_has(
    model: Model, wish: dict[str, object], sentence: str
) -> None:
    with pytest.raises(BadOrder) as refused:
        model.request(**{"mode": Mode.TEXT, "prompt": "a fox"} | wish)  # pyright: ignore[reportArgumentType]

    assert str(refused.value) == sentence


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.model_id)
@pytest.mark.parametrize("character", ["x", "é", "🦊", "e\u0301", "👩\u200d🚀", "字"])
def test_a_prompt_is_counted_in_code_points(model: Model, character: str) -> None:
    fitting = (character * model.prompt_limit)[: model.prompt_limit]

    assert model.request(mode=Mode.TEXT, prompt=fitting).prompt == fitting
    with pytest.raises(BadOrder, match=f"{model.prompt_limit + 1:,} characters"):
        model.check_prompt(fitting + "x")


NARROW = """
[models."apixo/narrow"]
title = "Narrow"
gateway = "apixo"
remote_id = "narrow"
status = "available"
noted_on = 2026-11-21
source = "a page"
seconds = [6]
prompt_limit = 100
link_hours = 24
limits = { requests_per_minute = 60, concurrent_tasks = 10 }
timing = { first_look_seconds = 60, typical_seconds = 90 }
[models."apixo/narrow".modes.text-to-video]
sizes = [ { shape = "portrait", quality = "1080p", send = { size = "1024*1792" } } ]
[models."apixo/narrow".price]
unit = "video"
rows = [ { usd = "1.00" } ]
"""


def test_a_model_of_one_mode_shape_and_quality_takes_those_as_its_defaults(path: Path) -> None:
    model = load(path, NARROW)["apixo/narrow"]

    request = model.request(mode=Mode.TEXT, prompt="a fox")

    assert (request.shape, request.quality) == (Shape.PORTRAIT, Quality.P1080)
    with pytest.raises(BadOrder, match="makes portrait clips, not landscape"):
        model.request(mode=Mode.TEXT, prompt="a fox", shape=Shape.LANDSCAPE)
    with pytest.raises(BadOrder, match="has 1080p"):
        model.request(mode=Mode.TEXT, prompt="a fox", quality=Quality.P720)
    with pytest.raises(BadOrder, match=r"makes text-to-video only\. Leave the picture out"):
        model.request(mode=Mode.IMAGE, prompt="a fox")


# The operator's file


def test_an_operators_file_is_merged_key_by_key(path: Path) -> None:
    merged = load(path, '[models."apixo/sora-2-pro"]\nstatus = "retired"\nlimits.concurrent_tasks = 3')

    changed = merged["apixo/sora-2-pro"]
    assert (changed.status, changed.note) == ("retired", PRO.note)
    assert (changed.limits.concurrent_tasks, changed.limits.requests_per_minute) == (3, 60)
    assert changed.price == PRO.price
    assert [model for name, model in merged.items() if model != SHIPPED[name]] == [changed]


def test_a_price_is_replaced_whole(path: Path) -> None:
    text = '[models."apixo/sora-2".price]\nunit = "second"\nrows = [ { usd = "0.1" } ]'

    price = load(path, text)["apixo/sora-2"].price

    assert (price.unit, price.estimate, len(price.rows)) == (
        "second",
        False,
        1,
    )  # the shipped one is an estimate


def test_what_an_operator_changes_in_a_model_changes_no_other(path: Path) -> None:
    merged = load(
        path,
        """
        [models."apixo/sora-2"]
        seconds = [5]
        [models."apixo/sora-2".price]
        unit = "video"
        rows = [ { seconds = 5, usd = "0.20" } ]
        """,
    )

    assert merged["apixo/sora-2"].seconds == (5,)
    assert merged["sandbox/sora-2"] == SHIPPED["sandbox/sora-2"]


def test_a_new_model_is_data_alone(path: Path) -> None:
    merged = load(
        path,
        """
        [models."apixo/next"]
        like = "apixo/sora-2-pro"
        remote_id = "next"
        title = "Next"
        status = "available"
        seconds = [6]
        [models."apixo/next".price]
        unit = "second"
        rows = [ { usd = "0.033333" } ]
        [models."apixo/later"]
        like = "apixo/next"
        title = "Later"
        """,
    )

    assert list(merged)[-2:] == ["apixo/next", "apixo/later"]
    later = merged["apixo/later"]
    assert (later.remote_id, later.title, later.modes) == ("next", "Later", PRO.modes)
    assert later.quote(later.request(mode=Mode.IMAGE, prompt="a fox")).micros == 199_998


def test_an_empty_file_and_one_with_a_byte_order_mark_are_fine(path: Path) -> None:
    assert load(path, "") == SHIPPED
    assert load(path, '\ufeff[models."apixo/sora-2"]\nstatus = "retired"')["apixo/sora-2"].status == "retired"


PRO_TABLE = '[models."apixo/sora-2-pro"]'
SMALL_TABLE = '[models."apixo/small"]'
SMALL = f"""{SMALL_TABLE}
title = "Small"
remote_id = "small"
status = "available"
noted_on = 2026-11-21
source = "a page"
prompt_limit = 100
seconds = [5]"""
STUDIO_TABLE = '[gateways."studio"]'
STUDIO = "[gateways.studio]\nkind = 'videos'\nbase_url = 'http://gpu-box:30010/v1'\n"
WAN_TABLE = '[models."studio/wan"]'
ROWS = "[ { seconds = 4, usd = '1' }, { seconds = 8, usd = '2' }, { seconds = 12, usd = '3' } ]"

LOUD = "[ { sound = true, usd = '1' } ]"


def videos(dialect: str, mode: str) -> str:
    """A model on a server of the operator's own."""
    model = SMALL.replace(SMALL_TABLE, WAN_TABLE)
    return f"{STUDIO}dialect = '{dialect}'\n{model}\n[models.'studio/wan'.modes.text-to-video]\n{mode}"


PRICE = '[models."apixo/sora-2-pro".price]\nunit = "second"\n'


@pytest.mark.parametrize(
    ("text", "where", "why"),
    [
        (f"{PRICE}rows = [ {{ usd = 0.27 }} ]", f"{PRO_TABLE} price.rows.0.usd", "dollars in quotes"),
        (f"{PRICE}rows = [ {{ usd = 1 }} ]", f"{PRO_TABLE} price.rows.0.usd", "dollars in quotes"),
        (f'{PRICE}rows = [ {{ usd = "-1" }} ]', f"{PRO_TABLE} price.rows.0.usd", "dollars in quotes"),
        (
            f'{PRICE}rows = [ {{ usd = "0.0000001" }} ]',
            f"{PRO_TABLE} price.rows.0.usd",
            "at most six decimals",
        ),
        (f'{PRICE}rows = [ {{ usd = "1", size = 1 }} ]', f"{PRO_TABLE} price.rows.0.size", "is unknown"),
        (f"{PRICE}rows = []", f"{PRO_TABLE} price.rows", "must not be empty"),
        (f'{PRICE}estimate = 1\nrows = [ {{ usd = "1" }} ]', f"{PRO_TABLE} price.estimate", "boolean"),
        (
            f'{PRICE}rows = [ {{ quality = "720p", usd = "1" }} ]',
            f"{PRO_TABLE} price.rows",
            "no row fits 1080p; one must",
        ),
        (
            f'{PRICE}rows = [ {{ usd = "1" }}, {{ seconds = 8, usd = "2" }} ]',
            f"{PRO_TABLE} price.rows",
            "several rows fit 8 s; one must",
        ),
        (
            f"{PRO_TABLE}\nmodes.text-to-video.sizes = [ {{ send = {{}} }}, {{ send = {{}} }} ]",
            f"{PRO_TABLE} modes.text-to-video.sizes",
            "several rows fit every order",
        ),
        (f"{PRO_TABLE}\nlimit = 3", f"{PRO_TABLE} limit", "is unknown"),
        (f"{PRO_TABLE}\nseconds = [4, 4]", f"{PRO_TABLE} seconds", "each length once"),
        (f"{PRO_TABLE}\nseconds = []", f"{PRO_TABLE} seconds", "must not be empty"),
        (f"{PRO_TABLE}\nseconds = [true]", f"{PRO_TABLE} seconds.0", "valid integer"),
        (f"{PRO_TABLE}\nseconds = [0]", f"{PRO_TABLE} seconds.0", "greater than 0"),
        (f"{PRO_TABLE}\nseconds = 4", f"{PRO_TABLE} seconds", "must be a list"),
        (f'{PRO_TABLE}\nlimits.concurrent_tasks = "10"', f"{PRO_TABLE} limits.concurrent_tasks", "integer"),
        (
            f"{PRO_TABLE}\ntiming.first_look_seconds = 0",
            f"{PRO_TABLE} timing.first_look_seconds",
            "greater than 0",
        ),
        (
            f'{PRO_TABLE}\ngateway = "elsewhere"',
            f"{PRO_TABLE} gateway",
            "there is no gateway 'elsewhere'; there are apixo, pixazo, ",
        ),
        (f"{PRO_TABLE}\ngateway = 3", f"{PRO_TABLE} gateway", "there is no gateway 3"),
        (
            '[models."studio/wan"]\nlike = "apixo/sora-2"',
            '[models."studio/wan"] gateway',
            "no gateway 'studio'",
        ),
        (f'{PRO_TABLE}\naccount = "real"', f"{PRO_TABLE} account", "take it out"),
        ('[models."apixo/Sora-2"]\nlike = "apixo/sora-2"', '[models."apixo/Sora-2"]', "but for capitals"),
        (f'{PRO_TABLE}\nstatus = "fine"', f"{PRO_TABLE} status", "'available'"),
        (f'{PRO_TABLE}\nmodel_id = "other"', f"{PRO_TABLE} model_id", "take it out"),
        (
            f"{PRO_TABLE}\nmodes.video-to-video.sizes = []",
            f"{PRO_TABLE} modes.video-to-video",
            "image-to-video",
        ),
        (
            f'{PRO_TABLE}\nmodes.text-to-video.picture = "link"',
            f"{PRO_TABLE} modes.text-to-video.picture",
            "is unknown",
        ),
        (
            f'{PRO_TABLE}\nmodes.text-to-video.path = "/elsewhere"',
            f"{PRO_TABLE} modes.text-to-video.path",
            "take it out",
        ),
        (
            f'{PRO_TABLE}\nmodes.text-to-video.path = "//elsewhere.example/"',
            f"{PRO_TABLE} modes.text-to-video.path",
            "must begin with one /",
        ),
        (f'{PRO_TABLE}\ngateway = "pixazo"', f"{PRO_TABLE} modes.text-to-video.path", "is missing"),
        (f'{PRO_TABLE}\nlike = "nobody"', f"{PRO_TABLE} like", "no entry 'nobody'"),
        (f"{PRO_TABLE}\nlike = 3", f"{PRO_TABLE} like", "no entry 3"),
        (f'{PRO_TABLE}\nlike = "apixo/sora-2-pro"', f"{PRO_TABLE} like", "is itself like this one"),
        (
            '[models.a]\nlike = "b"\n[models.b]\nlike = "c"\n[models.c]\nlike = "a"',
            '[models."c"] like',
            "'a' is itself like this one",
        ),
        ('[models."apixo/new"]\ntitle = "New"', '[models."apixo/new"] remote_id', "is missing"),
        ('[models."apixo/new"]\ntitel = "New"', '[models."apixo/new"] titel', "is unknown"),
        ('[models.apixo.new]\nlike = "apixo/sora-2"', '[models."apixo"] new', "is unknown"),
        (
            '[models."apixo/a b"]\nlike = "apixo/sora-2"',
            '[models."apixo/a b"] model_id',
            "at most 80 characters",
        ),
        (
            '[models."apixo/a*b"]\nlike = "apixo/sora-2"',
            '[models."apixo/a*b"] model_id',
            "without spaces and `*~",
        ),
        ('[models."apixo/a,b"]\nlike = "apixo/sora-2"', '[models."apixo/a,b"] model_id', "|,<>"),
        # What contradicts itself
        (
            f"{PRO_TABLE}\nseconds = [4, 8, 12, 16]\nprice = {{ unit = 'video', rows = {ROWS} }}",
            f"{PRO_TABLE} price.rows",
            "no row fits 16 s; one must",
        ),
        (f"{PRO_TABLE}\ndefault_seconds = 5", f"{PRO_TABLE} default_seconds", "none of `seconds`"),
        (f"{PRO_TABLE}\nrequest = 3", f"{PRO_TABLE} request", "must be a table"),
        (f"{PRO_TABLE}\nrequest.length.form = 'days'", f"{PRO_TABLE} request.length.form", "'integer'"),
        (f"{PRO_TABLE}\nrequest.length.form = 'frames'", f"{PRO_TABLE} request.length", "rate: belongs to"),
        (f"{PRO_TABLE}\nrequest.length.rate = 24", f"{PRO_TABLE} request.length", "rate: belongs to"),
        (
            f"{PRO_TABLE}\nrequest.send = {{ a = [1] }}",
            f"{PRO_TABLE} request.send.a",
            "text, a number, true or false",
        ),
        (
            f"{PRO_TABLE}\nrequest.send = {{ a = nan }}",
            f"{PRO_TABLE} request.send.a",
            "text, a number, true or false",
        ),
        (
            f"{PRO_TABLE}\nrequest.send = {{ 'a b' = 1 }}",
            f"{PRO_TABLE} request.send.a b",
            "letters, digits and _",
        ),
        (
            f"{PRO_TABLE}\nrequest.send = {{ duration = 4 }}",
            PRO_TABLE,
            "request.send: 'duration' is named by request.length.field already",
        ),
        (
            f"{PRO_TABLE}\nmodes.text-to-video.send = {{ prompt = 'a fox' }}",
            PRO_TABLE,
            "modes.text-to-video.send: 'prompt' is named by request.prompt already",
        ),
        (
            f"{PRO_TABLE}\noptions.seed = {{ field = 'seed', least = 9, most = 1 }}",
            f"{PRO_TABLE} options.seed",
            "least: is more than `most`",
        ),
        (
            f"{PRO_TABLE}\noptions.seed = {{ field = 'seed', most = 9007199254740992 }}",
            f"{PRO_TABLE} options.seed.most",
            "less than or equal",
        ),
        (
            f"{PRO_TABLE}\noptions.style = {{ field = 'style', words = [''] }}",
            f"{PRO_TABLE} options.style.words.0",
            "must hold something to see",
        ),
        (
            f"{PRO_TABLE}\noptions.style = {{ field = 'style', words = [' '] }}",
            f"{PRO_TABLE} options.style.words.0",
            "must hold something to see",
        ),
        (
            f"{PRO_TABLE}\noptions.style = {{ field = 'style', words = ['{'x' * 101}'] }}",
            f"{PRO_TABLE} options.style.words.0",
            "at most 100",
        ),
        (
            f"{PRO_TABLE}\noptions.style = {{ field = 'style', words = ['a', 'a'] }}",
            f"{PRO_TABLE} options.style",
            "words: each look once",
        ),
        (f"{PRO_TABLE}\nremote_id = ''", f"{PRO_TABLE} remote_id", "must not be empty"),
        (f"{PRO_TABLE}\ntitle = ''", f"{PRO_TABLE} title", "must not be empty"),
        (f"{PRO_TABLE}\nlink_hours = 1_000_001", f"{PRO_TABLE} link_hours", "less than or equal"),
        (
            f"{PRO_TABLE}\noptions.seed.field = 'prompt'",
            f"{PRO_TABLE} options.seed.field",
            "'prompt' is named by request.prompt already",
        ),
        (
            f"{PRO_TABLE}\nwatermark_field = 'duration'",
            f"{PRO_TABLE} watermark_field",
            "'duration' is named by request.length.field already",
        ),
        (
            f"{PRO_TABLE}\noptions.end_frame.field = 'image_urls'",
            f"{PRO_TABLE} options.end_frame.field",
            "'image_urls' is named by request.picture.field already",
        ),
        (
            f"{PRO_TABLE}\noptions.end_frame = {{}}\nrequest.picture.form = 'text'",
            f"{PRO_TABLE} options.end_frame.field",
            "is missing",
        ),
        (
            f"{PRO_TABLE}\noptions.sound.field = 's'\nprice = {{ unit = 'video', rows = {LOUD} }}",
            f"{PRO_TABLE} price.rows",
            "no row fits silent; one must",
        ),
        (
            f"{PRO_TABLE}\nprice = {{ unit = 'second', rows = {LOUD} }}",
            f"{PRO_TABLE} price.rows",
            "no row fits no choice of sound; one must",
        ),
        (
            f"{PRO_TABLE}\nprice = {{ unit = 'gpu-second', rows = [ {{ usd = '1' }} ] }}",
            f"{PRO_TABLE} price",
            "gpu_seconds belongs to each row",
        ),
        (
            f"{PRO_TABLE}\nprice = {{ unit = 'video', rows = [ {{ usd = '1', gpu_seconds = 3 }} ] }}",
            f"{PRO_TABLE} price",
            "gpu_seconds belongs to each row",
        ),
        (
            f"{PRO_TABLE}\nmodes.text-to-video.ratio = {{ field = 'a', words = {{ landscape = 'w' }} }}",
            f"{PRO_TABLE} modes.text-to-video",
            "sizes: says shape and quality",
        ),
        (
            f"{SMALL}\nmodes.text-to-video.ratio = {{ field = 'a', words = {{ wide = 'w' }} }}",
            f"{SMALL_TABLE} modes.text-to-video.ratio.words.wide",
            "'landscape'",
        ),
        (
            f"{SMALL}\nmodes.text-to-video.ratio = {{ field = 'prompt', words = {{ square = 's' }} }}",
            f"{SMALL_TABLE} modes.text-to-video.ratio.field",
            "named by request.prompt already",
        ),
        (
            f"{SMALL.removesuffix(']')}, 6]\nmodes.text-to-video = {{}}",
            f"{SMALL_TABLE} request.length",
            "more than one length",
        ),
        (
            f"{SMALL}\nmodes.image-to-video = {{}}",
            f"{SMALL_TABLE} request.picture",
            "say how the picture is sent",
        ),
        (
            f"{SMALL}\nrequest.picture.send = 'link'\nmodes.image-to-video = {{}}",
            f"{SMALL_TABLE} request.picture.field",
            "is missing",
        ),
        (
            f"{SMALL}\nmodes.text-to-video = {{}}\noptions.end_frame.field = 'end'",
            f"{SMALL_TABLE} options.end_frame",
            "belongs to image-to-video",
        ),
        (f"{SMALL}", f"{SMALL_TABLE} modes", "is missing"),
        (f"{SMALL}\nmodes = {{}}", f"{SMALL_TABLE} modes", "must not be empty"),
        # Gateways
        (
            f"{STUDIO}dialect = 'vllm'",
            f"{STUDIO_TABLE} dialect",
            "'vllm' is unknown; there are openai, sglang, ",
        ),
        (f"{STUDIO}", f"{STUDIO_TABLE} dialect", "is missing; kind videos has one of openai, "),
        (
            "[gateways.apixo]\ndialect = 'sglang'",
            '[gateways."apixo"] dialect',
            "belongs to kind videos, not to apixo",
        ),
        ("[gateways.studio]\nkind = 'sora'", f"{STUDIO_TABLE} kind", "'apixo', 'pixazo' or 'videos'"),
        ("[gateways.studio]\nkind = 'apixo'", f"{STUDIO_TABLE} base_url", "say where the gateway is"),
        ("[gateways.studio]\nkind = 'apixo'\nbase_url = 'gpu-box'", f"{STUDIO_TABLE} base_url", "valid URL"),
        (
            "[gateways.studio]\nkind = 'apixo'\nbase_url = 'https://me:secret@gpu-box/v1'",
            f"{STUDIO_TABLE} base_url",
            "must hold no name, password, ? or #: routes are put behind it, and it is shown",
        ),
        (
            "[gateways.studio]\nkind = 'apixo'\nbase_url = 'https://gpu-box/v1?key=secret'",
            f"{STUDIO_TABLE} base_url",
            "must hold no name, password, ? or #: routes are put behind it, and it is shown",
        ),
        (
            "[gateways.studio]\nkind = 'apixo'\nbase_url = 'https://gpu-box/v1#x'",
            f"{STUDIO_TABLE} base_url",
            "must hold no name, password, ? or #: routes are put behind it, and it is shown",
        ),
        (
            "[gateways.studio]\nkind = 'apixo'\nbase_url = 'ftp://gpu-box'",
            f"{STUDIO_TABLE} base_url",
            "'http' or 'https'",
        ),
        (f"{STUDIO}dialect = 'openai'\nkey_env = 'A KEY'", f"{STUDIO_TABLE} key_env", "the variable"),
        (f"{STUDIO}dialect = 'openai'\nkey = 'secret'", f"{STUDIO_TABLE} key", "is unknown"),
        (f"{STUDIO}dialect = 'openai'\nwhere = 'here'", f"{STUDIO_TABLE} where", "take it out"),
        ("[gateways.studio]\nlike = 'nobody'", f"{STUDIO_TABLE} like", "no entry 'nobody'"),
        ("[gateways.Apixo]\nlike = 'apixo'", '[gateways."Apixo"]', "named like 'apixo', but for capitals"),
        ("[gateways.'a b']\nlike = 'apixo'", '[gateways."a b"] name', "small letters"),
        ("[gateways]\nstudio = 3", f"{STUDIO_TABLE}", "must be a table"),
        ("gateways = 3", "gateways", "must be tables"),
        ("[gateways.a]\nkind = 'apixo'\n[gateways.a]", "[gateways.a] is not TOML", "twice (at line 3"),
        (
            "[gateways.a]\n  [gateways.a.limits]\n  open_jobs 3",
            "[gateways.a.limits] is not TOML",
            "at line 3",
        ),
        # Files
        (
            f"{PRO_TABLE}\nrequest.picture = {{ send = 'file', form = 'object' }}",
            f"{PRO_TABLE} request.picture",
            'a file cannot be wrapped in "object"',
        ),
        (
            f"{PRO_TABLE}\nrequest.picture.send = 'file'",
            f"{PRO_TABLE} request.picture.send",
            "apixo takes no files",
        ),
        (
            f"{PRO_TABLE}\nrequest.picture.send = 'file'\nrequest.content = 'content'",
            f"{PRO_TABLE} request",
            "a file cannot stand in the list 'content'",
        ),
        # Sizes that a dialect has no words for
        (
            videos("openrouter", "sizes = [ { pixels = [1280, 720] } ]"),
            f"{WAN_TABLE} modes.text-to-video.sizes",
            "openrouter has no field for pixels",
        ),
        (
            videos("sglang", "ratio = { field = 'ratio', words = { landscape = '16:9' } }"),
            f"{WAN_TABLE} modes.text-to-video.ratio",
            "sglang takes pixels",
        ),
        (
            videos("openai", "resolution = { field = 'a', words = { 720p = '720p' } }"),
            f"{WAN_TABLE} modes.text-to-video.resolution",
            "openai takes pixels",
        ),
        (
            videos(
                "newapi", "sizes = [ { shape = 'landscape' }, { shape = 'portrait', pixels = [720, 1280] } ]"
            ),
            f"{WAN_TABLE} modes.text-to-video.sizes.0.pixels",
            "is missing; newapi takes pixels",
        ),
        (videos("vllm-omni", "path = '/videos'"), f"{WAN_TABLE} modes.text-to-video.path", "take it out"),
        # TOML itself
        ('[models]\n"apixo/sora-2" = 3', '[models."apixo/sora-2"]', "must be a table"),
        ("models = 3", "models", "must be tables"),
        ("models = []", "models", "must be tables"),
        ("[gateway.x]", "gateway", "unknown"),
        ("[models", "is not TOML", "at line 1"),
        ("[models.a]\nx = [\n1,", "is not TOML", "at end of document"),
        ("title = ", "title is not TOML", "Invalid value"),
        ("[models.a]\nx = 1\n'y z' = {\n}", "[models.a] 'y z' is not TOML", "at line 3"),
        (
            '[models."a/b"] # A = B\nx = 1\nx = 2',
            '[models."a/b"] x is not TOML',
            "overwrite a value (at line 3",
        ),
    ],
)
def test_a_wrong_file_is_refused_in_one_line_with_file_table_and_key(
    path: Path, text: str, where: str, why: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        load(path, text)

    line = str(refused.value)
    assert line.startswith(f"MODELS_FILE {path}: {where}")
    assert why in line
    assert "\n" not in line
    assert "Value error" not in line
    assert "pydantic" not in line
    assert refused.value.exit_code == 2


def test_a_file_that_cannot_be_read_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe[models]")

    for name, why in (("nowhere", "No such file"), ("", "Is a directory"), ("binary", "UTF-8")):
        with pytest.raises(SettingsError, match=rf"^MODELS_FILE {tmp_path}.*{why}"):
            load_catalogue(tmp_path / name)


# What README.md and docs/gateways.md say

ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "docs" / "gateways.md").read_text("utf-8")


def examples(document: str) -> str:
    return "\n".join(re.findall(r" *```toml\n(.*?)```", document, re.DOTALL))


def test_the_readmes_examples_are_entries_that_can_be_ordered(path: Path) -> None:
    own = load(path, textwrap.dedent(examples((ROOT / "README.md").read_text("utf-8"))))

    wan, kling = own["studio/wan"], own["apixo/kling-3-0-turbo"]
    assert {wan.quote(order).micros for order in wan.orders()} == {33 * 600}
    assert {kling.quote(order).micros // order.seconds for order in kling.orders()} == {100_000, 150_000}
    assert own["pixazo/sora-2-pro"].status == "retired"


def test_the_readme_names_every_model_that_costs_money_or_is_free() -> None:
    shipped = [name for name, model in SHIPPED.items() if model.account is Account.REAL]
    readme = (ROOT / "README.md").read_text("utf-8")

    assert [name for name in shipped if f"`{name}`" not in readme] == []


def test_the_guides_examples_are_entries_that_can_be_ordered(path: Path) -> None:
    own = load(path, examples(GUIDE))

    new = [model for name, model in own.items() if name not in SHIPPED]
    assert {model.gateway for model in new} >= {"apixo", "pixazo", "studio"}
    for model in new:
        assert all(model.quote(order).micros > 0 for order in model.orders())


@pytest.mark.parametrize(
    "table",
    [
        GatewaySpec,
        Model,
        Request,
        Length,
        PictureField,
        ModeSpec,
        Size,
        Options,
        Price,
        PriceRow,
        Limits,
        Timing,
    ],
    ids=lambda table: table.__name__,
)
def test_the_guide_names_every_key(table: type[pydantic.BaseModel]) -> None:
    told = GUIDE.partition("## What a gateway's")[2]
    not_the_files = {"name", "model_id", "account", "where", "is_shipped"}
    keys = {field.alias or name for name, field in table.model_fields.items()} - not_the_files

    assert {key for key in keys if not re.search(rf"`{key}[`. ]|\*\*`{key}[`.]|`\[{key}", told)} == set()
