"""The command line: run, demo, models, backup, restore, export, doctor."""

import argparse
import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import discord

from bot import logs, models_command, troubles, web
from bot.app import App, open_app
from bot.checkup import check_up
from bot.config import Settings
from bot.errors import DiskUnusable, SchemaError, SettingsError, StartupError, StorageTrouble, TokenRefused
from bot.models import utc_now
from bot.troubles import Trouble
from storage.backup import write_backup
from storage.export import write_export
from storage.folder import DataFolder
from storage.proof import prove_ledger
from storage.restore import restore

log = logging.getLogger("bot")

_TOKEN_REFUSED = "DISCORD_TOKEN: Discord refused it. Copy it anew from the Developer Portal."  # noqa: S105
# https://discord.com/developers/docs/topics/opcodes-and-status-codes#gateway-gateway-close-event-codes
_AUTHENTICATION_FAILED = 4004


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; `StartupError` says what the codes mean."""
    chosen = _parser().parse_args(arguments)
    try:
        settings = Settings.read()
        logs.configure(level=settings.log_level, form=settings.log_format, secrets=settings.secrets)
        match chosen.command:
            case "run":
                return asyncio.run(_run(settings))
            case "doctor" if not chosen.ledger:
                return 0 if asyncio.run(check_up(settings, sys.stdout)) else 1
            case "models":
                return _models(settings, chosen.what)
            case "demo":
                # Only the playground needs what requirements-dev.txt adds.
                from bot.sandbox import demo  # noqa: PLC0415

                return asyncio.run(demo.play(settings, once=chosen.once))
            case _:
                return _on_data(DataFolder(settings.data_dir), chosen)
    except StartupError as error:
        print(f"video bot: {error}", file=sys.stderr)
        return error.exit_code
    except StorageTrouble as error:
        print(f"video bot: {troubles.for_operator(error.trouble, error.detail)}", file=sys.stderr)
        is_damaged = error.trouble is Trouble.CORRUPT
        return SchemaError.exit_code if is_damaged else DiskUnusable.exit_code
    except KeyboardInterrupt:
        return 1  # before anybody listened for signals; there is nothing to end
    except BrokenPipeError:
        # Whoever read our output has enough of it; the interpreter must not flush it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception:
        log.critical("ended unexpectedly", exc_info=True)  # the log knows what must not be shown
        return 1


def _models(settings: Settings, what: str) -> int:
    if what == "list":
        models_command.write_list(settings, sys.stdout)
        return 0
    return 0 if asyncio.run(models_command.check(settings, sys.stdout)) else 1


def _on_data(folder: DataFolder, chosen: argparse.Namespace) -> int:
    """Do what needs the data folder alone."""
    match chosen.command:
        case "backup":
            write_backup(folder, chosen.file, sys.stdout, now=utc_now())
        case "restore":
            restore(folder, chosen.file, sys.stdout, now=utc_now())
        case "doctor":
            return 0 if prove_ledger(folder.database, sys.stdout) else 1
        case _:
            write_export(folder.database, chosen.what, chosen.format, sys.stdout)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bot", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help="run the bot in Discord; needs DISCORD_TOKEN")
    demo = commands.add_parser("demo", help="try the bot in a browser, without Discord and without keys")
    demo.add_argument("--once", action="store_true", help="end after the scripted round")
    models = commands.add_parser("models", help="list the catalogue, or check it against the gateways")
    models.add_argument(
        "what",
        choices=("list", "check"),
        help="check asks for free, and exits with 1 where something differs; list asks nobody",
    )
    export = commands.add_parser("export", help="write all jobs, the ledger or the audit log to stdout")
    export.add_argument("--what", choices=("jobs", "ledger", "acts"), required=True)
    export.add_argument("--format", choices=("csv", "json"), required=True)
    backup = commands.add_parser("backup", help="copy the database to a file, while the bot runs or not")
    backup.add_argument("file", type=Path, help="is written whole or not at all; an older one is replaced")
    back = commands.add_parser(
        "restore", help="put a backup in the database's place; the bot must be stopped"
    )
    back.add_argument("file", type=Path, help="a file that backup wrote")
    doctor = commands.add_parser(
        "doctor",
        help="look for what is wrong, while the bot runs or not; exits with 1 where it finds something",
    )
    doctor.add_argument(
        "--ledger",
        action="store_true",
        help="only sum the ledger anew, compare every total, and name all that differs",
    )
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
        web.serve(
            web.build_app(app.readiness, app.numbers, app.hooks.routes()),
            settings.http_host,
            settings.http_port,
        ) as port,
    ):
        # What was loaded stays for good. Each full collection would look through all of it, and hold up for
        # some 60 ms whatever members do meanwhile.
        gc.collect()
        gc.freeze()
        log.info("health check on http://%s:%d/healthz", settings.http_host, port)
        token = settings.discord_token.get_secret_value()
        online = asyncio.create_task(_online(app, token), name="discord")
        ends = (
            online,
            asyncio.create_task(stop.wait(), name="signal"),
            asyncio.create_task(app.failed.wait(), name="failure"),
        )
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if stop.is_set():
                log.info("stopping")
                return 0
            if online.done():
                online.result()
            return 1
        finally:
            await app.stop()
            for task in ends:
                task.cancel()
            await asyncio.gather(*ends, return_exceptions=True)


async def _online(app: App, token: str) -> None:
    """Log in, start work, and stay connected.

    Raises:
        TokenRefused: Discord does not know the token, or no longer.
        StartupError: Discord cannot be reached.
    """
    try:
        await app.bot.login(token)
        app.start()
        await app.bot.connect()
    except discord.LoginFailure as error:
        raise TokenRefused(_TOKEN_REFUSED) from error
    except discord.ConnectionClosed as error:
        if error.code == _AUTHENTICATION_FAILED:
            raise TokenRefused(_TOKEN_REFUSED) from error
        raise StartupError(f"Discord closed the connection for good: {error}") from error
    except (discord.HTTPException, discord.GatewayNotFound, aiohttp.ClientError, OSError) as error:
        raise StartupError(f"Discord cannot be reached: {error}. Try again later.") from error
    except AttributeError as error:
        # discord.py 2.7.1 resumes a connection it never had where its very first one fails.
        if app.bot.is_ready():
            raise
        raise StartupError("Discord cannot be reached: it took no connection. Try again later.") from error


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
