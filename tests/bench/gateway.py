"""The gateway of the figures, in a process of its own: `python -m tests.bench.gateway TASKS CLIP`.

It prints its host, then does what it reads: `count` prints how many requests came so far, `end` lets every
task end with the clip.
"""

import asyncio
import contextlib
import dataclasses
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

from tests.fake_apixo import CLIP, FakeApixo

ROOT = Path(__file__).parent.parent.parent


@dataclasses.dataclass(frozen=True)
class GatewayProcess:
    """The process, and how to ask it."""

    process: asyncio.subprocess.Process
    host: str

    @property
    def settings(self) -> dict[str, str]:
        """What a bot needs to be told of it."""
        return {
            "APIXO_API_KEY": FakeApixo.key,
            "DEFAULT_MODEL": "apixo/sora-2",  # the one that the gateway lets be ordered fast enough
            "APIXO_BASE_URL": f"http://{self.host}/api/v1",
            "TRUSTED_HOSTS": self.host,
        }

    async def count(self) -> int:
        """Return how many requests came so far."""
        return int(await self._ask("count"))

    async def end_tasks(self) -> None:
        """Let every task be over."""
        await self._ask("end")

    async def _ask(self, what: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{what}\n".encode())
        return (await self.process.stdout.readline()).decode().strip()


@contextlib.asynccontextmanager
async def gateway_process(tasks: int = 0, clip: Path = CLIP) -> AsyncGenerator[GatewayProcess]:
    """Run one that knows so many tasks, `task_00000001` and so on, none of which ends before it is told."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.gateway", str(tasks), str(clip)),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        yield GatewayProcess(process, (await process.stdout.readline()).decode().strip())
    finally:
        process.kill()
        await process.wait()


async def main(tasks: int, clip: Path) -> None:
    """Serve until nobody asks any more."""
    async with FakeApixo() as gateway:
        gateway.keep_rendering()
        gateway.clip = clip
        for _ in range(tasks):
            gateway.accept({}, "sora-2")
        answer(gateway.host)
        while asked := await asyncio.to_thread(sys.stdin.readline):
            gateway.renders = gateway.renders or asked.strip() == "end"
            answer(str(len(gateway.requests)))


def answer(word: str) -> None:
    """Print at once."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2])))
