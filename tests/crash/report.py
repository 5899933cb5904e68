"""Runs a bot with and one without callbacks through a storm of kills, and writes what came of it."""

import asyncio
import dataclasses
import random
import statistics
import time
from pathlib import Path

from tests.crash.plan import EVERY, plans
from tests.crash.traps import Boundary
from tests.crash.trial import Outcome, Trial


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ended:
    """A storm that is over."""

    seed: str
    seconds: float
    outcomes: tuple[Outcome, ...]
    histories: str

    @property
    def kills(self) -> int:
        return sum(len(outcome.kills) for outcome in self.outcomes)

    @property
    def kills_after_ready(self) -> int:
        return sum(kill.was_ready for outcome in self.outcomes for kill in outcome.kills)

    @property
    def missed(self) -> set[Boundary]:
        """The boundaries at which no kill came."""
        return set(EVERY).difference(*(outcome.struck for outcome in self.outcomes))


async def storm(folder: Path, *, kills: int, seed: str) -> Ended:
    """Kill as often as is asked for."""
    began_at = time.monotonic()
    alone, called = plans(kills, random.Random(seed))
    trials = (
        Trial(folder / "alone", name="alone", seed=seed, callbacks=False),
        Trial(folder / "called", name="called", seed=seed, callbacks=True),
    )
    outcomes = await asyncio.gather(trials[0].run(alone), trials[1].run(called))
    return Ended(
        seed=seed,
        seconds=time.monotonic() - began_at,
        outcomes=tuple(outcomes),
        histories="\n".join(
            trial.histories(outcome.complaints) for trial, outcome in zip(trials, outcomes, strict=True)
        ),
    )


def written(ended: Ended) -> str:
    """Write the report."""
    lines = [
        f"{ended.kills} kills, {ended.kills_after_ready} of them after READY, in {ended.seconds:.0f} s",
        f"seed {ended.seed}",
    ]
    by_boundary = dict[str, list[float]]()
    for kill in (kill for outcome in ended.outcomes for kill in outcome.kills):
        by_boundary.setdefault(str(kill.at or "at a random instant"), []).append(kill.after_seconds)
    lines += [
        f"  {len(seconds):4} {boundary}, {statistics.mean(seconds):.1f} s after a start"
        for boundary, seconds in sorted(by_boundary.items())
    ]
    if ended.missed:
        lines.append(f"  not met: {', '.join(map(str, sorted(ended.missed)))}")
    for outcome in ended.outcomes:
        ready = outcome.seconds_to_ready or [0.0]
        stages = ", ".join(f"{count} {stage}" for stage, count in sorted(outcome.stages.items()))
        cut = sum(kill.cut for kill in outcome.kills)
        lines += [
            f"{outcome.name}: {outcome.orders} orders, {outcome.acknowledged} acknowledged; {stages}",
            f"  staff were asked {outcome.requests.total()} times and approved {outcome.requests['ordered']}",
            f"  {outcome.clips} clips posted, ${outcome.charged_micros / 1_000_000:.2f} charged",
            f"  READY {len(ready)} times, in {statistics.median(ready):.1f} s, at most {max(ready):.1f} s",
            f"  {cut} paid requests were cut off; staff released {outcome.released} that never arrived",
        ]
        lines += [f"  WRONG: {complaint}" for complaint in outcome.complaints]
    if any(outcome.complaints for outcome in ended.outcomes):
        lines += ["what the jobs went through:", ended.histories]
    else:
        lines.append("orders, database, gateways and channels agree")
    return "\n".join(lines)
