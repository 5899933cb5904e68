"""The import rules: who may know of whom, and who alone may use a library. CONTRIBUTING restates them."""

import ast
import functools
import graphlib
import re
import shutil
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("bot", "cogs", "storage")

# From the bottom up. A module may import what stands in lower lines, and its own line where that
# makes no circle. The first pattern that fits a module gives its line.
LAYERS = [
    ["bot.models", "bot.money", "bot.text", "bot.ids", "bot.acts", "bot.waiting", "bot.redaction"],
    ["bot.errors", "bot.troubles", "bot.disk_errors", "bot.whole_files", "bot.logs", "bot.metrics"],
    [
        "bot.models_file",
        "bot.config",
        "bot.entries",
        "bot.entry_rules",
        "bot.dialects",
        "bot.catalogue",
        "bot.catalogue_tables",
        "bot.wording",
        "bot.breaker",
        "bot.inventory",
        "bot.offers",
        "bot.quotas",
        "bot.shares",
        "bot.pacing",
        "bot.timing",
        "bot.outlook",
        "bot.reckoning",
        "bot.periods",
        "bot.charts",
        "bot.processes",
        "bot.media",
        "bot.pictures",
        "bot.picture_process",
        "bot.picture_room",
        "bot.shrink",
    ],
    [
        "bot.messages",
        "bot.money_messages",
        "bot.limit_messages",
        "bot.fund_messages",
        "bot.alert_messages",
        "bot.staff_messages",
        "bot.uncertain_messages",
        "bot.doctor_messages",
        "bot.findings",
        "bot.drift",
        "bot.drift_messages",
        "bot.approval_messages",
        "bot.fallover_messages",
        "bot.quote_messages",
        "bot.choice_messages",
        "bot.receipts",
        "bot.price_lists",
        "bot.reconcile_messages",
        "bot.server_messages",
        "bot.access_messages",
        "bot.health",
        "bot.web",
        "storage.migrations.*",
    ],
    ["storage.*"],
    [
        "bot.turnstile",
        "bot.slots",
        "bot.story",
        "bot.lane",
        "bot.forecast",
        "bot.pauses",
        "bot.cooldown",
        "bot.callbacks",
        "bot.access",
        "bot.wishes",
        "bot.track",
        "bot.availability",
        "bot.choosing",
        "bot.composer",
        "bot.menu",
        "bot.gateways.*",
        "bot.inspection",
        "bot.clip_room",
        "bot.readiness",
        "bot.scrape",
    ],
    [
        "bot.discord_errors",
        "bot.cards",
        "bot.approval_card",
        "bot.history",
        "bot.delivery",
        "bot.card_desk",
        "bot.request_desk",
        "bot.fallover",
        "bot.gate",
        "bot.submitter",
        "bot.stopper",
        "bot.hooks",
        "bot.watch",
        "bot.watcher",
    ],
    [
        "bot.jobs",
        "bot.quotes",
        "bot.approvals",
        "bot.spending",
        "bot.reports",
        "bot.report_messages",
        "bot.limits",
        "bot.funds",
        "bot.servers",
        "bot.oversight",
        "bot.uncertain",
        "bot.worker",
    ],
    ["bot.client"],
    ["bot.notices"],
    ["bot.alerts", "bot.deletions", "bot.reconcile", "bot.caretaker", "bot.doctor"],
    ["cogs.*"],
    ["bot.ground"],
    ["bot.app", "bot.checkup", "bot.models_command"],
    ["bot.sandbox.playground", "bot.sandbox.demo"],
    ["bot.__main__"],
    ["bot.sandbox.*"],
]

# The stand-ins of the gateways are a program of their own: they know little of the bot, and of them
# only who starts them knows.
STAND_INS_KNOW = ["bot.models", "bot.money", "bot.catalogue", "bot.catalogue_tables", "bot.media"]
KNOW_STAND_INS = ["bot.ground", "bot.sandbox.demo", "bot.sandbox.playground"]

# Also what is beneath these names.
ONLY_IN = {
    "discord": [
        "bot.client",
        "bot.delivery",
        "bot.history",
        "bot.discord_errors",
        "bot.notices",
        "bot.cards",
        "bot.approval_card",
        "cogs.*",
        "bot.sandbox.playground",
        "bot.__main__",
    ],
    "simcord": ["bot.sandbox.playground"],
    "sqlalchemy": ["storage.*"],
    "aiosqlite": ["storage.*"],
    "sqlite3": ["storage.*"],
    "alembic": ["storage.*"],
    "matplotlib": ["bot.charts"],
    "prometheus_client": ["bot.metrics"],
    "structlog": ["bot.logs"],
    "PIL": ["bot.pictures", "bot.sandbox.drawing", "bot.sandbox.pictures"],
    "imageio_ffmpeg": ["bot.media"],
    "pydantic": [
        "bot.config",
        "bot.catalogue",
        "bot.catalogue_tables",
        "bot.entries",
        "bot.gateways.*",
        "bot.sandbox.*",
    ],
    "pydantic_settings": ["bot.config"],
    "os.environ": ["bot.config"],
    "os.getenv": ["bot.config"],
    "relative imports": [],
}

# Aim at 150 lines, ask at 250: those that are longer say here why they are one module.
LONG_MODULES = {
    "bot.models": "every value that the others speak in",
    "storage.migrations.versions.0002_layered_money": "one change of the schema, with its triggers",
    "storage.database": "all that is SQLite's own",
    "storage.schema": "every table",
    "bot.app": "the one place that wires everything",
    "bot.config": "every setting, and how each is read",
    "bot.catalogue": "what an entry is and the rules that hold within it",
    "bot.entries": "every key of a gateway's and a model's table",
    "bot.client": "the one object that discord.py knows, and what it tells it of",
    "bot.delivery": "every way in which Discord refuses a post, and what then",
    "bot.gateways.http": "the one request with all that can go wrong in it",
    "bot.doctor_messages": "every sentence of the doctor",
    "bot.messages": "every sentence a person reads",
    "bot.availability": "every reason why a model takes no orders, and what ends it",
    "bot.sandbox.demo": "the scripted round",
    "bot.sandbox.playground": "what a browser needs to show a channel",
    "bot.worker": "the stages",
    "storage.orders": "the transactions that make jobs of orders, and drafts, which are made of the same",
    "storage.jobs": "one method for each step of a job's way",
}
MOST_LINES = 250


def modules(root: Path) -> dict[str, Path]:
    """The project's modules by name; packages without code are left out."""
    files = [file for package in PACKAGES for file in sorted((root / package).rglob("*.py"))]
    return {
        ".".join(file.relative_to(root).with_suffix("").parts): file
        for file in files
        if file.name != "__init__.py"
    }


@functools.cache
def uses(code: str) -> frozenset[str]:
    """Every dotted name a module imports or takes out of `os`, wherever in it."""
    return frozenset(_uses(code))


def _uses(code: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(code)):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), names=names, level=0):
                yield from (f"{module}.{alias.name}" for alias in names)
            case ast.ImportFrom():
                yield "relative imports"
            case ast.Attribute(value=ast.Name(id="os"), attr=attribute):
                yield f"os.{attribute}"
            case _:
                pass


def fits(name: str, patterns: list[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def layer(name: str) -> int | None:
    return next((number for number, patterns in enumerate(LAYERS) if fits(name, patterns)), None)


def is_stand_in(name: str) -> bool:
    return layer(name) == LAYERS.index(["bot.sandbox.*"])


def complaints(root: Path) -> set[str]:
    """Return every breach of the rules, as one sentence each."""
    known = modules(root)
    used = {name: uses(file.read_text("utf-8")) for name, file in known.items()}
    imported = {
        name: {part for one in names for part in (one, one.rpartition(".")[0]) if part in known} - {name}
        for name, names in used.items()
    }
    found = {f"{name} stands in no line of the layers" for name in known if layer(name) is None}
    found |= {
        f"{name} imports {other}, {why}"
        for name, others in imported.items()
        for other in others
        if (why := why_not(name, other))
    }
    found |= {
        f"{name} uses {one}"
        for name, names in used.items()
        for one in names
        for library, allowed in ONLY_IN.items()
        if f"{one}.".startswith(f"{library}.") and not fits(name, allowed)
    }
    try:
        graphlib.TopologicalSorter(imported).prepare()
    except graphlib.CycleError as error:
        found.add(f"circle: {' <- '.join(error.args[1])}")
    return found


def why_not(name: str, other: str) -> str | None:
    """Say why a module may not import another, if so."""
    if is_stand_in(name):
        return (
            None if is_stand_in(other) or fits(other, STAND_INS_KNOW) else "which the stand-ins may not know"
        )
    if is_stand_in(other):
        return None if fits(name, KNOW_STAND_INS) else "a stand-in"
    return "which stands above it" if (layer(other) or 0) > (layer(name) or 0) else None


@functools.cache
def complaints_now() -> set[str]:
    return complaints(ROOT)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's modules, to be broken."""
    root = tmp_path_factory.mktemp("project")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
    return root


def test_the_import_rules_hold() -> None:
    assert complaints_now() == set()


def test_every_line_of_the_layers_names_modules_that_exist() -> None:
    for pattern in (pattern for patterns in LAYERS for pattern in patterns):
        assert any(fnmatchcase(name, pattern) for name in modules(ROOT)), pattern


def test_contributing_has_one_line_for_every_module() -> None:
    lines = re.findall(r"^- `([\w/]+\.py)`: \S", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), re.MULTILINE)
    here = [str(file.relative_to(ROOT)) for file in modules(ROOT).values()]

    assert sorted(lines) == sorted(name for name in here if "/migrations/" not in name)


def test_a_long_module_says_why_it_is_one() -> None:
    long = {
        name for name, file in modules(ROOT).items() if len(file.read_text("utf-8").splitlines()) > MOST_LINES
    }

    assert long == LONG_MODULES.keys()


@pytest.mark.parametrize(
    ("module", "line", "complaint"),
    [
        ("bot/jobs.py", "import discord", "bot.jobs uses discord"),
        ("bot/worker.py", "from discord.ext import commands", "bot.worker uses discord.ext.commands"),
        ("cogs/quota.py", "import sqlalchemy as sa", "cogs.quota uses sqlalchemy"),
        ("bot/jobs.py", "def f():\n    from sqlalchemy import select", "bot.jobs uses sqlalchemy"),
        ("bot/app.py", "import alembic.command", "bot.app uses alembic"),
        ("bot/web.py", "import os\nos.environ['A']", "bot.web uses os.environ"),
        ("bot/web.py", "from os import getenv", "bot.web uses os.getenv"),
        ("bot/cards.py", "from PIL import Image", "bot.cards uses PIL"),
        ("bot/reports.py", "from matplotlib import pyplot", "bot.reports uses matplotlib.pyplot"),
        ("bot/models.py", "from pydantic import BaseModel", "bot.models uses pydantic"),
        (
            "bot/models.py",
            "from bot.errors import BotError",
            "bot.models imports bot.errors, which stands above it",
        ),
        ("bot/text.py", "from bot import errors", "circle: bot."),
        ("bot/text.py", "import bot.money\nfrom bot import errors", "bot.text imports bot.errors, which"),
        ("storage/jobs.py", "from bot import jobs", "storage.jobs imports bot.jobs, which stands above it"),
        (
            "bot/worker.py",
            "from bot.client import SoraBot",
            "bot.worker imports bot.client, which stands above",
        ),
        (
            "bot/client.py",
            "from cogs.video import VideoCog",
            "bot.client imports cogs.video, which stands above",
        ),
        ("bot/web.py", "from bot.app import open_app", "bot.web imports bot.app, which stands above it"),
        (
            "bot/worker.py",
            "from bot.sandbox import sizes",
            "bot.worker imports bot.sandbox.sizes, a stand-in",
        ),
        (
            "bot/sandbox/studio.py",
            "from bot import jobs",
            "bot.sandbox.studio imports bot.jobs, which the stand-ins",
        ),
        ("bot/quotas.py", "from . import money", "bot.quotas uses relative imports"),
        ("bot/stray.py", "", "bot.stray stands in no line of the layers"),
    ],
)
def test_a_breach_of_the_rules_is_seen(copy: Path, module: str, line: str, complaint: str) -> None:
    file = copy / module
    before = file.read_bytes() if file.exists() else None
    file.write_bytes((before or b"") + f"\n{line}\n".encode())

    new = complaints(copy) - complaints_now()

    assert any(found.startswith(complaint) for found in new), new
    if before is None:
        file.unlink()
    else:
        file.write_bytes(before)
