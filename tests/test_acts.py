"""Acts are finished once they are begun, within their grace."""

import asyncio

import pytest

from bot.acts import Acts


async def test_an_act_goes_on_when_whoever_waits_for_it_is_cancelled() -> None:
    acts, go_on, done = Acts(), asyncio.Event(), asyncio.Event()

    async def act() -> None:
        await go_on.wait()
        done.set()

    waiter = asyncio.create_task(acts.finish(act(), grace_seconds=30))
    await asyncio.sleep(0)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    go_on.set()
    await asyncio.wait_for(done.wait(), 1)


async def test_a_close_waits_for_what_ends_in_time_and_breaks_off_what_does_not() -> None:
    acts, ended, one_ended = Acts(), [], asyncio.Event()

    async def act(name: str, ends: asyncio.Event) -> None:
        try:
            await ends.wait()
        except asyncio.CancelledError:
            ended.append(f"{name} was broken off")
            one_ended.set()
            raise
        ended.append(f"{name} ended")

    in_time = asyncio.Event()
    acts.begin(act("the answer", in_time), grace_seconds=30)
    acts.begin(act("the post", asyncio.Event()), grace_seconds=0)
    closing = asyncio.create_task(acts.close())
    await asyncio.wait_for(one_ended.wait(), 1)
    assert ended == ["the post was broken off"]
    assert not closing.done()
    in_time.set()
    await asyncio.wait_for(closing, 1)
    assert ended == ["the post was broken off", "the answer ended"]


async def test_an_act_that_begins_another_while_closing_is_waited_for_with_it() -> None:
    acts, written = Acts(), []

    async def write() -> None:
        written.append("the answer")

    async def order() -> None:
        await acts.finish(write(), grace_seconds=35)

    acts.begin(order(), grace_seconds=30)
    await asyncio.wait_for(acts.close(), 1)
    assert written == ["the answer"]


async def test_what_an_act_raises_reaches_whoever_waits() -> None:
    async def act() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await Acts().finish(act(), grace_seconds=1)
