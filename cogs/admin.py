"""`/video-admin`: for those who may manage the server; Discord's Integrations page can say otherwise."""

from discord import app_commands
from discord.ext import commands

from bot.access import Access
from bot.availability import Availability
from bot.doctor import Doctor
from bot.funds import FundAdmin
from bot.limits import LimitAdmin
from bot.oversight import Oversight
from bot.pauses import Pauses
from bot.reconcile import Reconciler
from bot.reports import ReportService
from bot.servers import ServerAdmin
from bot.spending import SpendingService
from bot.uncertain import UncertainService
from cogs.admin_access import AccessCommands
from cogs.admin_auto import AutoCommands
from cogs.admin_doctor import DoctorCommands
from cogs.admin_jobs import OversightCommands
from cogs.admin_limits import LimitCommands
from cogs.admin_money import FundCommands
from cogs.admin_operator import OperatorCommands
from cogs.admin_reports import ReportCommands
from cogs.admin_server import ServerCommands
from cogs.admin_uncertain import UncertainCommands


@app_commands.default_permissions(manage_guild=True)
class AdminCog(
    LimitCommands,
    FundCommands,
    OversightCommands,
    UncertainCommands,
    DoctorCommands,
    ReportCommands,
    OperatorCommands,
    ServerCommands,
    AutoCommands,
    AccessCommands,
    commands.GroupCog,
    group_name="video-admin",
    group_description="Look after the team's videos.",
):
    """Translates the acts of staff, and of the operator."""

    def __init__(
        self,
        *,
        availability: Availability,
        reconciler: Reconciler,
        servers: ServerAdmin,
        pauses: Pauses,
        access_rules: Access,
        limits: LimitAdmin,
        spending: SpendingService,
        funds: FundAdmin,
        oversight: Oversight,
        uncertain_jobs: UncertainService,
        asked_doctor: Doctor,
        reports: ReportService,
    ) -> None:
        self.availability = availability
        self.reconciler = reconciler
        self.servers = servers
        self.pauses = pauses
        self.access_rules = access_rules
        self.limits = limits
        self.spending = spending
        self.funds = funds
        self.oversight = oversight
        self.uncertain_jobs = uncertain_jobs
        self.asked_doctor = asked_doctor
        self.reports = reports
