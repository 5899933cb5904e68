"""What menus and forms offer while somebody orders, from memory: always what the chosen model has."""

from collections.abc import Sequence

from bot.availability import Availability
from bot.breaker import Record
from bot.catalogue import Model
from bot.errors import ModelUnavailable
from bot.models import Mode, Quality, Shape
from bot.track import Track


class Menu:
    """Answers at once. Where `auto` is to choose, what any model has is on offer.

    The mode is None while nobody knows it yet: then what a model has in any of its modes is on offer.
    """

    def __init__(self, *, availability: Availability, track: Track) -> None:
        self._availability = availability
        self._track = track

    def orderable(self, mode: Mode | None = None) -> list[Model]:
        """Return the models that take orders now, or those of them that have a mode."""
        return [model for model in self._availability.orderable() if mode is None or mode in model.modes]

    def listed(self) -> list[tuple[Model, str | None, Record]]:
        """Return every model worth knowing of; why it takes no orders if it does not; and its track record.

        Those that take none come last, and of them those whose gateway is not set up here.
        """
        listed = [
            (model, self._availability.why_not(model), self._track.record(model.model_id))
            for model in self._availability.listed()
        ]
        return sorted(
            listed,
            key=lambda one: (one[1] is not None, one[0].gateway not in self._availability.gateways),
        )

    def models(self, model_id: str | None, mode: Mode | None) -> Sequence[Model]:
        """Return the chosen model, the default one, or all that `auto` chooses from; none where it is out."""
        if self._availability.is_auto(model_id):
            return self.orderable(mode)
        try:
            return [self._availability.choose(model_id)]
        except ModelUnavailable:
            return []

    def lengths(self, model_id: str | None, mode: Mode | None) -> list[int]:
        """Return the seconds that clips can have."""
        return sorted({seconds for model in self.models(model_id, mode) for seconds in model.seconds})

    def shapes(self, model_id: str | None, mode: Mode | None) -> list[Shape]:
        """Return the shapes that clips of a mode can have."""
        made = {
            shape
            for model in self.models(model_id, mode)
            for one in model.modes
            if mode in {None, one}
            for shape in model.shapes_of(one)
        }
        return [shape for shape in Shape if shape in made]

    def qualities(self, model_id: str | None, mode: Mode | None) -> list[Quality]:
        """Return the qualities to choose from."""
        made = {quality for model in self.models(model_id, mode) for quality in model.qualities}
        return [quality for quality in Quality if quality in made]

    def having(self, option: str, model_id: str | None, mode: Mode | None) -> list[Model]:
        """Return those of the models in question that let one choose this."""
        return [model for model in self.models(model_id, mode) if model.has_option(option)]
