"""What staff or the operator paused: a server, a gateway or a model. Answered from memory."""

from bot import server_messages, text
from bot.errors import BadOrder, NotAllowed
from bot.models import Clock, Pause, PauseScope
from storage.pauses import PauseStore


class Pauses:
    """Pauses are stored as they come and go, so that they outlive restarts; what runs goes on."""

    def __init__(self, store: PauseStore, *, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._pauses: dict[tuple[PauseScope, str], Pause] = {}

    async def load(self) -> None:
        """Read the pauses of earlier runs."""
        self._pauses = {(pause.scope, pause.subject): pause for pause in await self._store.all()}

    def check(self, server_id: int) -> None:
        """Refuse orders in a server that is paused.

        Raises:
            NotAllowed: with the reason.
        """
        pause = self.of_server(server_id)
        if pause is not None:
            raise NotAllowed(
                server_messages.server_paused(pause),
                public_sentence=server_messages.SERVER_PAUSED_IN_PUBLIC,
            )

    def of_server(self, server_id: int) -> Pause | None:
        """Return the pause of a server."""
        return self._pauses.get((PauseScope.SERVER, str(server_id)))

    def of_model(self, model_id: str, gateway: str) -> Pause | None:
        """Return the pause of a model or of its gateway."""
        return self._pauses.get((PauseScope.MODEL, model_id)) or self._pauses.get(
            (PauseScope.GATEWAY, gateway)
        )

    def everywhere(self, scope: PauseScope) -> list[Pause]:
        """Return every pause of a gateway or of a model."""
        return [pause for pause in self._pauses.values() if pause.scope is scope]

    async def pause(
        self, scope: PauseScope, subject: str, reason: str, *, server_id: int, by: int | None
    ) -> Pause:
        """Pause something, or give its pause another reason; the caller has made sure of who asks.

        `by` is None for the bot itself.

        Raises:
            BadOrder: there is no reason.
        """
        if text.is_blank(reason):
            raise BadOrder(server_messages.NO_REASON)
        pause = Pause(scope=scope, subject=subject, reason=reason.strip(), since=self._clock())
        await self._store.set(pause, server_id=server_id, what=server_messages.pause_name(pause), by=by)
        self._pauses[scope, subject] = pause
        return pause

    async def resume(self, scope: PauseScope, subject: str, reason: str, *, server_id: int, by: int) -> Pause:
        """Let something take orders again; return the pause it had.

        Raises:
            BadOrder: it is not paused.
        """
        pause = self._pauses.get((scope, subject))
        if pause is None:
            name = "This server" if scope is PauseScope.SERVER else text.code(subject, 60)
            others = [] if scope is PauseScope.SERVER else self.everywhere(scope)
            raise BadOrder(server_messages.not_paused(name, others))
        await self._store.end(
            pause,
            server_id=server_id,
            what=server_messages.pause_name(pause),
            reason=reason,
            by=by,
            now=self._clock(),
        )
        self._pauses.pop((scope, subject), None)
        return pause
