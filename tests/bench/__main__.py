"""`make bench`: print what the bot takes and how long it keeps people waiting, beside what is aimed at."""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from tests.bench.ack import ack
from tests.bench.clips import clips
from tests.bench.flood import flooded
from tests.bench.load import load, resume
from tests.bench.machine import header, say
from tests.bench.money import money
from tests.bench.pacing import pacing

HISTORIES = Path(tempfile.gettempdir()) / "discord-video-bot-bench"


def main() -> int:
    """Print the parts that are named, or all of them, one after the other."""
    parts: dict[str, tuple[str, Callable[[Path], Coroutine[Any, Any, None]]]] = {
        "ack": ("How soon orders are acknowledged", _without_folder(ack)),
        "load": (
            "1,000 jobs rendering, a gateway that takes 10,000 requests a minute",
            _without_folder(load),
        ),
        "resume": ("1,000 jobs go on after SIGKILL", _without_folder(resume)),
        "clips": ("Ten large clips at once", _without_folder(clips)),
        "pacing": ("How late ends of tasks are found", _without_folder(pacing)),
        "flood": ("1,000 orders within a second", _without_folder(flooded)),
        "money": ("Orders, quotas and reports over a long history", money),
    }
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"of {', '.join(parts)}; all, if none is named"
    )
    parser.add_argument("--folder", type=Path, default=HISTORIES, help="where the long histories are kept")
    chosen = parser.parse_args()
    if unknown := set(chosen.parts) - set(parts):
        parser.error(f"there is no {min(unknown)}; there are {', '.join(parts)}")
    say(header())
    for name in chosen.parts or parts:
        title, part = parts[name]
        say(f"\n{name}: {title}")
        began = time.monotonic()
        asyncio.run(part(chosen.folder))
        say(f"  ({time.monotonic() - began:.0f} s; load {os.getloadavg()[0]:.1f})")
    return 0


def _without_folder(
    part: Callable[[], Coroutine[Any, Any, None]],
) -> Callable[[Path], Coroutine[Any, Any, None]]:
    return lambda _: part()


if __name__ == "__main__":
    sys.exit(main())
