"""The addresses that gateways call when a task has ended: each paid request has one of its own."""

import secrets

from yarl import URL

from bot.models import Job
from bot.redaction import HOOK_PREFIX
from storage.hooks import HookStore

_TOKEN_BYTES = 32
_MOST_EXPECTED = 20_000  # more jobs than any limit allows at once; older tokens are looked up


class Callbacks:
    """Makes the addresses, and remembers the tokens that are waited for.

    So a flood of made-up tokens is told from callbacks without asking the database. Without a public address
    no job has a callback.
    """

    def __init__(self, public_url: str | None, store: HookStore) -> None:
        self._public_url = None if public_url is None else public_url.rstrip("/")
        self._store = store
        self._expected: dict[tuple[str, str], None] = {}  # the newest last

    async def load(self) -> None:
        """Remember the tokens that earlier runs gave away."""
        for gateway, token in await self._store.open_tokens():
            self._expect(gateway, token)

    @property
    def path(self) -> str | None:
        """Where the public address begins on its server, as in `/bot` or nothing; None without an address."""
        return None if self._public_url is None else URL(self._public_url).path.rstrip("/")

    def new_token(self) -> str | None:
        """Return a token that nobody can guess, for a request that is about to be sent."""
        return None if self._public_url is None else HOOK_PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)

    def address(self, job: Job) -> str | None:
        """Return where the gateway is to call for a job, and expect the call from now on."""
        if self._public_url is None or job.hook_token is None:
            return None
        self._expect(job.gateway, job.hook_token)
        return f"{self._public_url}/hooks/{job.gateway}/{job.hook_token}"

    def is_expected(self, gateway: str, token: str) -> bool:
        """Whether a job waits for this token, or did not long ago; the database knows of all others."""
        return (gateway, token) in self._expected

    def _expect(self, gateway: str, token: str) -> None:
        self._expected[gateway, token] = None
        if len(self._expected) > _MOST_EXPECTED:
            del self._expected[next(iter(self._expected))]
