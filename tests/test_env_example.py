"""`.env.example` is the operator's list of settings: complete, in order, and true about the defaults."""

from pathlib import Path

import dotenv
import pytest

from bot.config import Settings

EXAMPLE = Path(__file__).parent.parent / ".env.example"
NAMES = [name.upper() for name in Settings.model_fields]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to run in, without `.env`, and an environment without settings."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_example_names_every_setting_in_order_and_nothing_else() -> None:
    assert list(dotenv.dotenv_values(EXAMPLE)) == NAMES


def test_the_example_sets_nothing_but_the_defaults(folder: Path) -> None:
    defaults = Settings.read()
    (folder / ".env").write_text(EXAMPLE.read_text("utf-8"), "utf-8")

    assert Settings.read() == defaults


def test_an_example_that_is_filled_in_is_read(folder: Path) -> None:
    filled = EXAMPLE.read_text("utf-8").replace("\nKEEP_DAYS=30\n", "\nKEEP_DAYS=7\n")
    (folder / ".env").write_text(filled, "utf-8")

    assert Settings.read().keep_days == 7


def test_every_setting_of_the_example_is_described_above_it() -> None:
    introduction, *paragraphs = EXAMPLE.read_text("utf-8").split("\n\n")

    assert "=" not in introduction
    for paragraph in paragraphs:
        *description, assignment = paragraph.splitlines()
        assert description, assignment
        assert all(line.startswith("# ") for line in description), assignment
