"""Logs: whatever is logged, however it got there, no secret is in the line."""

import asyncio
import base64
import contextvars
import html
import json
import logging
import re
from collections.abc import Callable, Generator
from urllib.parse import quote, quote_plus

import pytest

from bot import logs
from bot.redaction import HOOK_PREFIX, Redactor

TOKEN, KEY, AWKWARD = "MTk4.token", "MTk4.token-and-more", 'quo"te\\slash'
SECRETS = (TOKEN, KEY, AWKWARD)
FORMS = ["text", "json"]

log = logging.getLogger("bot.test")


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Generator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    levels = {
        name: logging.getLogger(name).level
        for name in ("discord", "aiosqlite", "PIL", "matplotlib", "alembic")
    }
    yield
    root.handlers[:], root.level = before
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def log_everything() -> None:
    log.info("the token is %s", TOKEN)
    log.warning("keys %r and %s", {"Authorization": f"Bearer {KEY}"}, AWKWARD)
    try:
        fail()
    except RuntimeError:
        log.exception("failed with %s", TOKEN)


def fail() -> None:
    try:
        int(AWKWARD)
    except ValueError as error:
        raise RuntimeError(f"key {KEY} of {AWKWARD}") from error


@pytest.mark.parametrize("form", FORMS)
def test_no_secret_is_written_neither_in_messages_nor_in_tracebacks(
    form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(level="info", form=form, secrets=SECRETS)  # pyright: ignore[reportArgumentType]

    log_everything()

    written = capsys.readouterr().err
    for secret in (*SECRETS, json.dumps(AWKWARD)[1:-1], "-and-more", "slash"):
        assert secret not in written
    assert written.count("[redacted]") >= 6
    assert "Traceback" in written
    assert "RuntimeError: key [redacted] of [redacted]" in written


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(level="info", form="json", secrets=SECRETS)

    log.info("line\nbreak \u2028 %s", "é")
    log_everything()

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["level"] for line in lines] == ["info", "info", "warning", "error"]
    assert lines[0]["message"] == "line\nbreak \u2028 é"
    assert lines[0]["logger"] == "bot.test"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", lines[0]["at"])
    assert lines[3]["error"].splitlines()[-1] == "RuntimeError: key [redacted] of [redacted]"


def test_text_names_time_level_and_logger(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(level="info", form="text", secrets=())

    log.info("job %s is done", "abc")

    line = capsys.readouterr().err
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO    bot\.test: job abc is done\n", line)


async def in_a_job(job_id: str) -> None:
    logs.about(job_id=job_id)
    log.info("submitted", extra={"task_id": "task 1", "tries": 2})
    await asyncio.create_task(deeper())


async def deeper() -> None:
    await asyncio.to_thread(logging.getLogger("discord.http").warning, "retried")


async def two_jobs() -> None:
    await asyncio.gather(*(asyncio.create_task(in_a_job(job_id)) for job_id in ("one", "two")))
    log.info("of neither")


def test_each_line_of_a_job_s_way_names_the_job_also_those_of_libraries(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure(level="info", form="json", secrets=())

    asyncio.run(two_jobs())

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    named = [(line["message"], line.get("job_id")) for line in lines]
    assert sorted(named[:-1]) == [
        ("retried", "one"),
        ("retried", "two"),
        ("submitted", "one"),
        ("submitted", "two"),
    ]
    assert named[-1] == ("of neither", None)
    assert [(line["task_id"], line["tries"]) for line in lines if line["message"] == "submitted"] == [
        ("task 1", 2)
    ] * 2


def test_text_writes_fields_behind_the_message_and_keeps_it_on_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure(level="info", form="text", secrets=(KEY,))

    def write() -> None:
        logs.about(job_id="abc")
        log.info(
            "said: %s", "no\n2026 a forged line", extra={"task_id": f"a {KEY}", "looks": 3, "none": None}
        )

    contextvars.Context().run(write)

    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(r'bot.test: said: no\n2026 a forged line job_id=abc task_id="a [redacted]" looks=3')


@pytest.mark.parametrize("form", FORMS)
def test_a_line_that_cannot_be_formatted_shows_no_arguments(
    form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(level="info", form=form, secrets=SECRETS)  # pyright: ignore[reportArgumentType]

    log.info("so many: %d", KEY)

    written = capsys.readouterr().err
    assert "a line could not be logged: 'so many: %d'" in written
    assert KEY not in written


ENCODINGS: list[Callable[[str], str]] = [
    str,
    repr,
    json.dumps,
    quote,
    quote_plus,
    html.escape,
    lambda secret: quote(quote(secret, safe=""), safe=""),
    lambda secret: quote(secret, safe="").replace("%2F", "%2f"),
    lambda secret: json.dumps(json.dumps(secret)),
    lambda secret: json.dumps(secret).replace("/", r"\/"),
    lambda secret: "".join(f"\\u{ord(character):04X}" for character in secret),
    lambda secret: base64.b64encode(secret.encode()).decode(),
    lambda secret: base64.b64encode(f"Bearer {secret}".encode()).decode(),
    lambda secret: base64.urlsafe_b64encode(f"key={secret}&x".encode()).decode(),
]


@pytest.mark.parametrize("encode", ENCODINGS)
@pytest.mark.parametrize(
    "secret", ['quo"te\\sl/ash&%41+more', "sk-0123456789?>abcdefghij", "MTIz.abc_d-e.xyz~x"]
)
def test_a_secret_is_found_however_it_is_written(encode: Callable[[str], str], secret: str) -> None:
    written = f"before {encode(secret)} behind"

    plain = Redactor([secret]).plain(written)

    assert re.fullmatch(r"""before ['"\\\w=]{0,12}\[redacted\]['"\\\w=]{0,6} behind""", plain), plain


def test_addresses_that_speak_for_somebody_lose_their_tokens_and_other_words_stay() -> None:
    token = f"{HOOK_PREFIX}{'a' * 43}"
    redactor = Redactor(())

    for address in (
        f"https://bot.example/hooks/apixo/{token}",
        f"PUT https://discord.com/api/v10/webhooks/123/{token}/messages/@original",
        f"callback_url=https%3A%2F%2Fbot.example%2Fhooks%2Fapixo%2F{token}&x=1",
        rf"https:\/\/bot.example\/hooks\/apixo\/{token}",
    ):
        assert token not in redactor.plain(address)
        assert "[redacted]" in redactor.plain(address)
    for words in ("it hooks a fish / bird", "https://cdn.example/clip.mp4?signature=" + "b" * 64, "abc/def"):
        assert Redactor(["a-key"]).plain(words) == words


def test_a_megabyte_of_backslashes_is_read_in_no_time() -> None:
    assert Redactor(SECRETS).plain("\\" * 1_000_000) == "\\" * 1_000_000


@pytest.mark.parametrize(("level", "seen"), [("debug", 3), ("info", 2), ("warning", 1), ("error", 0)])
def test_only_what_is_important_enough_is_logged(
    level: str, seen: int, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(level=level, form="text", secrets=())

    log.debug("a")
    log.info("b")
    log.warning("c")
    logging.getLogger("discord.gateway").debug("every frame")
    logging.getLogger("alembic.runtime").info("every start")

    assert len(capsys.readouterr().err.splitlines()) == seen
