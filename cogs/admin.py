"""`/video-admin`: for those who may manage the server; Discord's Integrations page can say otherwise."""

from discord import app_commands
from discord.ext import commands

from bot.availability import Availability
from bot.limits import LimitAdmin
from bot.oversight import Oversight
from bot.reconcile import Reconciler
from cogs.admin_jobs import OversightCommands
from cogs.admin_limits import LimitCommands
from cogs.admin_operator import OperatorCommands


@app_commands.default_permissions(manage_guild=True)
class AdminCog(
    LimitCommands,
    OversightCommands,
    OperatorCommands,
    commands.GroupCog,
    group_name="video-admin",
    group_description="Look after the team's videos.",
):
    """Translates the acts of staff, and of the operator."""

    def __init__(
        self, *, availability: Availability, reconciler: Reconciler, limits: LimitAdmin, oversight: Oversight
    ) -> None:
        self.availability = availability
        self.reconciler = reconciler
        self.limits = limits
        self.oversight = oversight
