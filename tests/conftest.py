"""Fixtures that most tests share."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.world import World, open_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[World]:
    """A bot with an APIXO key, in a server of its own."""
    async with open_world(tmp_path / "data") as opened:
        yield opened
