"""What the clip of a task is to show, and how large it is."""

from collections.abc import Sequence

from bot.models import VideoRequest
from bot.sandbox.drawing import Clip
from bot.sandbox.pictures import examine
from bot.sandbox.sizes import pixels
from bot.sandbox.tasks import Task


def clip_of(task: Task, pictures: Sequence[bytes]) -> Clip:
    """Describe the clip; a picture that it lies like is decoded for that, which takes a moment."""
    request = task.request
    picture, end_picture = (*pictures, b"", b"")[:2]
    width, height = task.size or pixels(request.shape, request.quality)
    if task.shape_by_picture:
        facts = examine(picture)
        sides = sorted((width, height), reverse=facts.width >= facts.height)
        width, height = sides[0], sides[1]
    name = request.model.partition("/")[2]  # a clip from here must not bear a gateway's name
    seconds = task.length_seconds or request.seconds
    return Clip(
        prompt=request.prompt,
        detail=", ".join((name, f"{seconds:g} s", f"{width} x {height}", *_choices(request))),
        seconds=seconds,
        width=width,
        height=height,
        picture=picture,
        end_picture=end_picture,
        sound=request.sound is not False,
    )


def _choices(request: VideoRequest) -> list[str]:
    """Say on the clip what was chosen, so that it can be seen to have arrived."""
    found = {
        "watermark kept": request.keep_watermark,
        "silent": request.sound is False,
        f"style {request.style}": request.style,
        f"seed {request.seed}": request.seed is not None,
        f"without {request.negative_prompt}": request.negative_prompt,
    }
    return [words for words, chosen in found.items() if chosen]
