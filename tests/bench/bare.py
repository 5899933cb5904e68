"""As little as a bot can be that answers a command: what discord.py and the sockets take by themselves."""

import os

import discord
from discord import app_commands


class BareBot(discord.Client):
    def __init__(self) -> None:
        super().__init__(intents=discord.Intents(guilds=True))
        self.tree = app_commands.CommandTree(self)

    async def setup_hook(self) -> None:
        self.tree.add_command(video)
        await self.tree.sync()


@app_commands.command()
async def video(interaction: discord.Interaction, prompt: str) -> None:
    """Acknowledge an order."""
    del prompt
    await interaction.response.defer(ephemeral=True, thinking=True)


if __name__ == "__main__":
    BareBot().run(os.environ["DISCORD_TOKEN"], log_handler=None)
