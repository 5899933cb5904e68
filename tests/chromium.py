"""The Chromium of this machine, driven by Playwright; none is ever downloaded."""

import contextlib
import os
import shutil
from collections.abc import AsyncGenerator

import pytest
from playwright.async_api import Page, async_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FOUND = next(filter(None, map(shutil.which, NAMES)), None)
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

needs_chromium = pytest.mark.skipif(
    FOUND is None and "CI" not in os.environ,
    reason=f"there is no Chromium here (looked for {', '.join(NAMES)}); under CI this would fail",
)


@contextlib.asynccontextmanager
async def open_page(*, width: int = 1280, height: int = 900) -> AsyncGenerator[Page]:
    """Start Chromium without a window and open an empty page."""
    assert FOUND is not None, f"no Chromium found; install one of {', '.join(NAMES)}"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=FOUND, args=QUIET)
        try:
            yield await browser.new_page(viewport={"width": width, "height": height})
        finally:
            await browser.close()
