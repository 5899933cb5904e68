import asyncio
import re
import subprocess
from pathlib import Path

import pytest

from bot import media
from bot.media import FfmpegFailed, ShrinkFailed
from bot.shrink import ClipShrinker


def make_clip(path: Path, size: str, *, seconds: int = 2, strength: int = 5, sound: bool = True) -> Path:
    picture = f"testsrc2=s={size}:r=24:d={seconds},noise=alls={strength}:allf=t"
    tone = ["-f", "lavfi", "-i", f"sine=d={seconds}", "-c:a", "aac"] if sound else []
    encode = [
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-crf",
        "18",
        "-pix_fmt",
        "yuv420p",
        "-movflags",
        "+faststart",
    ]
    command = [media.ffmpeg_path(), "-v", "error", "-f", "lavfi", "-i", picture, *tone, *encode, str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return path


@pytest.fixture(scope="module")
def wide_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("made") / "wide.mp4", "1792x1024")


@pytest.fixture
def clip(wide_clip: Path, tmp_path: Path) -> Path:
    path = tmp_path / "clips" / "job.mp4"
    path.parent.mkdir()
    path.hardlink_to(wide_clip)
    return path


def look(path: Path) -> tuple[str, float, bool]:
    """What ffmpeg says of a clip: its size in pixels, its seconds, whether it has sound."""
    command = [media.ffmpeg_path(), "-hide_banner", "-i", str(path)]
    said = subprocess.run(command, capture_output=True, check=False, text=True).stderr
    size, seconds = re.search(r", (\d{3,}x\d{3,})", said), re.search(r"Duration: 00:00:([\d.]+)", said)
    return size[1], float(seconds[1]), "Audio: aac" in said


def running_on(folder: Path) -> list[str]:
    """The command lines of processes that work in a folder."""
    found: list[str] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in words:
            found.append(words)
    return found


async def test_a_clip_is_brought_just_under_the_limit_with_its_sound(clip: Path) -> None:
    limit_bytes = 1_200_000
    assert clip.stat().st_size > limit_bytes
    small = await ClipShrinker().shrink_clip(clip, limit_bytes=limit_bytes)
    assert small == clip.with_name("job.fitted.mp4")
    assert limit_bytes * 0.8 < small.stat().st_size <= limit_bytes
    data = small.read_bytes()
    assert media.is_mp4(data[:12])
    assert data.index(b"moov") < data.index(b"mdat")  # it plays while it still loads
    size, seconds, has_sound = look(small)
    assert (size, has_sound) == ("1792x1024", True)
    assert seconds == pytest.approx(look(clip)[1], abs=0.1)
    assert sorted(path.name for path in clip.parent.iterdir()) == ["job.fitted.mp4", "job.mp4"]


async def test_a_limit_with_too_few_bits_for_every_pixel_makes_it_720p(clip: Path) -> None:
    small = await ClipShrinker().shrink_clip(clip, limit_bytes=600_000)
    assert small.stat().st_size <= 600_000
    assert look(small)[0] == "1260x720"


async def test_a_tall_silent_clip_becomes_720_wide(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "tall.mp4", "810x1440", seconds=1, sound=False)
    small = await ClipShrinker().shrink_clip(clip, limit_bytes=150_000)
    assert small.stat().st_size <= 150_000
    assert look(small) == ("720x1280", pytest.approx(1, abs=0.1), False)


async def test_a_small_clip_keeps_its_size_however_few_the_bits(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "small.mp4", "640x360", seconds=1, strength=30)
    small = await ClipShrinker().shrink_clip(clip, limit_bytes=40_000)
    assert small.stat().st_size <= 40_000
    assert look(small)[0] == "640x360"


async def test_a_clip_within_the_limit_is_left_alone(clip: Path) -> None:
    assert await ClipShrinker().shrink_clip(clip, limit_bytes=clip.stat().st_size) == clip
    assert list(clip.parent.iterdir()) == [clip]


async def test_an_absurd_limit_fails_and_leaves_nothing(clip: Path) -> None:
    with pytest.raises(ShrinkFailed, match="too few"):
        await ClipShrinker().shrink_clip(clip, limit_bytes=10_000)
    assert list(clip.parent.iterdir()) == [clip]


async def test_what_is_no_clip_fails_and_leaves_nothing(tmp_path: Path) -> None:
    playlist = tmp_path / "job.mp4"
    playlist.write_text(f"#EXTM3U\n#EXTINF:1,\nfile://{tmp_path}/other.ts\n" + "#" * 1000)
    with pytest.raises(ShrinkFailed, match="cannot be shrunk"):
        await ClipShrinker().shrink_clip(playlist, limit_bytes=500)
    with pytest.raises(ShrinkFailed):
        await ClipShrinker().shrink_clip(tmp_path / "gone.mp4", limit_bytes=500)
    assert list(tmp_path.iterdir()) == [playlist]


async def test_a_list_that_names_another_clip_is_not_followed(clip: Path) -> None:
    names = clip.with_name("list.mp4")
    names.write_text(f"ffconcat version 1.0\nfile '{clip}'\n" + "#" * 1000)
    with pytest.raises(ShrinkFailed, match="cannot be shrunk"):
        await ClipShrinker().shrink_clip(names, limit_bytes=500)


async def test_a_clip_that_breaks_off_fails_rather_than_getting_shorter(clip: Path) -> None:
    data = clip.read_bytes()
    clip.unlink()
    clip.write_bytes(data[: len(data) // 2])
    with pytest.raises(ShrinkFailed):
        await ClipShrinker().shrink_clip(clip, limit_bytes=1_200_000)
    assert list(clip.parent.iterdir()) == [clip]


async def test_a_clip_that_takes_too_long_fails_and_leaves_nothing(clip: Path) -> None:
    with pytest.raises(ShrinkFailed, match=r"longer than 0\.2 s"):
        await ClipShrinker(timeout_seconds=0.2).shrink_clip(clip, limit_bytes=1_200_000)
    assert list(clip.parent.iterdir()) == [clip]
    assert running_on(clip.parent) == []


async def test_a_cancelled_shrinking_leaves_nothing(clip: Path) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.4):
            await ClipShrinker().shrink_clip(clip, limit_bytes=1_200_000)
    assert list(clip.parent.iterdir()) == [clip]
    assert running_on(clip.parent) == []


async def test_ffmpeg_reads_nothing_but_files() -> None:
    args = ("-i", "http://127.0.0.1:9/clip.mp4", "-f", "null", "-")
    with pytest.raises(FfmpegFailed, match="not on whitelist"):
        await media.run_ffmpeg(args, timeout_seconds=10)


async def test_ffmpeg_is_stopped_when_it_wants_too_much_memory() -> None:
    args = ("-f", "lavfi", "-i", "testsrc2=s=8000x8000:r=1:d=20", "-vf", "reverse", "-f", "null", "-")
    with pytest.raises(FfmpegFailed):
        await media.run_ffmpeg(args, timeout_seconds=20)


@pytest.mark.parametrize(
    ("head", "verdict"),
    [
        (b"\0\0\0\x20ftypisom", True),
        (b"\0\0\0\x18ftypmp42\0\0\0\0", True),
        (b"\0\0\0\x18ftypM4V ", True),
        (b"\0\0\0\x18ftypheic", False),
        (b"\0\0\0\x18ftypavif", False),
        (b"\0\0\0\x18ftypis", False),
        (b"<!doctype html>", False),
        (b"", False),
    ],
)
def test_an_mp4_is_told_by_its_bytes(head: bytes, *, verdict: bool) -> None:
    assert media.is_mp4(head) is verdict
