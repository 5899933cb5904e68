"""The playground in a browser, used with keyboard and mouse as a newcomer would."""

import asyncio
import re
from pathlib import Path

from playwright.async_api import Page, expect

from bot.app import open_app
from bot.config import Settings
from bot.models import utc_now
from bot.sandbox.drawing import sample_picture
from bot.sandbox.playground import open_playground
from tests.chromium import needs_chromium, open_page

RENDER_SECONDS = 4.0  # long enough to be seen rendering
LONGEST_SECONDS = 60
PLAYED = """
    video => new Promise(done => {
        const look = () => video.currentTime > 0.5 && done([video.videoWidth, video.videoHeight]);
        video.addEventListener("timeupdate", look);
    })
"""


async def order_by_typing(page: Page, prompt: str, picture: bytes) -> None:
    """Type the slash command, fill in two of its options and send it."""
    await page.get_by_placeholder("Message #videos").click()
    await page.keyboard.type("/video create")
    await expect(page.get_by_text("Order a video from a prompt")).to_be_visible()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("option", name="prompt …", exact=True)).to_be_visible()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("textbox", name="prompt")).to_be_focused()
    await page.keyboard.type(prompt)
    await page.get_by_role("button", name=re.compile(r"^\+\d+ more$")).click()
    await page.get_by_role("option", name="image …", exact=True).click()
    await page.get_by_label("image attachment").set_input_files(
        {"name": "hills.png", "mimeType": "image/png", "buffer": picture}
    )
    await page.get_by_role("button", name="Send", exact=True).click()


@needs_chromium
async def test_a_typed_command_becomes_a_card_that_moves_by_itself_and_a_clip_that_plays(
    tmp_path: Path,
) -> None:
    origins: dict[str, str] = {}
    settings = Settings.model_construct(data_dir=tmp_path)
    async with (
        asyncio.timeout(LONGEST_SECONDS),
        open_app(settings, picture_origins=origins, render_seconds=RENDER_SECONDS) as app,
        open_playground(app, origins, clock=utc_now) as playground,
        playground.shown() as window,
        open_page() as page,
    ):
        await page.goto(window.url)
        await order_by_typing(page, "The hills wake up", sample_picture())

        acknowledged = page.get_by_role("article").filter(has_text="Only you can see this")
        await expect(acknowledged).to_contain_text(re.compile(r"Job \w+ is ordered: .* held"))
        card = page.get_by_role("article").filter(has=page.get_by_role("heading"))
        await expect(card.get_by_role("heading", name="Rendering")).to_be_visible()
        await expect(card.get_by_role("img")).to_be_visible()
        await expect(card.get_by_role("heading", name="Done")).to_be_visible(timeout=30_000)

        clip = page.get_by_role("article").filter(has_text="your clip is ready")
        await clip.get_by_role("button", name=re.compile(r"^Play \w+\.mp4$")).click()
        assert await clip.locator("video").evaluate(PLAYED) == [1280, 720]
