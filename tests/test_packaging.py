"""What a fresh machine relies on: locks that are whole and name no address, a Makefile that explains."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LOCKS = ["requirements.txt", "requirements-dev.txt"]
PIN = re.compile(r"^([a-z0-9-]+)==(\S+)((?:.*\\\n +--hash=sha256:[0-9a-f]{64})+)", re.MULTILINE)


def pins(lock: str) -> set[tuple[str, str]]:
    """Names and versions; a name may have another version for other Pythons."""
    return {(name, version) for name, version, _ in PIN.findall((ROOT / lock).read_text("utf-8"))}


def names(lock: str) -> set[str]:
    return {name for name, _ in pins(lock)}


def name_of(requirement: str) -> str:
    """The name of a requirement as locks write it: `discord-py` for `discord.py>=2.7.1,<2.8`."""
    return re.split(r"[^\w.-]", requirement)[0].replace(".", "-").replace("_", "-").lower()


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_pins_everything_by_hash_and_names_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text("utf-8")

    requirements = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert len(pins(lock)) == len(requirements)
    assert not re.search(r"https?://|file:|--[a-z-]*(index|find|trusted)", text)


def test_the_locks_hold_what_the_project_declares() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    run = {name_of(requirement) for requirement in project["dependencies"]}
    dev = {name_of(requirement) for requirement in project["optional-dependencies"]["dev"]}

    assert run <= names("requirements.txt")
    assert not dev & names("requirements.txt")
    assert run | dev <= names("requirements-dev.txt")


def test_tests_run_on_the_versions_that_operators_run_on() -> None:
    assert pins("requirements.txt") <= pins("requirements-dev.txt")


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")
@pytest.mark.parametrize(
    ("script", "advice"),
    [
        pytest.param(None, "there is no", id="missing"),
        pytest.param('[ "$1" = --version ] && echo Python 3.9.2', "is Python 3.9.2", id="too old"),
        pytest.param('case "$2" in *ensurepip*) exit 1; esac', "python3-venv", id="without venv"),
    ],
)
def test_make_says_what_to_do_about_an_unfit_python(tmp_path: Path, script: str | None, advice: str) -> None:
    python = tmp_path / "python"
    if script is not None:
        python.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
        python.chmod(0o755)

    made = subprocess.run(
        ["make", "install", f"PYTHON={python}", f"VENV={tmp_path / 'venv'}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert made.returncode != 0
    assert advice in made.stderr.splitlines()[0]
    assert not (tmp_path / "venv").exists()
