"""The command line: run, demo, export."""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Sequence

import discord

from bot import logs, web
from bot.app import open_app
from bot.config import Settings
from bot.errors import SettingsError, StartupError, TokenRefused
from storage.export import write_export

log = logging.getLogger("bot")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; `StartupError` says what the codes mean."""
    chosen = _parser().parse_args(arguments)
    try:
        settings = Settings.read()
        logs.configure(level=settings.log_level, form=settings.log_format, secrets=settings.secrets)
        match chosen.command:
            case "run":
                return asyncio.run(_run(settings))
            case "demo":
                # Only the playground needs what requirements-dev.txt adds.
                from bot.sandbox import demo  # noqa: PLC0415

                return asyncio.run(demo.play(settings, once=chosen.once))
            case _:
                write_export(settings.data_dir / "bot.sqlite3", chosen.what, chosen.format, sys.stdout)
                return 0
    except StartupError as error:
        print(f"video bot: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # Whoever read our output has enough of it; the interpreter must not flush it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bot", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help="run the bot in Discord; needs DISCORD_TOKEN")
    demo = commands.add_parser("demo", help="try the bot in a browser, without Discord and without keys")
    demo.add_argument("--once", action="store_true", help="end after the scripted round")
    export = commands.add_parser("export", help="write all jobs or the ledger to stdout")
    export.add_argument("--what", choices=("jobs", "ledger"), required=True)
    export.add_argument("--format", choices=("csv", "json"), required=True)
    return parser


async def _run(settings: Settings) -> int:
    """Run in Discord until a signal or a failure ends it."""
    if settings.discord_token is None:
        raise SettingsError(
            "DISCORD_TOKEN: is not set. Put the bot's token into .env; the README says how to get one."
        )
    stop = _stop_on_signals()
    async with (
        open_app(settings) as app,
        web.serve(web.build_app(), settings.http_host, settings.http_port) as port,
    ):
        log.info("health check on http://%s:%d/healthz", settings.http_host, port)
        try:
            await app.bot.login(settings.discord_token.get_secret_value())
        except discord.LoginFailure as error:
            raise TokenRefused(
                "DISCORD_TOKEN: Discord refused it. Copy it anew from the Developer Portal."
            ) from error
        app.start()
        connection = asyncio.create_task(app.bot.connect(), name="discord")
        ends = [
            asyncio.create_task(stop.wait(), name="signal"),
            asyncio.create_task(app.failed.wait(), name="failure"),
            connection,
        ]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if stop.is_set():
                log.info("stopping")
                return 0
            if connection.done() and (error := connection.exception()) is not None:
                log.critical("the connection to Discord ended: %r", error)
            return 1
        finally:
            await app.stop()
            for task in ends:
                task.cancel()
            with contextlib.suppress(Exception):
                await asyncio.gather(*ends, return_exceptions=True)


def _stop_on_signals() -> asyncio.Event:
    """Return an event that the first SIGTERM or SIGINT sets; the second ends the process at once."""
    stop = asyncio.Event()

    def once() -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, once)
    return stop


if __name__ == "__main__":
    sys.exit(main())
