"""The commands as Discord is told of them, and when it is told."""

from pathlib import Path
from typing import Any

from tests.acting import forget_registration
from tests.world import World, open_world

SUBCOMMAND, GROUP, STRING, INTEGER, BOOLEAN, USER, CHANNEL, ROLE, ATTACHMENT = 1, 2, 3, 4, 5, 6, 7, 8, 11
MANAGE_SERVER = 1 << 5


def sent(world: World) -> list[list[dict[str, Any]]]:
    """Return the payloads of all registrations."""
    puts = [request for request in world.env.http_requests if request.method == "PUT"]
    assert all("/guilds/" not in request.path for request in puts), "commands are registered globally"
    return [request.json or [] for request in puts if request.path.endswith("/commands")]


def commands(world: World) -> dict[str, dict[str, Any]]:
    (payload,) = sent(world)
    return {command["name"]: command for command in payload}


def options(command: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {option["name"]: option for option in command.get("options", [])}


async def test_everything_is_for_servers_alone(world: World) -> None:
    assert set(commands(world)) == {"video", "quota", "video-admin", "Animate image"}
    for command in commands(world).values():
        assert command["contexts"] == [0]
        assert command["integration_types"] == [0]


async def test_video_create_has_these_options_in_this_order(world: World) -> None:
    video = options(commands(world)["video"])
    assert set(video) == {"create", "quote", "list", "show", "cancel", "models"}
    assert all(option["type"] == SUBCOMMAND for option in video.values())
    create = video["create"]["options"]
    assert [(option["name"], option["type"]) for option in create] == [
        ("prompt", STRING),
        ("image", ATTACHMENT),
        ("model", STRING),
        ("seconds", INTEGER),
        ("shape", STRING),
        ("quality", STRING),
        ("sound", STRING),
        ("negative_prompt", STRING),
        ("style", STRING),
        ("seed", INTEGER),
        ("end_image", ATTACHMENT),
        ("prompt_file", ATTACHMENT),
        ("keep_watermark", BOOLEAN),
    ]
    assert video["quote"]["options"] == create
    assert not any(option.get("required") for option in create)
    asked_while_typing = {option["name"] for option in create if option.get("autocomplete")}
    hang_on_the_model = {"seconds", "shape", "quality", "sound", "negative_prompt", "style", "seed"}
    assert asked_while_typing == {"model", *hang_on_the_model}
    assert not any(option.get("choices") for option in create)


async def test_a_job_is_named_and_completed_while_typing(world: World) -> None:
    video = options(commands(world)["video"])
    for name in ("show", "cancel"):
        (job,) = video[name]["options"]
        assert (job["name"], job["type"], job["required"], job["autocomplete"]) == ("job", STRING, True, True)


async def test_staff_commands_ask_for_manage_server_and_the_others_for_nothing(world: World) -> None:
    found = commands(world)
    assert found["video-admin"]["default_member_permissions"] == MANAGE_SERVER
    for name in ("video", "quota", "Animate image"):
        assert found[name].get("default_member_permissions") is None


async def test_a_limit_needs_an_amount_and_may_name_whose_it_is(world: World) -> None:
    quota = options(commands(world)["video-admin"])["quota"]
    assert quota["type"] == GROUP
    given = {
        name: [(option["name"], option["type"], option["required"]) for option in command["options"]]
        for name, command in options(quota).items()
    }
    whose = [("member", USER, False), ("role", ROLE, False), ("channel", CHANNEL, False)]
    more = [("period", STRING, False), ("reason", STRING, False)]
    assert given == {
        "set": [("amount", STRING, True), *whose, *more],
        "clear": [*whose, *more],
        "show": whose,
    }


async def test_the_menu_entry_is_for_messages(world: World) -> None:
    assert commands(world)["Animate image"]["type"] == 3


async def test_a_restart_with_the_same_commands_tells_discord_nothing(tmp_path: Path) -> None:
    async with open_world(tmp_path / "data") as first:
        assert len(sent(first)) == 1
    async with open_world(tmp_path / "data") as second:
        assert sent(second) == []


async def test_changed_commands_are_told_again(tmp_path: Path) -> None:
    async with open_world(tmp_path / "data") as world:
        await forget_registration(world)
    async with open_world(tmp_path / "data") as upgraded:
        assert len(sent(upgraded)) == 1


async def test_a_member_sees_no_staff_commands(world: World) -> None:
    assert not [name for name in world.member.available_commands(world.channel) if "admin" in name]
    assert "video-admin quota set" in world.staff.available_commands(world.channel)
