"""The demo as a person runs it in a terminal: two of them at once, with the operator's keys set."""

import asyncio
import contextlib
import dataclasses
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from bot.config import Settings
from bot.media import is_mp4
from bot.models import Stage
from bot.sandbox import demo
from bot.sandbox.demo import Act
from bot.sandbox.playground import FIRST_PORT
from storage.folder import DataFolder

ROOT = Path(__file__).parent.parent
KEY = "key-that-must-not-be-used"
LONGEST_SECONDS = 90
DEMO = (sys.executable, "-m", "bot", "demo")

SERVE_AT_ONCE = """
import asyncio, sys
from bot.config import Settings
from bot.sandbox import demo
sys.exit(asyncio.run(demo.play(Settings(), once=False, acts=(), render_seconds=0)))
"""
SHORT_DEMO = (sys.executable, "-c", SERVE_AT_ONCE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ended:
    """A demo that was run to its end."""

    returncode: int
    stdout: str
    stderr: str
    data_dir: Path


def environment(data_dir: Path, **more: str) -> dict[str, str]:
    """The operator's environment, without what would change what the demo writes."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LOG_")}
    return {**kept, "DATA_DIR": str(data_dir), **more}


@contextlib.contextmanager
def started(arguments: tuple[str, ...], data_dir: Path, **more: str) -> Generator[subprocess.Popen[str]]:
    """Start a demo in a process group of its own, and leave nothing of it behind."""
    process = subprocess.Popen(
        arguments,
        cwd=ROOT,
        env=environment(data_dir, **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """Read what the demo prints up to a line with this text."""
    read = ""
    for line in process.stdout or ():
        read += line
        if text in line:
            return read
    raise AssertionError(f"it ended without printing {text!r}: {read}{process.communicate()[1]}")


def press_ctrl_c(process: subprocess.Popen[str]) -> tuple[str, str, float]:
    """Send what a terminal sends: SIGINT to the whole group. Return the last output and the seconds."""
    pressed_at = time.perf_counter()
    os.killpg(process.pid, signal.SIGINT)
    stdout, stderr = process.communicate(timeout=LONGEST_SECONDS)
    return stdout, stderr, time.perf_counter() - pressed_at


def group_is_empty(process: subprocess.Popen[str]) -> bool:
    """Whether nothing that the demo started is left."""
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.fixture(scope="module")
def gateway() -> Generator[socket.socket]:
    """Where the operator's gateway would be; it notices every connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0)
        yield listening


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory, gateway: socket.socket) -> Ended:
    """`demo --once`, with the operator's key set and another demo running on the same DATA_DIR."""
    data_dir = tmp_path_factory.mktemp("demo")
    with (
        started(SHORT_DEMO, data_dir) as other,
        started(
            (*DEMO, "--once"),
            data_dir,
            APIXO_API_KEY=KEY,
            APIXO_BASE_URL=f"http://127.0.0.1:{gateway.getsockname()[1]}/api/v1",
            DISCORD_TOKEN=KEY,
            DEFAULT_USER_MONTHLY_LIMIT="0",
        ) as process,
    ):
        read_until(other, "Ctrl-C ends")
        stdout, stderr = process.communicate(timeout=LONGEST_SECONDS)
        return Ended(returncode=process.returncode, stdout=stdout, stderr=stderr, data_dir=data_dir)


def test_the_round_ends_as_it_should_and_nothing_else_is_written(once: Ended) -> None:
    assert (once.returncode, once.stderr) == (0, "")
    assert once.stdout.endswith("The round ended as it should.\n")


def test_the_terminal_shows_the_channel_as_text(once: Ended) -> None:
    assert once.stdout.count("Video bot to @you (only you see this): Job `") == 3
    assert once.stdout.count("  | Done · Sandbox Sora 2\n") == 2
    assert once.stdout.count("  | Failed · Sandbox Sora 2\n") == 1
    assert once.stdout.count("@you, your clip is ready: sandbox/sora-2") == 2
    assert "CONTENT_VIOLATION" in once.stdout
    assert "<@" not in once.stdout
    assert "<t:" not in once.stdout


def test_the_clips_are_where_the_terminal_says(once: Ended) -> None:
    folder = re.search(r"^The clips are in (.+):$", once.stdout, re.MULTILINE)
    assert folder is not None
    files = re.findall(r"^  (\w+\.mp4) \(([\d,]+) bytes\)$", once.stdout, re.MULTILINE)
    clips = {name: (Path(folder[1]) / name).read_bytes() for name, _ in files}

    assert len(clips) == 2
    assert all(map(is_mp4, clips.values()))
    assert [len(clips[name]) for name, _ in files] == [int(size.replace(",", "")) for _, size in files]


def test_the_operators_keys_and_limits_are_not_used(once: Ended, gateway: socket.socket) -> None:
    assert "sandbox/sora-2" in once.stdout
    assert "apixo/" not in once.stdout
    assert KEY not in once.stdout
    with pytest.raises(BlockingIOError):
        gateway.accept()


def test_two_demos_have_a_folder_each(once: Ended) -> None:
    assert sorted(path.name for path in once.data_dir.iterdir()) == ["demo", "demo-2"]


def test_ctrl_c_ends_a_serving_demo_and_a_taken_port_is_stepped_over(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # then somebody else has it, which serves as well
            stack.enter_context(socket.create_server(("127.0.0.1", FIRST_PORT)))
        process = stack.enter_context(started(SHORT_DEMO, tmp_path))
        address = re.search(r"http://127\.0\.0\.1:(\d+)/#\S+", read_until(process, "Ctrl-C ends"))
        stdout, stderr, seconds = press_ctrl_c(process)

        assert address is not None
        assert int(address[1]) > FIRST_PORT
        assert (process.returncode, stdout, stderr) == (0, "\nStopping.\n", "")
        assert seconds < 10
        assert group_is_empty(process)
        with DataFolder(tmp_path / "demo"):
            pass


def test_ctrl_c_during_the_round_ends_it_without_a_traceback(tmp_path: Path) -> None:
    with started(DEMO, tmp_path) as process:
        read_until(process, "That takes about")
        stdout, stderr, seconds = press_ctrl_c(process)

        assert (process.returncode, stderr) == (1, "")
        assert stdout.endswith("Stopped before the round had ended.\n")
        assert seconds < 10
        assert group_is_empty(process)


async def test_a_round_that_ends_otherwise_says_which_act_and_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    acts = (
        Act(prompt="A cat fail:render", ends_as=Stage.DONE),
        Act(prompt="A dog fail:moderation", ends_as=Stage.FAILED),
        Act(prompt=" ", ends_as=Stage.FAILED),
    )

    code = await demo.play(Settings(data_dir=tmp_path), once=True, acts=acts, render_seconds=0)

    told = capsys.readouterr().out
    assert code == 1
    assert '"A cat fail:render" should have ended as done, but job ' in told
    assert "GENERATION_FAILED" in told
    assert '"A dog fail:moderation" should' not in told
    assert '" " should have ended as failed, but was not taken.' in told
    assert told.endswith("The round did NOT end as it should.\n")


async def test_a_round_without_end_is_given_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    acts = (Act(prompt="A snail fail:slow", ends_as=Stage.DONE),)

    async with asyncio.timeout(LONGEST_SECONDS):
        code = await demo.play(
            Settings(data_dir=tmp_path), once=True, acts=acts, render_seconds=1000, round_seconds=1
        )

    told = capsys.readouterr().out
    assert code == 1
    assert '"A snail fail:slow" should have ended as done, but job ' in told
    assert "The time for the round was over before it had ended." in told
