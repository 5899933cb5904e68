"""The process that reads one member's picture: whatever the file does to it, it ends soon and uses little.

It takes one line of JSON and the file from stdin, and writes one line of JSON and the fitted file to stdout.
"""

import contextlib
import dataclasses
import json
import sys

from bot import pictures
from bot.errors import BadPicture
from bot.models import Shape


def main() -> None:
    """Fit the picture, or say in the answer why not."""
    wish = json.loads(sys.stdin.buffer.readline())
    _limit(seconds=wish["most_seconds"], memory_bytes=wish["most_memory_bytes"])
    sizes = {Shape(shape): tuple(pixels) if pixels else None for shape, pixels in wish["sizes"].items()}
    try:
        fitted = pictures.fit(sys.stdin.buffer.read(), sizes=sizes, webp=wish["webp"])
    except BadPicture as error:
        answer, data = {"refused": str(error)}, b""
    else:
        answer, data = dataclasses.asdict(fitted), fitted.data
        del answer["data"]
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n" + data)


def _limit(*, seconds: int, memory_bytes: int) -> None:
    """Bound this process, also for when nobody is left to stop it; Windows has no such limits."""
    with contextlib.suppress(ImportError):
        import resource  # noqa: PLC0415

        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))


if __name__ == "__main__":
    main()
