"""What follows the answer to a paid request, when the disk fails just then."""

from types import SimpleNamespace
from typing import Any

from bot.acts import Acts
from bot.catalogue_tables import load_catalogue
from bot.errors import StorageTrouble
from bot.gate import Ready
from bot.gateways.base import Refused
from bot.models import Failure, FailureKind
from bot.submitter import Submitter
from bot.troubles import Trouble

NO_BALANCE = Failure(kind=FailureKind.NO_BALANCE, detail="insufficient credits")


async def test_the_job_that_goes_on_is_not_lost_where_its_key_cannot_be_stopped_at_once() -> None:
    """Nobody else knows of it until the next start."""
    job: Any = SimpleNamespace(job_id="first", gateway="apixo", request=SimpleNamespace(model="apixo/sora-2"))
    successor: Any = SimpleNamespace(job_id="second")
    refusals: list[Failure] = []

    async def start_submit(*_: Any, **__: Any) -> Any:
        return job

    async def submit(*_: Any, **__: Any) -> Refused:
        return Refused(failure=NO_BALANCE)

    async def end(*_: Any) -> Any:
        return successor

    async def refused(_: Any, failure: Failure) -> None:
        refusals.append(failure)
        if len(refusals) == 1:
            raise StorageTrouble(Trouble.DISK_FULL, "no room")

    async def sleep(_: float) -> None:
        """No time passes."""

    parts: dict[str, Any] = {
        "store": SimpleNamespace(start_submit=start_submit),
        "catalogue": load_catalogue(),
        "gateways": {"apixo": SimpleNamespace(calls_back=False, submit=submit)},
        "lanes": {},
        "gate": SimpleNamespace(refused=refused),
        "fall_over": SimpleNamespace(end=end),
        "callbacks": SimpleNamespace(address=lambda _: None),
        "clips": None,
        "desk": SimpleNamespace(show=lambda _: None),
        "acts": Acts(),
        "clock": lambda: None,
        "sleep": sleep,
    }
    went_on = await Submitter(**parts).submit(job, Ready(picture=None, end=None))
    assert went_on is successor
    assert refusals == [NO_BALANCE] * 2
