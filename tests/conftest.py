"""Fixtures that most tests share, and which tests coverage traces."""

import functools
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any

import pytest

from tests.world import World, open_world

# Tracing makes a test take three times as long, and most lines are run by many tests: the first test of every
# file and each fourth after it reach all that is worth knowing.
TRACED_EACH = 4


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """Pause coverage while a test runs that it need not trace, its fixtures included."""
    plugin: Any = item.config.pluginmanager.getplugin("_cov")
    coverage = plugin.cov_controller if plugin is not None else None
    if coverage is None or item.name in _traced(item.session, item.path):
        return (yield)
    coverage.pause()
    try:
        return (yield)
    finally:
        coverage.resume()


@functools.cache
def _traced(session: pytest.Session, file: Path) -> frozenset[str]:
    """Return the names of a file's tests that are traced."""
    return frozenset([item.name for item in session.items if item.path == file][::TRACED_EACH])


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[World]:
    """A bot with an APIXO key, in a server of its own."""
    async with open_world(tmp_path / "data") as opened:
        yield opened
