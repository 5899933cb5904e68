"""`python -m bot models`, as an operator runs it: the table of the catalogue, and what the exit codes say."""

import asyncio
import logging
from collections.abc import Generator
from pathlib import Path

import pytest

from bot.__main__ import main
from tests.gateway_server import Script, answer, closed_port, serving

STUDIO = """
[gateways.studio]
kind = "videos"
base_url = "http://127.0.0.1:{port}/v1"
key_env = "{key_env}"
dialect = "sglang"

[models."studio/wan"]
title = "Wan"
remote_id = "wan-2.1"
status = "available"
noted_on = 2099-01-01
source = "Wan 2.1 on our own machine"
seconds = [2, 3, 4, 8]
prompt_limit = 1000

[models."studio/wan".modes.text-to-video]
sizes = [ {{ shape = "landscape", pixels = [832, 480] }} ]

[models."studio/wan".price]
unit = "gpu-second"
rows = [ {{ usd = "0.0008", gpu_seconds = 90 }} ]
"""


@pytest.fixture(autouse=True)
def _operators_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """A folder with no .env, and logging as it was."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MODELS_FILE", "models.toml")
    yield
    root.handlers[:], root.level = before


def put(port: int, key_env: str = "") -> None:
    Path("models.toml").write_text(STUDIO.format(port=port, key_env=key_env))


def table(out: str) -> dict[str, list[str]]:
    """The cells of each row by its first one; columns are two blanks apart."""
    rows = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in out.splitlines() if line]
    return {row[0]: row for row in rows}


def test_the_list_shows_the_catalogue_with_the_operators_file_and_asks_nobody(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("APIXO_API_KEY", "a-key-of-apixo")
    port = closed_port()
    put(port, key_env="STUDIO_KEY")

    assert main(["models", "list"]) == 0

    out = capsys.readouterr().out
    rows = table(out)
    assert rows["studio"] == [
        "studio",
        "videos (sglang)",
        f"http://127.0.0.1:{port}/v1",
        "STUDIO_KEY is not set",
        "1",
    ]
    assert "APIXO_API_KEY is set" in rows["apixo"]
    assert "a-key-of-apixo" not in out
    assert rows["sandbox-apixo"][1:4] == ["apixo", "the sandbox", "play money"]
    assert rows["studio/wan"] == [
        "studio/wan",
        "studio",
        "available",
        "text",
        "2-4, 8 s",
        "$0.0008 a GPU second",
        "2099-01-01",
        "Wan 2.1 on our own machine",
    ]
    assert rows["apixo/sora-2-pro"][2:6] == [
        "doubtful",
        "text, image",
        "4, 8, 12 s",
        "$0.27 to $0.45 a second",
    ]
    assert rows["apixo/sora-2"][5] == "about $0.50 to $0.75 a clip"
    assert rows["apixo/kling-3-0-turbo"][5] == "price unknown"
    assert rows["pixazo/ltx-free"][5] == "free"


async def run(*arguments: str) -> int:
    """Run the command beside the server that it asks."""
    return await asyncio.to_thread(main, arguments)


async def test_the_exit_code_of_the_check_says_whether_anything_differs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def has(name: str) -> Script:
        listed = answer(200, {"object": "list", "data": [{"id": name}]})
        return lambda seen: listed if seen.path == "/v1/models" else answer(404, {"detail": "no such video"})

    async with serving(has("wan-2.1")) as server:
        put(server.port)
        assert await run("models", "check") == 0
        assert capsys.readouterr().out.splitlines() == [
            "ok    studio answers and does not refuse the key; it tells no balance.",
            "ok    studio lists its models as the catalogue has them.",
            "Nothing differs.",
        ]
        assert [one.headers.get("authorization") for one in server.requests] == [None, None]

        server.script = has("wan-2.2")
        assert await run("models", "check") == 1
        out = capsys.readouterr().out
        assert "BAD   studio/wan: the catalogue orders it as `wan-2.1`" in out
        assert out.endswith("1 of these asks for something.\n")


async def test_what_a_check_cannot_do_without_is_refused_as_everywhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put(closed_port(), key_env="STUDIO_KEY")
    assert await run("models", "check") == 2
    assert "STUDIO_KEY is not set" in capsys.readouterr().err

    Path("models.toml").write_text('[gateways.studio]\nkind = "videos"\n')
    for what in ("list", "check"):
        assert await run("models", what) == 2
    assert 'MODELS_FILE models.toml: [gateways."studio"] dialect: is missing' in capsys.readouterr().err

    Path("models.toml").write_text('[gateways.pixazo]\nmodels_url = "https://pixazo.example/list"\n')
    assert await run("models", "list") == 2
    assert "models_url: belongs to kind apixo, not to pixazo" in capsys.readouterr().err

    monkeypatch.delenv("MODELS_FILE")
    with monkeypatch.context() as context:
        context.setenv("DEFAULT_MODEL", "apixo/sora-9")
        for what in ("list", "check"):
            assert await run("models", what) == 2
            assert "DEFAULT_MODEL: there is no 'apixo/sora-9'; there are" in capsys.readouterr().err

    assert await run("models", "check") == 1
    assert "WARN  No gateway that costs money is set up" in capsys.readouterr().out
    with pytest.raises(SystemExit) as usage:
        await run("models")
    assert usage.value.code == 2
