"""`make crash`: kill the bot as often as is asked for, compare the books, and say what was seen."""

import argparse
import asyncio
import secrets
import sys
import tempfile
from pathlib import Path

from tests.crash.report import storm, written


def main() -> int:
    """Run the storm; 1 says that a book does not agree."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=64, help="how often to kill; 64 is every boundary once")
    parser.add_argument("--seed", default="", help="repeat the choices of an earlier run")
    parser.add_argument("--folder", type=Path, help="where to keep databases and logs")
    chosen = parser.parse_args()
    seed = chosen.seed or secrets.token_hex(4)
    folder = chosen.folder or Path(tempfile.mkdtemp(prefix="crash-"))
    print(f"seed {seed}; databases and logs in {folder}", flush=True)  # noqa: T201
    ended = asyncio.run(storm(folder, kills=chosen.kills, seed=seed))
    print(written(ended))  # noqa: T201
    return 1 if any(outcome.complaints for outcome in ended.outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
