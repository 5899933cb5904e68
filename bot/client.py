"""The bot as Discord sees it: intents, commands, and the one place where errors are shown."""

import asyncio
import hashlib
import json
import logging
import secrets
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import aiohttp
import discord
from discord import app_commands
from discord.ext import commands

from bot import approval_card
from bot.approvals import ApprovalService
from bot.cooldown import Cooldown
from bot.errors import NotHere, OverLimit, StorageTrouble, UserError
from bot.jobs import JobService
from bot.menu import Menu
from bot.quotes import QuoteService
from storage.outages import MarkStore

if TYPE_CHECKING:
    from discord.ui import DynamicItem, Item

log = logging.getLogger(__name__)

# Without bounds, as discord.py has it, a thousand answers at once open a thousand connections, whose
# handshakes hold up everybody. Refusals get a part of them, so that a flood of those passes nobody by.
_MOST_CONNECTIONS = 200
_MOST_REFUSALS_AT_ONCE = 50

_COMMANDS_MARK = "registered commands"
_NEEDED = {
    "view_channel": "View Channel",
    "send_messages": "Send Messages",
    "send_messages_in_threads": "Send Messages in Threads",
    "attach_files": "Attach Files",
    "read_message_history": "Read Message History",
}


class _Tree(app_commands.CommandTree["SoraBot"]):
    async def interaction_check(self, interaction: discord.Interaction["SoraBot"], /) -> bool:
        """Turn away whoever asks too fast, before anything is looked up; of choices they just get none.

        Discord lets nobody choose what is not offered, but for a command as it knows it.
        """
        bot, server_id = interaction.client, interaction.guild_id or 0
        if interaction.type is discord.InteractionType.autocomplete:
            return bot.choosing.wait_for(server_id, interaction.user.id) is None
        try:
            bot.acting.check(server_id, interaction.user.id)
        except UserError as error:
            await bot.show_error(interaction, error)
            return False
        command = interaction.command
        if isinstance(command, app_commands.Command) and not _are_offered(command, interaction.namespace):
            await bot.show_error(interaction, app_commands.CommandSignatureMismatch(command))
            return False
        return True

    async def on_error(
        self, interaction: discord.Interaction["SoraBot"], error: app_commands.AppCommandError
    ) -> None:
        await interaction.client.show_error(interaction, error)


class SoraBot(commands.Bot):
    """A bot without privileged intents: messages that mention it carry their content anyway.

    `acting` cools down commands, presses, forms and mentions of one member; `choosing` what menus ask for
    while somebody types. `trace` sees the requests to Discord.
    """

    jobs: JobService
    menu: Menu
    quotes: QuoteService
    approvals: ApprovalService

    def __init__(
        self,
        *,
        marks: MarkStore,
        allowed_servers: Collection[int],
        acting: Cooldown,
        choosing: Cooldown,
        trace: aiohttp.TraceConfig,
    ) -> None:
        super().__init__(
            command_prefix=(),
            tree_cls=_Tree,
            help_command=None,
            intents=discord.Intents(guilds=True, guild_messages=True),
            allowed_mentions=discord.AllowedMentions.none(),
            allowed_installs=app_commands.AppInstallationType(guild=True, user=False),
            allowed_contexts=app_commands.AppCommandContext(
                guild=True, dm_channel=False, private_channel=False
            ),
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
            max_messages=None,
            connector=aiohttp.TCPConnector(limit=_MOST_CONNECTIONS),
            http_trace=trace,
        )
        self._refusing = asyncio.Semaphore(_MOST_REFUSALS_AT_ONCE)
        self.acting = acting
        self.choosing = choosing
        self._marks = marks
        self._allowed_servers = frozenset(allowed_servers)
        self._is_cut = False
        self._parts: tuple[commands.Cog, ...] = ()
        self._buttons: tuple[type[DynamicItem[Item[Any]]], ...] = ()

    def attach(
        self,
        jobs: JobService,
        quotes: QuoteService,
        approvals: ApprovalService,
        cogs: Collection[commands.Cog],
        buttons: Collection[type[Any]],
        *,
        menu: Menu,
    ) -> None:
        """Take what the bot offers; once, before it starts."""
        self.jobs = jobs
        self.menu = menu
        self.quotes = quotes
        self.approvals = approvals
        self._parts = tuple(cogs)
        self._buttons = tuple(buttons)

    async def setup_hook(self) -> None:
        """Add commands and buttons, and tell Discord of the commands if they changed."""
        for cog in self._parts:
            await self.add_cog(cog)
        self.add_dynamic_items(*self._buttons)
        await self._register_commands()

    @property
    def is_online(self) -> bool:
        """Whether Discord's gateway speaks with the bot: discord.py stays "ready" while it is cut off."""
        return self.is_ready() and not self.is_closed() and not self._is_cut

    async def on_disconnect(self) -> None:
        """The connection is lost; the library tries to have it back."""
        if not self._is_cut and not self.is_closed():
            log.warning("the connection to Discord is lost")
        self._is_cut = True

    async def on_ready(self) -> None:
        """A new session began."""
        self._back_online()

    async def on_resumed(self) -> None:
        """The session goes on."""
        self._back_online()

    def _back_online(self) -> None:
        log.info("connected to Discord", extra={"servers": len(self.guilds)})
        self._is_cut = False

    async def on_message(self, message: discord.Message, /) -> None:
        """Nothing: this bot has no prefix commands. A cog of its own listens for mentions."""

    async def _register_commands(self) -> None:
        """Registering costs a daily allowance and shows late, so it is done only for a changed payload."""
        payload = [command.to_dict(self.tree) for command in self.tree.get_commands()]
        payload.sort(key=lambda command: (command["type"], command["name"]))
        written = json.dumps([self.application_id, payload], sort_keys=True)
        digest = hashlib.sha256(written.encode()).hexdigest()
        if await self._marks.get(_COMMANDS_MARK) == digest:
            return
        await self.tree.sync()
        try:
            await self._marks.set(_COMMANDS_MARK, digest)
        except StorageTrouble as error:
            log.warning("the next start registers the commands again: %s", error.detail)
        log.info("registered %d commands", len(payload))

    async def operator_ids(self) -> frozenset[int]:
        """Return who owns the bot's Discord application, a person or the members of a team."""
        if self.owner_id is not None:
            return frozenset({self.owner_id})
        if self.owner_ids:
            return frozenset(self.owner_ids)
        application = await self.application_info()
        if application.team is not None:
            return frozenset(member.id for member in application.team.members)
        return frozenset({application.owner.id})

    async def check_operator(self, user: discord.User | discord.Member) -> None:
        """Refuse everybody but the bot's operator.

        Raises:
            UserError: they do not own the bot.
        """
        if not await self.is_owner(user):
            raise UserError(
                "Only the bot's operator may do this: the owner of its Discord application, or a member of "
                "the team that owns it."
            )

    # May this be ordered here?

    def check_server(self, server_id: int | None) -> None:
        """Refuse servers the operator did not allow.

        Raises:
            NotHere: naming the setting.
        """
        if server_id is None:
            raise NotHere("Orders are taken in servers only.")
        is_the_one = not self._allowed_servers and len(self.guilds) == 1
        if not is_the_one and server_id not in self._allowed_servers:
            raise NotHere(
                "This bot takes no orders in this server. Its operator can allow it with the setting "
                f"ALLOWED_SERVERS (this server is {server_id})."
            )

    def check_place(self, server_id: int | None, channel: object, permissions: discord.Permissions) -> None:
        """Refuse servers the operator did not allow and channels the bot cannot work in.

        Raises:
            NotHere: naming the setting or the missing permission.
        """
        self.check_server(server_id)
        missing = lacking(permissions, in_thread=isinstance(channel, discord.Thread))
        if missing:
            raise NotHere(
                f"I cannot work in this channel: I lack {' and '.join(f'**{title}**' for title in missing)}. "
                "Ask a server admin to allow it. Nothing was charged."
            )

    # Errors

    async def show_error(self, interaction: discord.Interaction[Any], error: Exception) -> None:
        """Tell a person why what they did came to nothing."""
        where = f"interaction {interaction.id} ({_act(interaction)})"
        told = self.explain(getattr(error, "original", error), where=where)
        sentence, more = str(told), dict[str, Any]()
        if isinstance(told, OverLimit) and told.draft_id is not None:
            more["view"] = approval_card.ask(told.draft_id, told.price)
        try:
            async with self._refusing:
                await answer(interaction, sentence, **more)
        except (discord.HTTPException, aiohttp.ClientError, OSError) as trouble:
            log.warning("%s: could not tell: %s (%s)", where, sentence, trouble)

    def explain(self, error: Exception, *, where: str) -> UserError:
        """Return a person's own mistake as it is, anything else as a reference to the log."""
        if isinstance(error, UserError):
            return error
        if isinstance(error, app_commands.CommandNotFound | app_commands.CommandSignatureMismatch):
            return UserError("Discord still shows an older form of this command. Try again in a few minutes.")
        if isinstance(error, app_commands.TransformerError):
            return UserError("What you chose is not in this server, or I cannot see it. Choose another.")
        if isinstance(error, app_commands.CheckFailure):
            return UserError("You may not use this command here.")
        reference = secrets.token_hex(4)
        log.error("reference %s: %s failed", reference, where, exc_info=error)
        return UserError(
            "Something went wrong in the bot; nothing more was done. "
            f"Tell its operator this reference: `{reference}`."
        )


def _are_offered(command: app_commands.Command[Any, ..., Any], chosen: app_commands.Namespace) -> bool:
    """Whether all that was chosen is among the choices."""
    return all(
        getattr(chosen, option.display_name, None) in {None, *(choice.value for choice in option.choices)}
        for option in command.parameters
        if option.choices
    )


def _act(interaction: discord.Interaction[Any]) -> str:
    """Name what a person did, without what they wrote."""
    if interaction.command is not None:
        return interaction.command.qualified_name
    return str((interaction.data or {}).get("custom_id", "unknown"))


def lacking(permissions: discord.Permissions, *, in_thread: bool = False) -> list[str]:
    """Return the titles of the permissions that the bot needs in a channel and has not."""
    unneeded = "send_messages" if in_thread else "send_messages_in_threads"
    return [title for name, title in _NEEDED.items() if name != unneeded and not getattr(permissions, name)]


async def answer(interaction: discord.Interaction[Any], content: str, **more: Any) -> None:
    """Answer privately.

    That is the first response, or takes the place of the "thinking" one, or comes beside a list that was
    being turned to another page.
    """
    response = interaction.response
    if not response.is_done():
        await response.send_message(content, ephemeral=True, **more)
    elif response.type is discord.InteractionResponseType.deferred_message_update:
        await interaction.followup.send(content, ephemeral=True, **more)
    else:
        await interaction.edit_original_response(content=content, **more)
