"""Drift: what gateways say otherwise than the catalogue, over real HTTP, and every way of saying nothing."""

import datetime as dt
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bot import drift, models_command
from bot.catalogue_tables import load_catalogue
from bot.config import Settings
from bot.inventory import Inventory, Told
from tests.acting import make_operator
from tests.fake_apixo import FakeApixo
from tests.gateway_server import Answer, HostileServer, Script, Seen, answer, closed_port, serving
from tests.world import open_world

KEY = "key-of-the-router"
TODAY = dt.datetime(2026, 11, 21, tzinfo=dt.UTC)
FINE = "ok    router answers and does not refuse the key; it tells no balance."
SAME = "ok    router lists its models as the catalogue has them."

ENTRY = """
[models."router/veo"]
title = "Veo"
remote_id = "google/veo-3.1"
status = "available"
noted_on = 2026-11-21
source = "OpenRouter, Veo 3.1: https://openrouter.ai/google/veo-3.1"
seconds = [4, 8]
prompt_limit = 1000

[models."router/veo".modes.text-to-video]
ratio = { field = "aspect_ratio", words = { landscape = "16:9", portrait = "9:16" } }
resolution = { field = "resolution", words = { 720p = "720p", 1080p = "1080p" } }

[models."router/veo".modes.image-to-video]
resolution = { field = "resolution", words = { 720p = "720p", 1080p = "1080p" } }

[models."router/veo".options]
sound = { field = "generate_audio" }
seed = { field = "seed" }
end_frame = {}
"""
PRICE = """
[models."router/veo".price]
unit = "second"
rows = [
  { quality = "720p", sound = true, usd = "0.40" },
  { quality = "720p", sound = false, usd = "0.20" },
  { quality = "1080p", usd = "0.60" },
]
"""
LISTED = {
    "id": "google/veo-3.1",
    "supported_durations": [4, 8],
    "supported_resolutions": ["720p", "1080p"],
    "supported_aspect_ratios": ["16:9", "9:16"],
    "supported_frame_images": ["first_frame", "last_frame"],
    "supported_sizes": None,
    "generate_audio": True,
    "seed": True,
    "pricing_skus": {
        "duration_seconds_with_audio_720p": "0.40",
        "duration_seconds_without_audio_720p": "0.20",
        "duration_seconds_1080p": 0.6,
    },
}


def router(port: int, dialect: str = "openrouter") -> str:
    return (
        f'[gateways.router]\nkind = "videos"\nbase_url = "http://127.0.0.1:{port}/v1"\n'
        f'key_env = "ROUTER_KEY"\ndialect = "{dialect}"\n'
    )


def listing(*entries: object) -> Answer:
    return answer(200, {"object": "list", "data": list(entries)})


def says(models: Answer, task: Answer | None = None, path: str = "/v1/videos/models") -> Script:
    """A server that gives this list, and knows no task."""
    unknown = task or answer(404, {"error": {"message": "no such video"}})
    return lambda seen: models if seen.path == path else unknown


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROUTER_KEY", KEY)


async def checked(toml: str, *, now: dt.datetime = TODAY, seconds: float = 5.0, **settings: Any) -> list[str]:
    """What `models check` writes with this MODELS_FILE; its last line says what its result does."""
    file, out = Path("models.toml"), io.StringIO()
    file.write_text(toml)
    is_same = await models_command.check(
        Settings(models_file=file, **settings), out, clock=lambda: now, answer_seconds=seconds
    )
    *lines, last = out.getvalue().splitlines()
    assert is_same is (last == "Nothing differs.")
    assert is_same is all(line.startswith("ok  ") for line in lines)
    assert KEY not in out.getvalue()
    return lines


async def told(listed: Mapping[str, object], toml: str = ENTRY + PRICE) -> list[str]:
    """What is told of the model when the gateway lists it so."""
    async with serving(says(listing(listed))) as server:
        first, *lines = await checked(router(server.port) + toml)
    assert first == FINE
    return lines


# What differs


def limit(ours: str, theirs: str, out: str) -> str:
    return (
        f"WARN  router/veo: the catalogue has the {ours}; router takes {theirs}. "
        f"Take {out} out of its entry in MODELS_FILE: such orders are refused there."
    )


def lack(feature: str) -> str:
    return (
        f"WARN  router/veo: the catalogue has {feature}; router has none for it. "
        "Take it out of its entry in MODELS_FILE: such orders are refused there."
    )


def gone(instead: str) -> str:
    return (
        "BAD   router/veo: the catalogue orders it as `google/veo-3.1`, which is not in the list of "
        f'router{instead}. Correct its remote_id in MODELS_FILE, or set status = "retired".'
    )


def more(what: str) -> str:
    return f"ok    router/veo: router also takes the {what}."


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        ({}, [SAME]),
        ({"supported_durations": [4, 6]}, [limit("lengths 4, 8", "4, 6", "8"), more("lengths 6")]),
        ({"supported_durations": [4, 8, 12]}, [more("lengths 12")]),
        ({"supported_resolutions": ["720P"]}, [limit("resolutions 720p, 1080p", "720p", "1080p")]),
        (
            {"supported_aspect_ratios": ["16:9", "1:1"]},
            [limit("ratios 16:9, 9:16", "1:1, 16:9", "9:16"), more("ratios 1:1")],
        ),
        (
            {"supported_frame_images": ["first_frame"], "seed": False},
            [lack("a seed"), lack("an end frame")],
        ),
        (
            {"supported_frame_images": [], "generate_audio": False},
            [lack("a choice of sound"), lack("a picture to begin with"), lack("an end frame")],
        ),
        ({"id": "google/veo-3.1-pro"}, [gone("; it has `google/veo-3.1-pro`")]),
        ({"id": "kling"}, [gone("")]),
    ],
)
async def test_what_a_gateway_says_of_a_model_is_compared(changes: dict[str, Any], lines: list[str]) -> None:
    assert await told({**LISTED, **changes}) == lines


@pytest.mark.parametrize(
    ("skus", "dearer"),
    [
        ({"duration_seconds": "0.60"}, ["720p with", "720p without"]),
        (
            {"duration_seconds_720p_with_audio": "0.41", "duration_seconds": "0.60"},
            ["720p with", "720p without"],
        ),
        ({"cents_per_second_output_1080p": "60", "cents_per_second_output_720p": "40"}, ["720p without"]),
        ({"cents_per_video_output_second_1080p": 61}, ["1080p with", "1080p without"]),
        ({"image_to_video_duration_seconds_1080p": "0.7"}, ["1080p with", "1080p without"]),
        ({"per-video-second": "0.60", "per-video-second-1080p": "0.60"}, ["720p with", "720p without"]),
        (
            {"duration_seconds_with_audio": "0.40", "duration_seconds_720p": "0.20"},
            ["1080p with"],
        ),  # unclear at 720p
        ({"duration_seconds_1080p": "0.1", "minimum_cents_per_generation": "240"}, []),
        ({"video_tokens": "0.000007", "duration_seconds_of_something": "9", "reference_images": "1"}, []),
        ({"duration_seconds": "NaN"}, []),
        ({"duration_seconds": "1e999999"}, []),
        ({"duration_seconds": True, "duration_seconds_720p": [1], "duration_seconds_1080p": "-1"}, []),
        ("0.40", []),
        (None, []),
    ],
)
async def test_prices_by_the_second_are_compared_as_far_as_they_are_told(
    skus: object, dearer: list[str]
) -> None:
    lines = await told({**LISTED, "pricing_skus": skus})
    if not dearer:
        assert lines == [SAME]
        return
    (line,) = lines
    assert line.startswith("WARN  router/veo: ")
    assert line.endswith(" Set its price anew in MODELS_FILE.")
    kinds = ("720p with", "720p without", "1080p with", "1080p without")
    assert [kind for kind in kinds if f"in {kind} sound" in line] == dearer


async def test_a_price_that_changed_names_a_clip_and_both_amounts() -> None:
    skus = {**LISTED["pricing_skus"], "duration_seconds_1080p": "0.48"}  # type: ignore[dict-item]
    (line,) = await told({**LISTED, "pricing_skus": skus})
    assert (
        "text-to-video of 4 s in 1080p without sound costs $2.40 by the catalogue and $1.92 by router" in line
    )
    assert "; and 1 more differ" in line

    (line, unpriced) = await told(LISTED, toml=ENTRY)
    assert line.startswith(
        "ok    router/veo has no price here: text-to-video of 4 s in 720p without sound costs $0.80"
    )
    assert unpriced == "ok    Without a price, and not to be ordered: router/veo."


async def test_a_machine_of_ones_own_has_no_price_to_compare() -> None:
    price = (
        '[models."router/veo".price]\nunit = "gpu-second"\nrows = [ { usd = "0.001", gpu_seconds = 90 } ]\n'
    )
    assert await told(LISTED, toml=ENTRY + price) == [SAME]


async def test_what_is_retired_is_not_looked_for() -> None:
    toml = ENTRY.replace('"available"', '"retired"') + PRICE
    assert await told({"id": "kling"}, toml=toml) == [SAME]


@pytest.mark.parametrize("dialect", ["openai", "sglang", "vllm-omni", "newapi"])
async def test_other_servers_are_asked_for_the_names_of_their_models(dialect: str) -> None:
    named = {"id": "google/veo-3.1", "object": "model", "created": 1, "owned_by": "me"}
    async with serving(says(listing(named), path="/v1/models")) as server:
        size = 'sizes = [ { shape = "landscape", pixels = [1280, 720] } ]'
        toml = "\n".join(line for line in ENTRY.splitlines() if not line.startswith(("ratio", "end_frame")))
        toml = toml.replace(
            'resolution = { field = "resolution", words = { 720p = "720p", 1080p = "1080p" } }', size
        )
        assert (await checked(router(server.port, dialect) + toml))[:2] == [FINE, SAME]
        assert {one.path for one in server.requests} >= {"/v1/models"}
        assert {one.headers["authorization"] for one in server.requests} == {f"Bearer {KEY}"}


# What is no list


def deep(levels: int) -> bytes:
    return b'{"data": ' + b"[" * levels + b"]" * levels + b"}"


@pytest.mark.parametrize(
    ("models", "line"),
    [
        (answer(404, {"detail": "Not Found"}), "ok    router has no list of its models to compare with."),
        (answer(200, b"<html>welcome</html>"), "bad answer: HTTP 200: <html>welcome</html>"),
        (answer(200, []), "bad answer: HTTP 200: []"),
        (answer(200, {"data": {"id": "google/veo-3.1"}}), "no list of models"),
        (answer(200, {"data": []}), "no list of models"),
        (
            answer(200, {"data": [None, 1, "google/veo-3.1", {"id": None}, {"id": ["x"]}]}),
            "no list of models",
        ),
        (answer(200, {"data": [{"id": f"m{n}"} for n in range(5001)]}), "no list of models"),
        (answer(200, {"error": {"message": f"no list for {KEY}"}}), "no list of models: no list for [key]"),
        (answer(200, deep(100_000)), "bad answer"),
        (Answer(raw=b"HTTP/1.1 200 OK\r\n\r\n", end="endless"), "bad answer"),
        (answer(302, b"", {"Location": "/v1/elsewhere"}), "HTTP 302"),
        (answer(500, {"error": "oops"}), "HTTP 500: oops"),
        (answer(429, {"error": "slow down"}), "slow down"),
        (Answer(), "ServerDisconnectedError"),
        (Answer(raw=b"", end="hang"), "no answer within 0.3 s"),
        (
            Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n{", end="trickle"),
            "no answer within 0.3 s",
        ),
    ],
)
async def test_a_list_that_is_none_is_told_and_harms_nothing(models: Answer, line: str) -> None:
    async with serving(says(models)) as server:
        first, second = await checked(router(server.port) + ENTRY + PRICE, seconds=0.3)
        assert first == FINE
        assert line in second
        if not line.startswith("ok"):
            assert second.startswith("WARN  The list of models of router cannot be read: `")
        assert "/v1/elsewhere" not in [one.path for one in server.requests]


async def test_strange_values_in_a_list_say_nothing() -> None:
    strange = {
        "id": "google/veo-3.1",
        "supported_durations": ["4", True, -1, 10**12, None],
        "supported_resolutions": [720, "\u202e", "x" * 10_000],
        "supported_aspect_ratios": {"16:9": True},
        "supported_frame_images": "first_frame",
        "generate_audio": "no",
        "seed": 0,
        "pricing_skus": {"duration_seconds": {"usd": 1}},
    }
    filler = {"id": f"a model named {KEY}", "note": "x" * 2 * 1024 * 1024}  # more than other answers may have
    async with serving(says(listing(strange, filler))) as server:
        assert await checked(router(server.port) + ENTRY + PRICE) == [FINE, SAME]


# Who does not answer, or refuses the key


async def test_a_server_that_tells_no_task_from_no_route_may_be_asked_at_the_wrong_place() -> None:
    async with serving(answer(404, {"detail": "Not Found"})) as server:
        (line,) = await checked(router(server.port).replace("/v1", "") + ENTRY + PRICE)
    assert line == (
        "WARN  router answers `Not Found` to all that it is asked. Check its base_url: it goes up to what "
        "stands before `/videos`, which is `/v1` nearly everywhere."
    )


async def test_a_gateway_that_cannot_be_reached_is_told_once() -> None:
    (line,) = await checked(router(closed_port()) + ENTRY + PRICE)
    assert line.startswith("BAD   router does not answer as it should: `ClientConnectorError")


async def test_a_key_that_is_refused_is_told_once_and_what_is_public_is_compared_all_the_same() -> None:
    no = answer(401, {"error": {"message": f"{KEY} is no key"}})
    refused = (
        "BAD   router refuses the key: `[key] is no key`. Check its key in .env, the key_env that names it "
        "(without one no key is sent) and the account there, then restart the bot."
    )
    async with serving(no) as server:
        (line,) = await checked(router(server.port) + ENTRY + PRICE)
        assert line.startswith(refused)
        server.script = says(listing({**LISTED, "supported_durations": [4]}), task=no)
        line, other = await checked(router(server.port) + ENTRY + PRICE)
        assert line.startswith(refused)
        assert "router takes 4." in other


async def test_without_a_gateway_there_is_nobody_to_ask() -> None:
    (line,) = await checked("")
    assert line.startswith("WARN  No gateway that costs money is set up")


# The seed gateways


def apixo(gateway: HostileServer, lists: HostileServer) -> str:
    return (
        f'[gateways.apixo]\nbase_url = "{gateway.origin}/api/v1"\n'
        f'models_url = "{lists.origin}/docs/models/schemas/index.json"\n'
    )


def index(names: set[str]) -> Answer:
    """A list of schemas, in APIXO's shape."""
    models = [
        {"model_id": name, "slug": f"{name}-page", "category": "video", "schema_path": f"/x/{name}.json"}
        for name in sorted(names)
    ]
    return answer(200, {"schema_version": 1, "total_models": len(models), "models": models})


async def test_apixos_public_list_is_read_without_the_key_and_its_balance_with_it() -> None:
    mine = [model for model in load_catalogue().models.values() if model.gateway == "apixo"]
    names = {model.remote_id for model in mine}
    balance = answer(200, {"code": 200, "message": "success", "data": 74.87})
    async with serving(balance) as gateway, serving(index(names)) as lists:
        first, second, *_ = await checked(apixo(gateway, lists), apixo_api_key=KEY)
        assert first == "ok    apixo takes the key; $74.87 is left there."
        assert second == "ok    apixo lists its models as the catalogue has them."
        (asked,) = lists.requests
        assert not [value for value in asked.headers.values() if KEY in value]
        assert {one.path for one in gateway.requests} == {"/api/v1/apikeys/current-balance"}

        lists.script = index(names - {"sora-2"} | {"sora-2-5"})
        _, gone, *_ = await checked(apixo(gateway, lists), apixo_api_key=KEY)
        assert gone.startswith("BAD   apixo/sora-2: the catalogue orders it as `sora-2`")
        assert "; it has `sora-2-5`, `sora-2-pro`, `sora-2-5-page`." in gone

        gateway.script = answer(401, {"code": 401, "message": "Invalid or missing API key"})
        refused, gone, *_ = await checked(apixo(gateway, lists), apixo_api_key=KEY)
        assert refused.startswith("BAD   apixo refuses the key")
        assert gone.startswith("BAD   apixo/sora-2: ")

        gateway.script = balance
        lists.requests.clear()
        elsewhere = f"{gateway.origin}/other/v1"  # of which the public list says nothing
        _, second, *_ = await checked(apixo(gateway, lists), apixo_api_key=KEY, apixo_base_url=elsewhere)
        assert second == "ok    apixo has no list of its models to compare with."
        assert lists.requests == []


async def test_pixazo_is_asked_for_a_request_that_nobody_made() -> None:
    def unknown(seen: Seen) -> Answer:
        assert seen.method == "GET"
        assert seen.path.startswith("/v2/requests/status/")
        return answer(404, {"error": "Not found"})

    async with serving(unknown) as server:
        first, second, *_ = await checked("", pixazo_api_key=KEY, pixazo_base_url=server.origin)
    assert first == "ok    pixazo answers and does not refuse the key; it tells no balance."
    assert second == "ok    pixazo has no list of its models to compare with."


# What is old


async def test_entries_older_than_90_days_are_named_with_their_source() -> None:
    async with serving(says(listing(LISTED))) as server:
        toml = router(server.port) + ENTRY + PRICE
        assert await checked(toml, now=TODAY + dt.timedelta(days=90)) == [FINE, SAME]
        (*_, line) = await checked(toml, now=TODAY + dt.timedelta(days=91))
        assert line == (
            "WARN  router/veo: its price and limits are of 2026-11-21, 91 days ago. Compare them with "
            "`OpenRouter, Veo 3.1: https://openrouter.ai/google/veo-3.1`, and set price and noted_on anew in "
            "MODELS_FILE."
        )


async def test_a_price_that_was_printed_long_before_the_entry_was_written_is_old() -> None:
    async with serving(says(listing(LISTED))) as server:
        (*_, line) = await checked(router(server.port) + ENTRY + PRICE + "noted_on = 2026-04-15\n")
        assert line.startswith("WARN  router/veo: its price and limits are of 2026-04-15, 220 days ago.")


def test_many_gone_models_of_a_long_list_are_found_fast() -> None:
    models = [model for model in load_catalogue().models.values() if model.gateway == "pixazo"]
    long = Inventory(models=dict.fromkeys((f"model-{number}" for number in range(5000)), Told()))
    assert len(drift.of_gateway("pixazo", models, long)) == len(models)


# The doctor


async def test_the_operators_doctor_tells_the_same_and_counts_what_is_old(tmp_path: Path) -> None:
    file = tmp_path / "models.toml"
    async with (
        serving(says(listing({**LISTED, "supported_durations": [8, 12]}))) as server,
        FakeApixo() as gateway,
    ):
        file.write_text(router(server.port) + ENTRY + PRICE)
        async with open_world(tmp_path / "data", gateway=gateway, models_file=file) as world:
            make_operator(world, world.staff)
            told = await world.ask("video-admin doctor", by=world.staff)
            assert "router/veo: the catalogue has the lengths 4, 8; router takes 8, 12." in told
            assert "-# Take 4 out of its entry in MODELS_FILE" in told
            assert "also takes" not in told
            assert "older than 90 days" not in told

            world.time.jump(hours=24 * 1000)
            told = await world.ask("video-admin doctor", by=world.staff)
            apixos = sum(model.gateway == "apixo" for model in load_catalogue().models.values())
            assert f"{apixos + 1} entries are older than 90 days: apixo/sora-2, apixo/sora-2-pro" in told
            assert told.count("older than 90 days") == 1
