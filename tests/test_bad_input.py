"""What cannot be ordered is refused in private (a mention in public), stored nowhere and costs nothing."""

import io
import struct
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.acting import GONE, NO_BALANCE, availability, channel_without, world_with
from tests.world import World, open_world, picture

PRO = "apixo/sora-2-pro"
VEO = "apixo/veo-3-1-fast, apixo/veo-3-1-quality"  # the others whose price is known


async def assert_nothing_happened(world: World) -> None:
    assert await world.jobs() == []
    assert not [message for message in world.posts() if message.components]
    assert "$100.00 left" in await world.ask("quota show")
    assert world.gateway.submitted == []


# Prompts

PROMPTS = {
    "nothing": ({}, ["`prompt`", "`prompt_file`", "1 to 10,000 characters"]),
    "spaces": ({"prompt": "   "}, ["The prompt is empty", "1 to 10,000 characters"]),
    "invisible characters": ({"prompt": "\u200b\u2060 \u00ad\u3164"}, ["The prompt is empty"]),
    "too much for the model": (
        {"prompt": "x" * 5001, "model": PRO},
        ["The prompt has 5,001 characters", "takes at most 5,000"],
    ),
    "both": ({"prompt": "A fox", "prompt_file": ("p.txt", b"A fox")}, ["both", "exactly one"]),
    "an empty file": ({"prompt_file": ("p.txt", b"")}, ["The prompt is empty"]),
    "a file of blanks": ({"prompt_file": ("p.txt", b" \n\t")}, ["The prompt is empty"]),
    "a file in UTF-16": (
        {"prompt_file": ("p.txt", "A fox".encode("utf-16"))},
        ["(12 bytes) is no UTF-8 text", "at most 65,536 bytes"],
    ),
    "a file in Latin-1": ({"prompt_file": ("p.txt", "Füchse".encode("latin-1"))}, ["is no UTF-8 text"]),
    "a binary file that decodes": ({"prompt_file": ("p.txt", b"A fox\0\x01")}, ["is no UTF-8 text"]),
    "a file over 64 KiB": (
        {"prompt_file": ("p.txt", b"x" * 65_537)},
        ["has 65,537 bytes", "at most 65,536"],
    ),
    "a file with too much text": (
        {"prompt_file": ("p.txt", b"x" * 10_001)},
        ["has 10,001 characters", "at most 10,000"],
    ),
}


@pytest.mark.parametrize("name", PROMPTS)
async def test_a_prompt_that_cannot_be(world: World, name: str) -> None:
    options, sentences = PROMPTS[name]
    told = await world.create(**options)
    assert [sentence for sentence in sentences if sentence not in told] == [], told
    await assert_nothing_happened(world)


async def test_a_file_may_be_longer_than_discord_lets_people_type(world: World) -> None:
    prompt = "Füchse " * 1000
    told = await world.create(prompt_file=("p.txt", b"\xef\xbb\xbf" + prompt.encode()))
    assert "is ordered" in told
    assert (await world.job()).request.prompt == prompt.strip()


async def test_lengths_are_counted_in_code_points(world: World) -> None:
    assert "is ordered" in await world.create(prompt="🦊" * 5000, model=PRO)
    assert "5,001 characters" in await world.create(prompt="🦊" * 5001, model=PRO)


# What a model has not

LANDSCAPE_FROM_TEXT = """
[models."apixo/wide"]
like = "apixo/sora-2"
[models."apixo/wide".modes.text-to-video]
sizes = [ { send = { aspect_ratio = "landscape" }, shape = "landscape" } ]
[models."apixo/wide".modes.image-to-video]
sizes = [ { send = { aspect_ratio = "landscape" }, shape = "landscape" } ]
"""

HAS_NOT = {
    "seconds": ({"seconds": 12}, "makes clips of 10 or 15 seconds, not 12"),
    "no seconds": ({"seconds": 0}, "makes clips of 10 or 15 seconds, not 0"),
    "quality": ({"quality": "720p"}, "has no choice of quality"),
    "seconds of another model": ({"seconds": 10, "model": PRO}, "makes clips of 4, 8 or 12 seconds, not 10"),
    "watermark": (
        {"keep_watermark": True, "model": PRO},
        "has no watermark to keep or leave out. These have: apixo/sora-2",
    ),
    "no watermark": (
        {"keep_watermark": False, "model": PRO},
        "has no watermark to keep or leave out. These have: apixo/sora-2",
    ),
}


@pytest.mark.parametrize("name", HAS_NOT)
async def test_what_a_model_has_not_is_refused_with_what_it_has(world: World, name: str) -> None:
    options, sentence = HAS_NOT[name]
    assert sentence in await world.create(prompt="A fox", **options)
    await assert_nothing_happened(world)


async def test_a_shape_the_model_has_not_is_refused(tmp_path: Path) -> None:
    async with world_with(tmp_path, LANDSCAPE_FROM_TEXT) as world:
        told = await world.create(prompt="A fox", model="apixo/wide", shape="portrait")
        assert "makes landscape clips, not portrait" in told
        await assert_nothing_happened(world)


async def test_a_picture_of_a_shape_the_model_has_not_is_cropped_when_no_shape_is_given(
    tmp_path: Path,
) -> None:
    async with world_with(tmp_path, LANDSCAPE_FROM_TEXT) as world:
        image = ("tall.png", picture(360, 640))
        told = await world.create(prompt="A fox", model="apixo/wide", image=image)
        assert "cropped to landscape" in told
        await world.settled()
        assert "cropped to landscape" in await world.card()


# Pictures, by each way of ordering


async def by_command(world: World, image: tuple[str, bytes]) -> str:
    return await world.create(prompt="It moves", image=image)


async def by_menu(world: World, image: tuple[str, bytes]) -> str:
    message = await world.member.send(world.channel, "look", attachments=[image])
    shown = await world.member.context_menu(world.channel, "Animate image", message)
    assert shown.acknowledged
    if shown.modal is not None:
        values = {"prompt": "It moves", "offer": ["apixo/sora-2|10"]}
        shown = await world.member.submit_modal(shown, values)
    assert shown.ephemeral
    return shown.response.content


async def by_mention(world: World, image: tuple[str, bytes]) -> str:
    content = f"{world.app.bot.user.mention} It moves"
    await world.member.send(world.channel, content, attachments=[image])
    return world.answers()[-1].content


def animated() -> bytes:
    frames = [Image.new("RGB", (64, 36), colour) for colour in ("red", "blue")]
    with io.BytesIO() as file:
        frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=50)
        return file.getvalue()


def bomb() -> bytes:
    """A PNG whose header says 20,000 x 20,000; nothing more is read of it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


PICTURES: dict[str, tuple[tuple[str, bytes], str]] = {
    "no picture": (("notes.png", b"These are my notes."), "not a picture"),
    "a text file": (("notes.txt", b"These are my notes."), "picture"),
    "a truncated one": (("cut.png", picture(640, 360)[:-400]), "damaged or cut short"),
    "nothing": (("empty.png", b""), "0 bytes"),
    "a bomb": (("bomb.png", bomb()), "megapixels"),
    "an animated one": (("moves.gif", animated()), "animated"),
}


@pytest.mark.parametrize("way", [by_command, by_menu, by_mention])
@pytest.mark.parametrize("name", PICTURES)
async def test_a_picture_that_cannot_be(
    world: World, name: str, way: Callable[[World, tuple[str, bytes]], Awaitable[str]]
) -> None:
    image, sentence = PICTURES[name]
    assert sentence in await way(world, image)
    await assert_nothing_happened(world)


@pytest.mark.parametrize("way", [by_command, by_menu, by_mention])
async def test_a_picture_over_50_mb_is_refused_unread(
    world: World,
    way: Callable[[World, tuple[str, bytes]], Awaitable[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(world.env.backend.cdn, "get", None)  # whoever downloads it now fails
    told = await way(world, ("large.png", bytes(50 * 1024 * 1024 + 1)))
    assert "50.1 MB; at most 50 MB" in told
    await assert_nothing_happened(world)


@pytest.mark.parametrize("way", [by_command, by_mention])
async def test_a_picture_that_discord_does_not_hand_out(
    world: World,
    way: Callable[[World, tuple[str, bytes]], Awaitable[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(world.env.backend.cdn, "get", lambda _: None)
    assert "Discord did not hand out the attached file" in await way(world, ("a.png", picture()))
    await assert_nothing_happened(world)


# Models


async def test_an_unknown_model_is_shown_inert_with_the_alternatives(world: World) -> None:
    told = await world.create(prompt="A fox", model="so`ra @everyone\u202e [x](https://x.example)" + "y" * 90)
    assert told.startswith("There is no model `so\u02cbra @everyone [x](https://x.example)yyy")
    assert told.endswith(f"…` here. Instead: apixo/sora-2, apixo/sora-2-pro, {VEO}.")
    await assert_nothing_happened(world)


async def test_a_model_without_key_is_refused_with_the_alternatives(world: World) -> None:
    told = await world.create(prompt="A fox", model="pixazo/sora-2-pro")
    assert f"its gateway is not set up here. Instead: apixo/sora-2, apixo/sora-2-pro, {VEO}." in told
    await assert_nothing_happened(world)


async def test_the_sandbox_is_no_model_where_there_is_a_key(world: World) -> None:
    told = await world.create(prompt="A fox", model="sandbox/sora-2")
    assert told.startswith("There is no model `sandbox/sora-2` here.")
    assert "sandbox" not in str(await world.member.autocomplete(world.channel, "video create", "model", ""))


async def test_a_retired_model_is_refused_with_its_note(tmp_path: Path) -> None:
    models = '[models."apixo/sora-2"]\nstatus = "retired"\nnote = "Gone since May."'
    async with world_with(tmp_path, models) as world:
        told = await world.create(prompt="A fox", model="apixo/sora-2")
        assert told == (
            f"apixo/sora-2 cannot be ordered: it is retired. Gone since May. Instead: {PRO}, {VEO}."
        )
        assert (await world.ask("video models")).count("Gone since May.") == 1
        await assert_nothing_happened(world)


async def test_a_model_that_is_out_is_refused_with_the_reason(world: World) -> None:
    await availability(world).take_out("apixo/sora-2", GONE)
    told = await world.create(prompt="A fox", model="apixo/sora-2")
    assert "`model not found <@1> \u02cbx\u02cb`" in told
    assert f"Instead: apixo/sora-2-pro, {VEO}." in told
    await assert_nothing_happened(world)


async def test_a_stopped_key_is_the_operators_affair(world: World) -> None:
    await availability(world).stop_key("apixo", NO_BALANCE)
    told = await world.create(prompt="A fox", model="apixo/sora-2")
    assert "the operator has to act. Nothing else can be ordered now." in told
    assert "0.13" not in told + await world.ask("video models")
    assert "Nothing else can be ordered now" in await world.create(prompt="A fox")
    await assert_nothing_happened(world)


# Money


@pytest.mark.parametrize("way", [by_command, by_menu])
async def test_an_order_over_the_limit_is_refused_with_every_sum(
    tmp_path: Path, way: Callable[[World, tuple[str, bytes]], Awaitable[str]]
) -> None:
    async with open_world(tmp_path / "data", default_user_monthly_limit="1.40") as world:
        await world.create(prompt="The first")
        await world.settled()
        await world.create(prompt="The second")
        told = await way(world, ("hills.png", picture()))
        assert "your limit: $1.40 a month" in told
        assert "$0.50 is spent and $0.50 is held" in told
        assert "This order costs ≈$0.50" in told
        assert "The month turns <t:1796083200:R>" in told
        assert len(await world.jobs()) == 2
        await world.settled()


async def test_a_mention_over_the_limit_is_refused_without_amounts(tmp_path: Path) -> None:
    async with open_world(tmp_path / "data", default_user_monthly_limit="0.40") as world:
        told = await by_mention(world, ("hills.png", picture()))
        assert "This would go over your limit" in told
        assert "$" not in told
        assert await world.jobs() == []


async def test_the_operators_limit_is_named(tmp_path: Path) -> None:
    async with open_world(tmp_path / "data", operator_monthly_limit="0.40") as world:
        assert "the operator's limit for everybody" in await world.create(prompt="A fox")
        await assert_nothing_happened(world)


# Places

PERMISSIONS = {
    "view_channel": "View Channel",
    "send_messages": "Send Messages",
    "attach_files": "Attach Files",
    "read_message_history": "Read Message History",
}


@pytest.mark.parametrize("permission", PERMISSIONS)
async def test_a_missing_permission_is_named_before_anything_is_held(world: World, permission: str) -> None:
    channel = channel_without(world, permission)
    result = await world.member.slash(channel, "video create", prompt="A fox")
    assert result.ephemeral
    assert f"**{PERMISSIONS[permission]}**" in result.response.content
    assert "Send Messages in Threads" not in result.response.content
    await assert_nothing_happened(world)


async def test_a_thread_needs_its_own_permission_to_send(world: World) -> None:
    parent = channel_without(world, "send_messages", "send_messages_in_threads")
    thread = await make_thread(world, parent)
    result = await world.member.slash(thread, "video create", prompt="A fox")
    assert "I lack **Send Messages in Threads**." in result.response.content
    await assert_nothing_happened(world)


async def test_a_thread_needs_no_permission_to_send_outside_of_threads(world: World) -> None:
    thread = await make_thread(world, channel_without(world, "send_messages"))
    result = await world.member.slash(thread, "video create", prompt="A fox")
    assert "is ordered" in result.response.content


async def test_the_menu_names_a_missing_permission_before_it_opens_a_form(world: World) -> None:
    channel = channel_without(world, "attach_files")
    message = await world.member.send(channel, "look", attachments=[("a.png", picture())])
    shown = await world.member.context_menu(channel, "Animate image", message)
    assert shown.modal is None
    assert "I lack **Attach Files**." in shown.response.content


async def make_thread(world: World, parent: Any) -> Any:
    world.env.backend.create_thread(parent.id, "a thread", world.member.id)
    await world.env.settle()
    return parent.threads[0]


async def test_a_server_that_is_not_allowed_is_told_which_setting(tmp_path: Path) -> None:
    async with open_world(tmp_path / "data", allowed_servers="1, 2") as world:
        told = await world.create(prompt="A fox")
        assert "ALLOWED_SERVERS" in told
        assert str(world.guild.id) in told
        await assert_nothing_happened(world)


async def test_an_allowed_server_may_order_beside_others(tmp_path: Path) -> None:
    async with open_world(tmp_path / "data", allowed_servers="5000") as world:
        guild = world.env.create_guild("Allowed", id=5000)
        channel = guild.create_text_channel("videos")
        member = guild.add_member(world.member.user)
        result = await member.slash(channel, "video create", prompt="A fox")
        assert "is ordered" in result.response.content
        assert "ALLOWED_SERVERS" in await world.create(prompt="A fox")


async def test_without_the_setting_a_bot_in_two_servers_takes_no_orders(world: World) -> None:
    world.env.create_guild("Another")
    assert "ALLOWED_SERVERS" in await world.create(prompt="A fox")
    await assert_nothing_happened(world)


# Words that would like to be more

HOSTILE = (
    "@everyone <@&5> <@7> ```\nout\n``` `tick` [masked](https://evil.example) https://evil.example "
    "\u202eright to left\u202c # head\n> quote ||spoiler|| " + "x" * 4000
)


async def test_a_hostile_prompt_is_inert_wherever_it_is_shown(world: World) -> None:
    await world.create(prompt=HOSTILE)
    await world.settled()
    job = await world.job()
    assert job.request.prompt == HOSTILE
    texts = [
        await world.card(),
        await world.ask("video list"),
        await world.ask("video show", job=job.job_id),
        *(message.content for message in world.answers()),
    ]
    for text in texts:
        assert "\u202e" not in text
        assert_inert(text)
        assert len(text) <= 4000
    for message in world.posts():
        assert not message.mention_everyone
        assert not message.role_mentions
        assert {user.id for user in message.mentions} <= {world.member.id}


def assert_inert(text: str) -> None:
    """Nothing of what a person wrote stands outside of code."""
    outside = text.split("```")
    assert len(outside) % 2 == 1, "a code block is left open"
    plain = "".join(part for line in outside[::2] for part in line.split("`")[::2])
    for word in ("@everyone", "<@&5>", "<@7>", "evil.example", "||", "# head"):
        assert word not in plain, text
