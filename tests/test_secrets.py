"""No secret leaves: every output of a run against a gateway that repeats the key wherever it can."""

import contextlib
import io
import itertools
import logging
import sqlite3
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from pathlib import Path
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp import web

from bot import logs
from bot.models import Job, Stage
from bot.redaction import HOOK_PREFIX
from storage.export import write_export
from storage.proof import prove_ledger
from tests.fake_apixo import Answer, FakeApixo, envelope, raw, state
from tests.gateway_server import answer, serving
from tests.test_logs import ENCODINGS
from tests.world import PUBLIC_URL, World, open_world

KEY = r"""sk-q"u'o\u0041%41/+&<te>=~0123456789"""


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Generator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before


class Parrot:
    """What a gateway says that repeats, in every spelling, the key and the address it was told to call."""

    def __init__(self, gateway: FakeApixo) -> None:
        self._gateway = gateway

    def says(self, make: Callable[[str], Answer]) -> Answer:
        """Answer with words that are made when the request is there."""

        async def repeat(request: web.Request) -> web.StreamResponse:
            told = self._gateway.submitted[-1]["callback_url"]
            return await make(" ".join([told, *(encode(KEY) for encode in ENCODINGS)]))(request)

        return repeat

    def links(self, task_id: str) -> Answer:
        """Say that the clip is ready, behind a link that carries the key."""
        good = f"http://{self._gateway.host}/files/{task_id}.mp4"
        return self._gateway.success(task_id, f"{good}?key={quote(KEY, safe='')}", f"{good}?key={KEY}")


def leading_to(address: str) -> Answer:
    """Send the request elsewhere."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": address})

    return answer


async def misuse(world: World, elsewhere: str) -> None:
    """Order one clip for each way in which a gateway can repeat the key."""
    gateway = world.gateway
    parrot = Parrot(gateway)

    async def order(
        *, submit: Answer | None = None, looks: Sequence[Answer] = (), model: str = "apixo/sora-2"
    ) -> Job:
        gateway.submits.extend([submit] if submit else [])
        gateway.looks.extend(looks)
        await world.create(prompt="a fox", model=model)
        await world.settled()
        return await world.job()

    said = parrot.says(lambda words: envelope(None, code=400, status=400, message=words))
    assert (await order(submit=said)).stage is Stage.FAILED
    assert "[key]" in await world.card()
    named = await order(submit=parrot.says(lambda _: envelope({"taskId": KEY})))
    assert (named.stage, named.task_id) == (Stage.UNCERTAIN, None)
    lost = await order(submit=parrot.says(lambda words: raw(words, status=500)))
    assert lost.stage is Stage.UNCERTAIN
    assert (await order(submit=leading_to(f"{elsewhere}?key={quote(KEY)}"))).stage is Stage.UNCERTAIN
    address = f"{PUBLIC_URL}/hooks/apixo/{lost.hook_token}"
    assert await world.call_back((address, {"code": 200, "data": {"taskId": KEY, "failMsg": KEY}})) == 200

    failed = parrot.says(lambda words: state("failed", failCode=words, failMsg=words))
    strange = parrot.says(state)
    silent = parrot.says(lambda words: raw(words, status=500))
    # The first model has failed too often by now: it is left alone.
    pro = "apixo/sora-2-pro"
    assert (await order(looks=[strange, silent, failed], model=pro)).stage is Stage.FAILED
    gateway.downloads.append(leading_to(elsewhere))
    task_id = f"task_{len(gateway.tasks) + 1:08d}"
    done = await order(looks=[parrot.links(task_id), parrot.links(task_id)], model=pro)
    assert (done.stage, len(done.result_urls)) == (Stage.DONE, 2)
    refused = parrot.says(lambda words: envelope(None, code=401, status=401, message=words))
    gateway.balance = refused
    gateway.submits.append(refused)
    await world.create(prompt="a fox", model=pro)
    await world.until(lambda: gateway.asked("balance") > 1)


async def outputs(world: World) -> AsyncGenerator[tuple[str, str]]:
    """Yield everything that anybody can read, by what it is."""
    for command in ("jobs", "audit", "uncertain list", "doctor"):
        yield command, await world.ask(f"video-admin {command}", by=world.staff)
    yield "list", await world.ask("video list")
    for job in await world.jobs():
        yield "show", await world.ask("video show", job=job.job_id)
    yield "requests to Discord", repr(world.env.http_requests)
    yield "transcript", world.env.transcript() + repr(world.env.backend.transcript)
    for path in ("/metrics", "/readyz", "/healthz"):
        url = f"http://127.0.0.1:{world.port}{path}"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            yield path, f"{answer.headers} {await answer.text()}"
    for what, kind in itertools.product(("jobs", "ledger", "acts"), ("csv", "json")):
        with io.StringIO() as out:
            write_export(world.app.folder.database, what, kind, out)
            yield f"{what} as {kind}", out.getvalue()
    with io.StringIO() as out:
        assert prove_ledger(world.app.folder.database, out)
        yield "doctor", out.getvalue()
    with contextlib.closing(sqlite3.connect(world.app.folder.database)) as database:
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            cursor = database.execute(f"SELECT * FROM {table}")  # noqa: S608 - of the schema
            names = [column[0] for column in cursor.description]
            for row in cursor:
                kept = dict(zip(names, row, strict=True))
                kept.pop("hook_token", None)  # the one place where it must be
                yield f"table {table}", repr(kept)


async def test_no_secret_is_in_any_output_of_a_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(level="debug", form="text", secrets=[KEY])
    (as_text,) = logging.getLogger().handlers
    logs.configure(level="debug", form="json", secrets=[KEY])
    logging.getLogger().addHandler(as_text)
    async with (
        serving(answer(404)) as elsewhere,
        FakeApixo() as gateway,
        open_world(
            tmp_path,
            gateway=gateway,
            apixo_api_key=KEY,
            public_url=PUBLIC_URL,
            trusted_hosts=f"{gateway.host},127.0.0.1:{elsewhere.port}",
        ) as world,
    ):
        gateway.key = KEY
        await misuse(world, f"{elsewhere.origin}/clip.mp4")
        tokens = [job.hook_token for job in await world.jobs() if job.hook_token]
        found = [(what, text) async for what, text in outputs(world)]

    written = capsys.readouterr()
    found += [("stderr", written.err), ("stdout", written.out)]
    found += [("a request elsewhere", repr(request)) for request in elsewhere.requests]
    assert len(tokens) > 5
    assert "[key]" in written.err
    secrets = {*tokens, HOOK_PREFIX, "0123456789", *(encode(KEY) for encode in ENCODINGS)}
    for what, text in found:
        for secret in secrets:
            assert secret not in text, what
