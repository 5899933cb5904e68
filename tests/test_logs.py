"""Logs: whatever is logged, however it got there, no secret is in the line."""

import json
import logging
import re
from collections.abc import Generator

import pytest

from bot import logs

TOKEN, KEY, AWKWARD = "MTk4.token", "MTk4.token-and-more", 'quo"te\\slash'
SECRETS = (TOKEN, KEY, AWKWARD)
FORMS = ["text", "json"]

log = logging.getLogger("bot.test")


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Generator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in ("discord", "aiosqlite", "PIL", "alembic")}
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
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", lines[0]["at"])
    assert lines[3]["error"].splitlines()[-1] == "RuntimeError: key [redacted] of [redacted]"


def test_text_names_time_level_and_logger(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(level="info", form="text", secrets=())

    log.info("job %s is done", "abc")

    line = capsys.readouterr().err
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ INFO    bot\.test: job abc is done\n", line)


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
