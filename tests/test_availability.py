"""Which models take orders, as keys and models go out and come back."""

import datetime as dt
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import pytest

from bot.availability import Availability
from bot.catalogue import Catalogue
from bot.catalogue_tables import load_catalogue
from bot.errors import ModelUnavailable
from bot.models import Account, Failure, FailureKind, OutageScope
from bot.pauses import Pauses
from bot.track import Track
from storage.database import Database
from storage.outages import OutageStore
from storage.pauses import PauseStore
from storage.track import TrackStore
from tests.world import SteppedTime

BOTH = ("apixo", "pixazo")
PRO = "pixazo/sora-2-pro"
NO_ACCESS = Failure(kind=FailureKind.NO_ACCESS, detail="key sk-123 was revoked")
GONE = Failure(kind=FailureKind.MODEL_GONE)

SHIPPED = load_catalogue()
NAMES = ("apixo/sora-2", "apixo/sora-2-pro", PRO, "sandbox/sora-2", "sandbox/sora-2-pro", "sandbox/pixazo")
FEW = Catalogue({name: SHIPPED.models[name] for name in NAMES}, SHIPPED.gateways)

Opened = Callable[..., Availability]


@pytest.fixture
def time() -> SteppedTime:
    return SteppedTime()


@pytest.fixture
async def opened(tmp_path: Path, time: SteppedTime) -> AsyncGenerator[Opened]:
    """Make an Availability on one database, as a start of the program does."""
    database = Database(tmp_path / "bot.sqlite3")
    await database.migrate()

    def make(gateways: tuple[str, ...] = BOTH, default: str | None = None) -> Availability:
        return Availability(
            FEW,
            OutageStore(database),
            gateways=gateways,
            unprobed=[name for name in gateways if name == "pixazo"],
            default_model=default,
            pauses=Pauses(PauseStore(database), clock=time.now),
            track=Track(TrackStore(database), clock=time.now),
            clock=time.now,
        )

    yield make
    await database.close()


def ids(availability: Availability) -> list[str]:
    return [model.model_id for model in availability.orderable()]


async def test_models_with_a_key_are_orderable_in_the_order_of_the_catalogue(opened: Opened) -> None:
    assert ids(opened()) == ["apixo/sora-2", "apixo/sora-2-pro", PRO]
    assert ids(opened(("pixazo",))) == [PRO]
    assert opened().account is Account.REAL


async def test_without_any_key_the_sandbox_is_orderable_on_its_own_account(opened: Opened) -> None:
    sandbox = opened(("sandbox-apixo", "sandbox-pixazo"))
    assert ids(sandbox) == ["sandbox/sora-2", "sandbox/sora-2-pro", "sandbox/pixazo"]
    assert sandbox.account is Account.SANDBOX


async def test_the_first_orderable_model_is_chosen_where_none_is_named(opened: Opened) -> None:
    assert opened().choose(None).model_id == "apixo/sora-2"
    assert opened().choose("  ").model_id == "apixo/sora-2"
    assert opened(default=PRO).choose(None).model_id == PRO
    assert opened(default=PRO).choose(" apixo/sora-2 ").model_id == "apixo/sora-2"


async def test_a_default_that_cannot_be_ordered_is_refused_rather_than_replaced(opened: Opened) -> None:
    with pytest.raises(ModelUnavailable, match=r"not set up here\. Instead: apixo/sora-2, apixo/sora-2-pro"):
        opened(("apixo",), default=PRO).choose(None)


async def test_a_stopped_key_stops_all_its_models_and_says_nothing_of_the_key(opened: Opened) -> None:
    availability = opened()
    await availability.stop_key("apixo", NO_ACCESS)
    assert ids(availability) == [PRO]
    with pytest.raises(ModelUnavailable) as refused:
        availability.choose("apixo/sora-2")
    assert "the operator has to act. Instead: pixazo/sora-2-pro." in str(refused.value)
    assert "sk-123" not in str(refused.value)


async def test_a_key_stays_stopped_since_it_was_first_refused_and_over_a_restart(
    opened: Opened, time: SteppedTime
) -> None:
    availability = opened()
    since = time.now()
    await availability.stop_key("apixo", NO_ACCESS)
    time.jump(hours=30)
    await availability.stop_key("apixo", Failure(kind=FailureKind.NO_BALANCE))
    restarted = opened()
    await restarted.load()
    outage = restarted.key_outage("apixo")
    assert outage is not None
    assert (outage.since, outage.failure) == (since, FailureKind.NO_BALANCE)
    assert ids(restarted) == [PRO]


async def test_where_no_free_question_exists_an_order_may_ask_every_15_minutes(
    opened: Opened, time: SteppedTime
) -> None:
    availability = opened(("pixazo",))
    await availability.stop_key("pixazo", NO_ACCESS)
    assert ids(availability) == []
    time.jump(minutes=15)
    assert ids(availability) == [PRO]
    assert availability.claim_probe("pixazo")
    assert not availability.claim_probe("pixazo")
    assert ids(availability) == []


async def test_an_accepted_order_opens_key_and_model(opened: Opened) -> None:
    availability = opened()
    model = availability.choose(PRO)
    await availability.stop_key("pixazo", NO_ACCESS)
    await availability.take_out(PRO, GONE)
    await availability.works(model)
    assert availability.outages() == []
    restarted = opened()
    await restarted.load()
    assert restarted.outages() == []


async def test_a_model_is_out_for_a_day_over_restarts(opened: Opened, time: SteppedTime) -> None:
    await opened().take_out(PRO, GONE)
    restarted = opened()
    await restarted.load()
    with pytest.raises(ModelUnavailable, match=r"that it is gone \(`model gone`\)"):
        restarted.choose(PRO)
    time.jump(hours=23, minutes=59)
    assert PRO not in ids(restarted)
    time.jump(minutes=1)
    assert restarted.choose(PRO).model_id == PRO
    assert restarted.outages() == []
    await restarted.take_out(PRO, GONE)
    outage = restarted.model_outage(PRO)
    assert outage is not None
    assert outage.since == time.now() == dt.datetime(2026, 11, 22, 12, 0, tzinfo=dt.UTC)


async def test_reopening_ends_one_outage_and_no_other(opened: Opened) -> None:
    availability = opened()
    await availability.take_out(PRO, GONE)
    await availability.stop_key("apixo", NO_ACCESS)
    assert await availability.reopen(OutageScope.KEY, "apixo")
    assert not await availability.reopen(OutageScope.KEY, "apixo")
    assert ids(availability) == ["apixo/sora-2", "apixo/sora-2-pro"]


async def test_a_clock_that_was_set_back_keeps_nothing_out_for_longer(
    opened: Opened, time: SteppedTime
) -> None:
    both = opened()
    time.jump(days=365)
    await both.stop_key("pixazo", NO_ACCESS)
    await both.take_out("apixo/sora-2", GONE)
    time.jump(days=-365)
    assert both.model_outage("apixo/sora-2") is None
    assert ids(both) == ["apixo/sora-2", "apixo/sora-2-pro", PRO]
    assert both.claim_probe("pixazo")
    assert not both.claim_probe("pixazo")
