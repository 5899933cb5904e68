"""The picture rules, and the room in which hostile pictures do no harm."""

import asyncio
import io
import os
import re
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageDraw

from bot import pictures
from bot.errors import BadPicture
from bot.models import Picture, Shape
from bot.picture_room import MOST_UPLOAD_BYTES, PictureRoom, check_upload_size, stored
from bot.pictures import MOST_SENT_BYTES

PIXAZO_PIXELS = [(1280, 720), (720, 1280), (1792, 1024), (1024, 1792)]
COLOURS = ["red", "lime", "blue", "yellow"]


class Rules:
    """What a room does, without the process that takes its time to start."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def measure(self, data: bytes) -> Shape:
        return pictures.fit(data, sizes=dict.fromkeys((Shape.LANDSCAPE, Shape.PORTRAIT))).shape

    async def fit(self, data: bytes, *, shape: Shape, pixels: pictures.Pixels | None) -> Picture:
        fitted = pictures.fit(data, sizes={shape: pixels})
        suffix = f".{fitted.content_type.removeprefix('image/').replace('jpeg', 'jpg')}"
        path = stored(self._folder, fitted.data, suffix)
        return Picture(
            path=path,
            content_type=fitted.content_type,
            width=fitted.width,
            height=fitted.height,
            cropped=fitted.cropped,
        )


@pytest.fixture
def room(tmp_path: Path) -> Rules:
    return Rules(tmp_path / "pictures")


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def plain(width: int, height: int, mode: str = "RGB") -> Image.Image:
    return Image.linear_gradient("L").resize((width, height)).convert(mode)


def noise(width: int, height: int, mode: str = "RGB") -> Image.Image:
    return Image.frombytes(mode, (width, height), os.urandom(width * height * len(mode)))


def corners(width: int, height: int) -> Image.Image:
    """Red, lime, blue and yellow quarters, left to right and top to bottom."""
    image = Image.new("RGB", (2, 2))
    for spot, colour in zip([(0, 0), (1, 0), (0, 1), (1, 1)], COLOURS, strict=True):
        ImageDraw.Draw(image).point(spot, colour)
    return image.resize((width, height), Image.Resampling.NEAREST)


def seen_corners(path: Path) -> list[str]:
    """Name the colour in the middle of each quarter of a file on disk."""
    with Image.open(path) as image:
        seen = image.convert("RGB")
    names = {(255, 0, 0): "red", (0, 255, 0): "lime", (0, 0, 255): "blue", (255, 255, 0): "yellow"}
    found: list[str] = []
    for x, y in [(1, 1), (3, 1), (1, 3), (3, 3)]:
        pixel = seen.getpixel((seen.width * x // 4, seen.height * y // 4))
        assert isinstance(pixel, tuple)
        found.append(names[tuple(255 if value > 127 else 0 for value in pixel)[:3]])  # pyright: ignore[reportArgumentType]
    return found


def png_header(width: int, height: int, *, bits: int = 8, colour: int = 2) -> bytes:
    """A PNG that says how large it is and has next to nothing behind it."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return start + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


def rotated(image: Image.Image, orientation: int) -> bytes:
    """The JPEG of a camera held so that its EXIF says `orientation`; upright it is `image`."""
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return saved(image.transpose(undo[orientation]) if orientation in undo else image, "JPEG", exif=exif)


# Sizes stated by Discord


def test_an_upload_of_fifty_megabytes_may_be_downloaded() -> None:
    check_upload_size(1)
    check_upload_size(MOST_UPLOAD_BYTES)


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0 bytes"), (MOST_UPLOAD_BYTES + 1, "50.1 MB; at most 50 MB"), (3 * 1024**3, "3,072.0 MB")],
)
def test_an_empty_or_too_large_upload_is_refused_with_its_size(size: int, words: str) -> None:
    with pytest.raises(BadPicture, match=re.escape(words)):
        check_upload_size(size)


# Shapes


@pytest.mark.parametrize(
    ("size", "shape"),
    [((40, 30), Shape.LANDSCAPE), ((30, 40), Shape.PORTRAIT), ((30, 30), Shape.LANDSCAPE)],
)
async def test_the_longer_side_makes_the_shape_and_a_square_is_landscape(
    room: Rules, size: tuple[int, int], shape: Shape
) -> None:
    assert await room.measure(saved(plain(*size), "PNG")) is shape


@pytest.mark.parametrize(("orientation", "shape"), [(1, Shape.LANDSCAPE), (3, Shape.LANDSCAPE)])
async def test_a_photo_that_is_not_on_its_side_keeps_its_shape(
    room: Rules, orientation: int, shape: Shape
) -> None:
    assert await room.measure(rotated(plain(40, 30), orientation)) is shape


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
async def test_a_photo_on_its_side_is_measured_as_it_is_seen(room: Rules, orientation: int) -> None:
    data = rotated(plain(30, 40), orientation)
    with Image.open(io.BytesIO(data)) as stored:
        assert stored.size == (40, 30)
    assert await room.measure(data) is Shape.PORTRAIT


# Kept as it is


@pytest.mark.parametrize(
    ("kind", "content_type", "suffix"),
    [("JPEG", "image/jpeg", ".jpg"), ("PNG", "image/png", ".png"), ("WEBP", "image/webp", ".webp")],
)
async def test_a_picture_that_is_fine_is_kept_to_the_byte(
    room: Rules, tmp_path: Path, kind: str, content_type: str, suffix: str
) -> None:
    data = saved(plain(40, 30), kind)
    picture = await room.fit(data, shape=Shape.LANDSCAPE, pixels=None)
    assert picture.path.read_bytes() == data
    assert (picture.content_type, picture.width, picture.height, picture.cropped) == (
        content_type,
        40,
        30,
        False,
    )
    assert picture.path.suffix == suffix
    assert [path.name for path in (tmp_path / "pictures").iterdir()] == [picture.path.name]


@pytest.mark.parametrize(("kind", "content_type"), [("JPEG", "image/jpeg"), ("WEBP", "image/jpeg")])
def test_a_webp_becomes_a_jpeg_for_a_model_that_takes_none(kind: str, content_type: str) -> None:
    data = saved(corners(64, 32), kind)
    fitted = pictures.fit(data, sizes={Shape.LANDSCAPE: None}, webp=False)
    assert (fitted.content_type, fitted.data == data) == (content_type, kind == "JPEG")


async def test_a_phones_jpeg_with_a_second_view_inside_is_a_still_jpeg(room: Rules) -> None:
    data = saved(plain(40, 30), "MPO", save_all=True, append_images=[plain(40, 30)])
    picture = await room.fit(data, shape=Shape.LANDSCAPE, pixels=None)
    assert picture.content_type == "image/jpeg"
    assert picture.path.read_bytes() == data


async def test_a_picture_of_the_wanted_pixels_already_is_kept_to_the_byte(room: Rules) -> None:
    data = saved(plain(1280, 720), "WEBP")
    picture = await room.fit(data, shape=Shape.LANDSCAPE, pixels=(1280, 720))
    assert picture.path.read_bytes() == data


async def test_the_same_picture_is_written_once_and_counts_as_new_again(room: Rules) -> None:
    data = saved(plain(40, 30), "PNG")
    first = await room.fit(data, shape=Shape.LANDSCAPE, pixels=None)
    written = first.path.stat().st_ino
    os.utime(first.path, (1, 1))
    again = await room.fit(data, shape=Shape.LANDSCAPE, pixels=None)
    assert again == first
    assert again.path.stat().st_ino == written
    assert again.path.stat().st_mtime > 1  # so that it is not swept before its job is stored


async def test_different_pictures_at_once_do_not_mix(room: Rules) -> None:
    many = [saved(plain(40 + n, 30), "PNG") for n in range(8)]
    pictures = await asyncio.gather(*(room.fit(data, shape=Shape.LANDSCAPE, pixels=None) for data in many))
    assert [picture.path.read_bytes() for picture in pictures] == many


# Converted


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "AVIF"])
async def test_another_still_format_becomes_a_jpeg(room: Rules, kind: str) -> None:
    picture = await room.fit(saved(corners(64, 32), kind), shape=Shape.LANDSCAPE, pixels=None)
    assert (picture.content_type, picture.path.suffix) == ("image/jpeg", ".jpg")
    assert (picture.width, picture.height, picture.cropped) == (64, 32, False)
    assert seen_corners(picture.path) == COLOURS


async def test_transparency_survives_as_a_png(room: Rules) -> None:
    image = corners(64, 32)
    image.putalpha(Image.new("L", image.size, 128))
    picture = await room.fit(saved(image, "TIFF"), shape=Shape.LANDSCAPE, pixels=None)
    assert picture.content_type == "image/png"
    with Image.open(picture.path) as sent:
        assert sent.getpixel((1, 1)) == (255, 0, 0, 128)


async def test_an_alpha_channel_that_hides_nothing_is_no_transparency(room: Rules) -> None:
    picture = await room.fit(saved(plain(64, 32, "RGBA"), "TIFF"), shape=Shape.LANDSCAPE, pixels=None)
    assert picture.content_type == "image/jpeg"


@pytest.mark.parametrize("orientation", [2, 3, 4, 5, 6, 7, 8])
@pytest.mark.parametrize("pixels", [None, (720, 1280)])
async def test_a_photo_is_turned_upright(
    room: Rules, orientation: int, pixels: tuple[int, int] | None
) -> None:
    data = rotated(corners(72, 128), orientation)
    picture = await room.fit(data, shape=Shape.PORTRAIT, pixels=pixels)
    assert (picture.width, picture.height) == (pixels or (72, 128))
    assert not picture.cropped
    assert seen_corners(picture.path) == COLOURS
    with Image.open(picture.path) as sent:
        assert ExifTags.Base.Orientation not in sent.getexif()


async def test_a_tiff_on_its_side_is_turned_once(room: Rules) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    data = saved(corners(72, 128).transpose(Image.Transpose.ROTATE_90), "TIFF", exif=exif)
    assert await room.measure(data) is Shape.PORTRAIT
    picture = await room.fit(data, shape=Shape.PORTRAIT, pixels=None)
    assert (picture.width, picture.height) == (72, 128)
    assert seen_corners(picture.path) == COLOURS


async def test_orientation_one_and_nonsense_leave_a_photo_as_it_is(room: Rules) -> None:
    for orientation in (1, 99):
        data = rotated(plain(40, 30), orientation)
        picture = await room.fit(data, shape=Shape.LANDSCAPE, pixels=None)
        assert picture.path.read_bytes() == data


async def test_a_jpeg_for_printers_becomes_rgb(room: Rules) -> None:
    data = saved(Image.new("CMYK", (64, 32), (0, 255, 255, 0)), "JPEG")
    picture = await room.fit(data, shape=Shape.LANDSCAPE, pixels=None)
    with Image.open(picture.path) as sent:
        assert sent.mode == "RGB"
        red, green, blue = sent.getpixel((9, 9))  # pyright: ignore[reportGeneralTypeIssues]
    assert red > 200
    assert max(green, blue) < 60


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK", "YCbCr"])
async def test_every_mode_can_be_made_exact(room: Rules, mode: str) -> None:
    image = Image.new(mode, (64, 32)) if mode == "I;16" else plain(64, 32, mode)
    data = saved(image, "TIFF" if mode in {"CMYK", "YCbCr"} else "PNG")
    picture = await room.fit(data, shape=Shape.LANDSCAPE, pixels=(1280, 720))
    assert (picture.width, picture.height) == (1280, 720)


async def test_sixteen_bits_of_grey_keep_their_middle(room: Rules) -> None:
    data = saved(Image.new("I;16", (64, 64), 32768), "PNG")
    picture = await room.fit(data, shape=Shape.PORTRAIT, pixels=(720, 1280))
    with Image.open(picture.path) as sent:
        assert sent.convert("L").getpixel((360, 640)) == pytest.approx(127, abs=2)


async def test_a_see_through_palette_stays_see_through(room: Rules) -> None:
    image = Image.new("P", (64, 32), 0)
    image.putpalette([255, 0, 0, 0, 0, 255])
    picture = await room.fit(saved(image, "PNG", transparency=0), shape=Shape.LANDSCAPE, pixels=(1280, 720))
    assert picture.content_type == "image/png"
    with Image.open(picture.path) as sent:
        assert sent.getchannel("A").getextrema() == (0, 0)


async def test_a_colour_profile_goes_along_where_it_still_fits(room: Rules) -> None:
    profile = b"\0" * 128
    for mode, kept in (("RGB", profile), ("CMYK", None)):
        data = saved(plain(64, 32, mode), "JPEG", icc_profile=profile)
        picture = await room.fit(data, shape=Shape.LANDSCAPE, pixels=(1280, 720))
        with Image.open(picture.path) as sent:
            assert sent.info.get("icc_profile") == kept


async def test_a_picture_over_ten_megabytes_is_made_smaller(room: Rules) -> None:
    data = saved(noise(2200, 2000), "PNG", compress_level=1)
    assert len(data) > MOST_SENT_BYTES
    picture = await room.fit(data, shape=Shape.LANDSCAPE, pixels=None)
    assert picture.path.stat().st_size <= MOST_SENT_BYTES
    assert (picture.content_type, picture.width, picture.height) == ("image/jpeg", 2200, 2000)


async def test_a_see_through_picture_over_ten_megabytes_is_laid_on_white(room: Rules) -> None:
    image = noise(1800, 1700, "RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 300, 300))
    picture = await room.fit(saved(image, "PNG", compress_level=1), shape=Shape.LANDSCAPE, pixels=None)
    assert picture.content_type == "image/jpeg"
    assert picture.path.stat().st_size <= MOST_SENT_BYTES
    with Image.open(picture.path) as sent:
        assert sent.getpixel((100, 100)) == (255, 255, 255)


async def test_what_no_quality_makes_small_enough_loses_pixels(room: Rules) -> None:
    data = saved(noise(4600, 4600, "L"), "PNG", compress_level=1)
    picture = await room.fit(data, shape=Shape.LANDSCAPE, pixels=None)
    assert picture.path.stat().st_size <= MOST_SENT_BYTES
    assert (picture.width, picture.height) == (2300, 2300)


# Cut and resized


@pytest.mark.parametrize("pixels", PIXAZO_PIXELS)
@pytest.mark.parametrize("size", [(1, 1), (3000, 100), (100, 3000), (1000, 750)])
async def test_exact_pixels_come_out_of_any_size(
    room: Rules, pixels: tuple[int, int], size: tuple[int, int]
) -> None:
    picture = await room.fit(saved(plain(*size), "JPEG"), shape=Shape.PORTRAIT, pixels=pixels)
    with Image.open(picture.path) as sent:
        assert sent.size == (picture.width, picture.height) == pixels
    assert picture.cropped is (size != (1, 1))


@settings(max_examples=30, deadline=None)
@given(
    size=st.tuples(st.integers(1, 400), st.integers(1, 400)),
    pixels=st.sampled_from(PIXAZO_PIXELS),
    kind=st.sampled_from(["JPEG", "PNG", "WEBP", "GIF"]),
    shape=st.sampled_from(Shape),
)
async def test_exact_pixels_are_exact(
    tmp_path_factory: pytest.TempPathFactory,
    size: tuple[int, int],
    pixels: tuple[int, int],
    kind: str,
    shape: Shape,
) -> None:
    room = Rules(tmp_path_factory.mktemp("pictures"))
    picture = await room.fit(saved(plain(*size), kind), shape=shape, pixels=pixels)
    with Image.open(picture.path) as sent:
        assert sent.size == (picture.width, picture.height) == pixels


@settings(max_examples=30, deadline=None)
@given(size=st.tuples(st.integers(1, 400), st.integers(1, 400)), shape=st.sampled_from(Shape))
async def test_a_cut_stays_inside_and_touches_two_sides(
    tmp_path_factory: pytest.TempPathFactory, size: tuple[int, int], shape: Shape
) -> None:
    room = Rules(tmp_path_factory.mktemp("pictures"))
    picture = await room.fit(saved(plain(*size), "PNG"), shape=shape, pixels=None)
    assert 1 <= picture.width <= size[0]
    assert 1 <= picture.height <= size[1]
    assert picture.width == size[0] or picture.height == size[1]


@pytest.mark.parametrize(
    ("size", "shape", "cut"),
    [
        ((1600, 1200), Shape.PORTRAIT, (675, 1200)),
        ((1000, 1500), Shape.LANDSCAPE, (1000, 562)),
        ((900, 900), Shape.PORTRAIT, (506, 900)),
    ],
)
async def test_the_other_shape_is_the_largest_cut_that_fits(
    room: Rules, size: tuple[int, int], shape: Shape, cut: tuple[int, int]
) -> None:
    picture = await room.fit(saved(plain(*size), "JPEG"), shape=shape, pixels=None)
    assert (picture.width, picture.height) == cut
    assert picture.cropped


@pytest.mark.parametrize(
    ("kind", "size", "pixels"),
    [
        ("PNG", (400, 900), None),
        ("JPEG", (400, 900), (1792, 1024)),
        ("JPEG", (5200, 9000), (1280, 720)),  # large enough for Pillow to decode it at half its size
    ],
)
async def test_the_middle_is_what_stays(
    room: Rules, kind: str, size: tuple[int, int], pixels: tuple[int, int] | None
) -> None:
    width, height = size
    image = Image.new("RGB", size, "red")
    top = (height - width * 9 // 16) // 2
    image.paste("lime", (0, top - 20, width, height - top + 20))
    picture = await room.fit(saved(image, kind), shape=Shape.LANDSCAPE, pixels=pixels)
    with Image.open(picture.path) as sent:
        assert sum(sent.convert("RGB").getchannel("R").histogram()[20:]) == 0  # no red anywhere


@pytest.mark.parametrize(
    ("size", "cropped"),
    [((1920, 1080), False), ((1290, 720), False), ((1300, 720), True), ((1280, 800), True)],
)
async def test_only_a_noticeable_loss_counts_as_cropped(
    room: Rules, size: tuple[int, int], *, cropped: bool
) -> None:
    picture = await room.fit(saved(plain(*size), "PNG"), shape=Shape.LANDSCAPE, pixels=(1280, 720))
    assert picture.cropped is cropped


# Refused


async def refusal(room: Rules, data: bytes) -> str:
    """What a member reads, which is the same whether the picture is measured or fitted."""
    with pytest.raises(BadPicture) as measured:
        await room.measure(data)
    for pixels in (None, (1280, 720)):
        with pytest.raises(BadPicture) as fitted:
            await room.fit(data, shape=Shape.LANDSCAPE, pixels=pixels)
        assert str(fitted.value) == str(measured.value)
    return str(measured.value)


@pytest.mark.parametrize(
    "data",
    [b"hello, I am no picture", b"\xff\xd8\xff", b"%PDF-1.7\n", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"],
)
async def test_what_is_no_picture_is_refused(room: Rules, data: bytes) -> None:
    assert "not a picture" in await refusal(room, data)


async def test_a_format_nobody_asked_for_is_not_even_tried(room: Rules) -> None:
    assert "not a picture" in await refusal(room, saved(plain(40, 30), "TGA"))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
async def test_a_picture_cut_short_is_refused(room: Rules, tmp_path: Path, kind: str) -> None:
    data = saved(noise(200, 100), kind)
    await refusal(room, data[: len(data) // 2])
    assert not (tmp_path / "pictures").exists()


async def test_a_progressive_photo_cut_short_is_refused(room: Rules) -> None:
    data = saved(noise(200, 100), "JPEG", progressive=True)
    assert "cut short" in await refusal(room, data[: len(data) * 3 // 4])


async def test_a_bomb_is_refused_by_its_header(room: Rules) -> None:
    async with asyncio.timeout(1):
        assert "more than 100 megapixels" in await refusal(room, png_header(20_000, 20_000))
        assert "more than 100 megapixels" in await refusal(room, png_header(10_001, 10_000))


async def test_just_under_a_hundred_megapixels_is_taken(room: Rules) -> None:
    data = saved(Image.new("1", (10_000, 9_900)), "PNG")
    assert await room.measure(data) is Shape.LANDSCAPE


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "AVIF"])
async def test_an_animation_is_refused(room: Rules, kind: str) -> None:
    data = saved(plain(40, 30), kind, save_all=True, append_images=[noise(40, 30)], duration=100)
    assert "animated" in await refusal(room, data)


@settings(max_examples=100, deadline=None)
@given(
    kind=st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"]),
    spots=st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 255)), min_size=1, max_size=20),
)
@pytest.mark.filterwarnings("ignore")  # Pillow warns of what is odd in a file before it gives up on it
async def test_a_file_with_broken_bytes_is_taken_or_refused_but_never_an_accident(
    tmp_path_factory: pytest.TempPathFactory, kind: str, spots: list[tuple[int, int]]
) -> None:
    room = Rules(tmp_path_factory.mktemp("pictures"))
    data = bytearray(saved(plain(48, 32), kind))
    for position, value in spots:
        data[position % len(data)] = value
    try:
        await room.measure(bytes(data))
        await room.fit(bytes(data), shape=Shape.PORTRAIT, pixels=(720, 1280))
    except BadPicture:
        pass


# The room


BOTH: dict[Shape, pictures.Pixels | None] = {Shape.LANDSCAPE: (1280, 720), Shape.PORTRAIT: (720, 1280)}


def slow_jpeg(scans: int) -> bytes:
    """A JPEG of 99 megapixels in a few kilobytes, every scan of which is worth a look at all of them."""
    small = saved(Image.new("L", (16, 16), 128), "JPEG", progressive=True)
    size = small.index(b"\xff\xc2") + 5
    last = small.rindex(b"\xff\xda")
    huge = small[:size] + struct.pack(">HH", 9_950, 9_950) + small[size + 4 : -2]
    return huge + small[last:-2] * scans + b"\xff\xd9"


def readers() -> list[str]:
    """The processes of this one that read pictures."""
    found: list[str] = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            is_ours = f"PPid:\t{os.getpid()}\n" in status.read_text()
            words = status.with_name("cmdline").read_text()
        except OSError:
            continue
        if is_ours and "bot.picture_process" in words:
            found.append(words)
    return found


async def test_the_room_fits_a_picture_in_its_own_shape_and_keeps_it(tmp_path: Path) -> None:
    room = PictureRoom(tmp_path / "pictures")
    shape, picture = await room.fit(saved(plain(600, 800), "PNG"), sizes=BOTH)
    assert (shape, picture.width, picture.height, picture.cropped) == (Shape.PORTRAIT, 720, 1280, True)
    assert (picture.content_type, picture.path.suffix) == ("image/jpeg", ".jpg")
    with Image.open(picture.path) as image:
        assert image.size == (720, 1280)
    assert list(picture.path.parent.iterdir()) == [picture.path]
    assert readers() == []


async def test_where_a_model_has_not_the_shape_of_the_picture_it_gets_the_one_it_has(tmp_path: Path) -> None:
    wide = {Shape.LANDSCAPE: (1280, 720)}
    room = PictureRoom(tmp_path)
    shape, picture = await room.fit(saved(plain(60, 80), "PNG"), sizes=wide)
    assert (shape, picture.width, picture.height) == (Shape.LANDSCAPE, 1280, 720)


@pytest.mark.parametrize(("data", "words"), [(b"", "0 bytes"), (b"no picture", "not a picture")])
async def test_the_room_says_why_it_refuses(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(BadPicture, match=words):
        await PictureRoom(tmp_path).fit(data, sizes=BOTH)


async def test_a_picture_that_would_take_hours_is_given_up_and_its_process_is_gone(tmp_path: Path) -> None:
    bomb = slow_jpeg(scans=50_000)
    assert len(bomb) < MOST_UPLOAD_BYTES
    room = PictureRoom(tmp_path, most_seconds=1)
    with pytest.raises(BadPicture, match="too much time or memory"):
        await room.fit(bomb, sizes=BOTH)
    assert readers() == []


async def test_a_picture_that_wants_too_much_memory_is_refused(tmp_path: Path) -> None:
    room = PictureRoom(tmp_path, most_memory_bytes=64 * 1024 * 1024)
    large = saved(Image.new("RGBA", (5_000, 5_000)), "PNG", compress_level=1)
    with pytest.raises(BadPicture, match="too much memory"):
        await room.fit(large, sizes=BOTH)
    small = saved(plain(64, 48), "PNG")
    await room.fit(small, sizes=BOTH)


async def test_whoever_is_cancelled_leaves_no_process_and_the_next_is_served(tmp_path: Path) -> None:
    room = PictureRoom(tmp_path)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await room.fit(slow_jpeg(scans=50_000), sizes=BOTH)
    assert readers() == []
    await room.fit(saved(plain(64, 48), "PNG"), sizes=BOTH)
