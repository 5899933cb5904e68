"""The demo: a scripted round in the playground, then an address to go on by hand."""

import asyncio
import contextlib
import dataclasses
import logging
import os
import shutil
import signal
from collections.abc import AsyncGenerator, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bot import messages, money
from bot.app import App, open_app
from bot.config import Settings
from bot.errors import FolderInUse
from bot.models import Job, Stage, utc_now
from bot.sandbox.drawing import sample_picture
from storage.folder import DataFolder

if TYPE_CHECKING:
    from bot.sandbox.playground import Playground

ROUND_SECONDS = 120.0
RENDER_SECONDS = 18.0
PLAY_MONEY = 50
MOST_DEMOS = 100

_LOOK_SECONDS = 0.2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Act:
    """One order of the round, and the stage it must end in."""

    prompt: str
    picture: bytes | None = None
    ends_as: Stage


def scripted_round() -> tuple[Act, ...]:
    """A video from text, one from a picture, and one that moderation refuses."""
    return (
        Act(prompt="A paper boat sails down a rainy street at dusk", ends_as=Stage.DONE),
        Act(
            prompt="The hills wake up in the morning sun",
            picture=sample_picture(),
            ends_as=Stage.DONE,
        ),
        Act(
            prompt="fail:moderation - the sandbox refuses prompts with this word",
            ends_as=Stage.FAILED,
        ),
    )


async def play(
    settings: Settings,
    *,
    once: bool,
    acts: Sequence[Act] | None = None,
    render_seconds: float = RENDER_SECONDS,
    round_seconds: float = ROUND_SECONDS,
) -> int:
    """Play the round and, unless `once`, serve the playground until Ctrl-C.

    Returns 0 if every act of the round ended as it should. The operator's keys, limits and data are
    not touched: the demo has a folder of its own, made anew each time.

    Raises:
        StartupError: with one line that says why, and its exit code.
    """
    origins: dict[str, str] = {}
    with _quiet(settings), _stop_on_signals() as stop:
        # Importing SimCord already makes discord.py warn.
        from bot.sandbox.playground import open_playground  # noqa: PLC0415

        async with (
            _open_demo_app(settings, origins, render_seconds) as app,
            open_playground(app, origins, clock=utc_now) as playground,
        ):
            scene = _Scene(app, playground, scripted_round() if acts is None else acts)
            print("Playing a round: a video from text, one from a picture, and one that is refused.")
            print(f"That takes about {render_seconds + 5:.0f} seconds...", flush=True)
            if not await scene.perform(stop, round_seconds):
                print("\nStopped before the round had ended.", flush=True)
                return 1
            as_should = await scene.report()
            if not once:
                await _serve(playground, stop)
            return 0 if as_should else 1


async def _serve(playground: "Playground", stop: asyncio.Event) -> None:
    """Show the playground until Ctrl-C, or until somebody ends it in the page."""
    async with playground.shown() as window:
        print(
            f"\nOpen {window.url}\n"
            "in a browser, type /video create, and watch. /video models lists what else can be rehearsed:\n"
            "sound, end frames, servers of one's own. Words in a prompt such as fail:render make the\n"
            "sandbox fail; the README lists them. Ctrl-C ends the demo.",
            flush=True,
        )
        ends = [
            asyncio.create_task(stop.wait(), name="signal"),
            asyncio.create_task(window.wait_closed(), name="page"),
        ]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for task in ends:
            task.cancel()
        print("\nStopping.", flush=True)


class _Scene:
    """The acts on stage: orders them all at once, waits for their ends, and tells how it went."""

    def __init__(self, app: App, playground: "Playground", acts: Sequence[Act]) -> None:
        self._app = app
        self._playground = playground
        self._acts = acts
        self._in_time = True

    async def perform(self, stop: asyncio.Event, seconds: float) -> bool:
        """Play all acts to their ends, or as far as the time goes; return False if stopped."""
        playing = asyncio.create_task(self._play(), name="scripted round")
        stopped = asyncio.create_task(stop.wait(), name="signal")
        await asyncio.wait({playing, stopped}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if playing.done():
            playing.result()
            return True
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)
        self._in_time = stop.is_set()
        return not stop.is_set()

    async def report(self) -> bool:
        """Print the channel, the files and what went wrong; return whether nothing did."""
        print(f"\n#{self._playground.channel.name}\n\n{self._playground.transcript()}\n")
        print(f"The clips are in {self._app.folder.clips}:")
        for clip in sorted(self._app.folder.clips.glob("*.mp4")):
            print(f"  {clip.name} ({clip.stat().st_size:,} bytes)")
        complaints = await self._complaints()
        for complaint in complaints:
            print(f"\n{complaint}")
        verdict = "did NOT end as it should" if complaints else "ended as it should"
        print(f"\nThe round {verdict}.", flush=True)
        return not complaints

    async def _play(self) -> None:
        for act in self._acts:
            image = {"image": ("picture.png", act.picture)} if act.picture else {}
            await self._playground.you.slash(
                self._playground.channel, "video create", prompt=act.prompt, **image
            )
        while self._app.worker.busy_jobs or not self._app.desk.is_quiet:  # noqa: ASYNC110 - they tell nobody
            await asyncio.sleep(_LOOK_SECONDS)

    async def _complaints(self) -> list[str]:
        """Say of each act that did not end as it should what its job says."""
        jobs, _ = await self._app.jobs.of_member(
            self._playground.env.guild.id, self._playground.you.id, per_page=len(self._acts)
        )
        by_prompt = {job.request.prompt: job for job in jobs}
        found = [_complaint(act, by_prompt.get(act.prompt)) for act in self._acts]
        if not self._in_time:
            found.append("The time for the round was over before it had ended.")
        return [complaint for complaint in found if complaint]


def _complaint(act: Act, job: Job | None) -> str:
    """Return what is wrong with how an act ended, or nothing."""
    head = f'"{act.prompt}" should have ended as {act.ends_as}'
    if job is None:
        return f"{head}, but was not taken."
    if job.stage is not act.ends_as:
        why = messages.failure_lines(job, job.failure) if job.failure is not None else job.waiting_for
        return f"{head}, but job {job.job_id} is {job.stage}. {why}".rstrip()
    if job.stage is Stage.DONE and (job.clip is None or not job.clip.exists()):
        return f"{head}, and job {job.job_id} did, but its clip is not on disk."
    if job.stage is Stage.DONE and job.video_message_id is None:
        return f"{head}, and job {job.job_id} did, but its clip was not posted."
    return ""


def _demo_settings(settings: Settings, folder: Path) -> Settings:
    """Leave out keys, tokens and limits."""
    return Settings.model_construct(
        data_dir=folder,
        models_file=settings.models_file,
        default_user_monthly_limit=PLAY_MONEY * money.MICROS_PER_DOLLAR,
        timezone=settings.timezone,
    )


@contextlib.asynccontextmanager
async def _open_demo_app(
    settings: Settings, picture_origins: dict[str, str], render_seconds: float
) -> AsyncGenerator[App]:
    """Open the bot in an empty folder; one that another demo is using, or is just taking, is stepped over."""
    path = settings.data_dir / "demo"
    async with contextlib.AsyncExitStack() as stack:
        for number in range(1, MOST_DEMOS + 1):
            folder = path if number == 1 else path.with_name(f"{path.name}-{number}")
            app = open_app(
                _demo_settings(settings, folder),
                picture_origins=picture_origins,
                render_seconds=render_seconds,
                only_play=True,
            )
            try:
                _clear(folder)
                opened = await stack.enter_async_context(app)
            except FolderInUse:
                continue
            yield opened
            return
    raise FolderInUse(f"{path} and the {MOST_DEMOS - 1} folders beside it are in use by other demos.")


def _clear(path: Path) -> None:
    with DataFolder(path):
        for entry in path.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.name != "lock":
                entry.unlink()


@contextlib.contextmanager
def _quiet(settings: Settings) -> Generator[None]:
    """Keep the terminal for the demo's own lines, unless the operator asked for a level of logging.

    discord.py warns of a missing voice library, and of intents that SimCord's own client lacks.
    """
    if "log_level" in settings.model_fields_set:
        yield
        return
    quieter = {
        logging.getLogger(): logging.WARNING,
        logging.getLogger("discord.client"): logging.ERROR,
        logging.getLogger("discord.state"): logging.ERROR,
    }
    before = {logger: logger.level for logger in quieter}
    for logger, level in quieter.items():
        logger.setLevel(level)
    try:
        yield
    finally:
        for logger, level in before.items():
            logger.setLevel(level)


@contextlib.contextmanager
def _stop_on_signals() -> Generator[asyncio.Event]:
    """Give an event that the first SIGINT or SIGTERM sets; the second ends the process at once."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    try:
        yield stop
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
