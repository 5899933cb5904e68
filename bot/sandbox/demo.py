"""The demo: a scripted round in the playground, then an address to go on by hand."""

import asyncio
import dataclasses
import logging
import shutil
import signal
from pathlib import Path

from bot import money
from bot.app import App, open_app
from bot.config import Settings
from bot.errors import FolderInUse
from bot.models import Job, Stage, utc_now
from bot.sandbox.drawing import sample_picture
from bot.sandbox.playground import Playground, open_playground
from storage.folder import DataFolder

log = logging.getLogger(__name__)

ROUND_SECONDS = 120.0
RENDER_SECONDS = 16.0
PLAY_MONEY = 50


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Act:
    """One order of the round, and how it must end."""

    prompt: str
    picture: bytes | None
    ends_as: Stage


async def play(settings: Settings, *, once: bool) -> int:
    """Play the round and, unless `once`, serve the playground until Ctrl-C.

    Returns 0 if all three orders ended as they should. The operator's keys, limits and data are not
    touched: the demo has a folder of its own, made anew each time.
    """
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    origins: dict[str, str] = {}
    folder = _fresh_folder(settings.data_dir / "demo")
    async with (
        open_app(_demo_settings(settings, folder), picture_origins=origins, render_seconds=RENDER_SECONDS) as app,
        open_playground(app, origins, clock=utc_now) as playground,
    ):
        print("Playing a round: a video from text, one from a picture, and one that is refused...", flush=True)
        as_should = await _until(stop, _round(app, playground))
        if as_should is None:
            return 1
        print(f"\n#{playground.channel.name}\n\n{playground.transcript()}\n")
        print(f"The clips are in {app.folder.clips}:")
        for clip in sorted(app.folder.clips.glob("*.mp4")):
            print(f"  {clip.name} ({clip.stat().st_size:,} bytes)")
        print(f"\nThe round {'ended as it should' if as_should else 'DID NOT END AS IT SHOULD'}.", flush=True)
        if not once:
            async with playground.shown() as address:
                print(f"\nOpen {address}\nand type /video create. Ctrl-C ends it.", flush=True)
                await stop.wait()
                print("\nStopping.", flush=True)
        return 0 if as_should else 1


def _demo_settings(settings: Settings, folder: Path) -> Settings:
    """Keep what concerns this machine; leave out keys, tokens, limits and the operator's models."""
    return Settings.model_construct(
        data_dir=folder,
        default_user_monthly_limit=PLAY_MONEY * money.MICROS_PER_DOLLAR,
        log_level=settings.log_level,
        log_format=settings.log_format,
    )


def _fresh_folder(path: Path) -> Path:
    """Return an empty folder; one that another demo is using is stepped over."""
    for number in range(1, 100):
        folder = path if number == 1 else path.with_name(f"{path.name}-{number}")
        try:
            with DataFolder(folder):
                for entry in folder.iterdir():
                    if entry.is_dir():
                        shutil.rmtree(entry)
                    elif entry.name != "lock":
                        entry.unlink()
        except FolderInUse:
            continue
        return folder
    raise FolderInUse(f"{path} and 98 folders like it are in use by other demos.")


async def _round(app: App, playground: Playground) -> bool:
    """Order all three at once and wait for their ends."""
    acts = (
        _Act(prompt="A paper boat sails down a rainy street at dusk", picture=None, ends_as=Stage.DONE),
        _Act(prompt="The hills wake up in the morning sun", picture=sample_picture(), ends_as=Stage.DONE),
        _Act(
            prompt="fail:moderation - the sandbox refuses prompts with this word",
            picture=None,
            ends_as=Stage.FAILED,
        ),
    )
    for act in acts:
        image = {"image": ("hills.png", act.picture)} if act.picture else {}
        await playground.you.slash(playground.channel, "video create", prompt=act.prompt, **image)
    async with asyncio.timeout(ROUND_SECONDS):
        while app.worker.busy_jobs or not app.desk.is_quiet:
            await playground.keep_time()
            await asyncio.sleep(0.2)
    jobs, _ = await app.jobs.of_member(playground.env.guild.id, playground.you.id)
    by_prompt = {job.request.prompt: job for job in jobs}
    return all(_ended(by_prompt.get(act.prompt), act.ends_as) for act in acts)


def _ended(job: Job | None, stage: Stage) -> bool:
    if job is None or job.stage is not stage:
        return False
    return stage is not Stage.DONE or (job.clip is not None and job.clip.exists() and job.video_message_id is not None)


async def _until(stop: asyncio.Event, act: "asyncio.coroutines.Coroutine[object, object, bool]") -> bool | None:
    """Await the act; None if Ctrl-C comes first or it takes too long."""
    task = asyncio.create_task(act, name="scripted round")
    stopped = asyncio.create_task(stop.wait(), name="signal")
    await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not task.done():
        task.cancel()
        return None
    try:
        return task.result()
    except TimeoutError:
        print(f"The round did not end within {ROUND_SECONDS:.0f} seconds.")
        return None
