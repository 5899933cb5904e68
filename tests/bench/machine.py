"""What every part prints: the machine it ran on, and figures beside what is aimed at."""

import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

SYNCS = 100
_A_PAGE = b"\0" * 4096


def header() -> str:
    """Name the machine, the programs and the commit; a load beside us makes figures worse than they are."""
    commit = _git("rev-parse", "--short", "HEAD") or "unknown"
    changed = " with changes" if _git("status", "--porcelain", "--untracked-files=no") else ""
    return (
        f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}; "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}\n"
        f"fsync {_sync_milliseconds():.1f} ms; load before the start "
        f"{' '.join(f'{load:.1f}' for load in os.getloadavg())}; commit {commit}{changed}"
    )


def say(line: str) -> None:
    """Print at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def compare(what: str, figure: float, unit: str, *, aim: float, digits: int = 1) -> None:
    """Print a figure beside the most that it should be."""
    word = "met" if figure <= aim else "MISSED"
    say(f"  {what:58}{figure:10,.{digits}f} {unit:<10}aim {aim:8,.{digits}f}  {word}")


def tell(what: str, figure: float, unit: str, *, digits: int = 1) -> None:
    """Print a figure that nothing is aimed at for."""
    say(f"  {what:58}{figure:10,.{digits}f} {unit}")


def p99(seconds: Sequence[float]) -> float:
    """Return what 99 of 100 do not exceed."""
    return sorted(seconds)[max(-(-len(seconds) * 99 // 100) - 1, 0)]


def in_milliseconds(seconds: Sequence[float]) -> str:
    """Write the median and the 99th percentile."""
    return f"{statistics.median(seconds) * 1000:8.1f}{p99(seconds) * 1000:8.1f}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _sync_milliseconds() -> float:
    """Return how long the disk takes to write a page for good, the median of many."""
    taken: list[float] = []
    with tempfile.TemporaryFile(buffering=0) as file:
        for _ in range(SYNCS):
            file.write(_A_PAGE)
            begun = time.perf_counter()
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - begun)
    return statistics.median(taken) * 1000


def _git(*arguments: str) -> str:
    done = subprocess.run(("git", *arguments), capture_output=True, text=True, check=False)
    return done.stdout.strip()
