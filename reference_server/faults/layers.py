"""A function under layers that come and go in any order."""

from collections.abc import Callable
from typing import Generic, TypeVar

F = TypeVar("F")


class Layers(Generic[F]):
    """Keeps a function somewhere wrapped in all layers that are on it, the newest outermost."""

    def __init__(self, bare: F, install: Callable[[F], None]) -> None:
        """Of the bare function, and how to put another in its place."""
        self._bare = bare
        self._install = install
        self._layers: dict[object, Callable[[F], F]] = {}

    def put_on(self, layer: Callable[[F], F]) -> Callable[[], None]:
        """Wrap it once more; the answer takes this layer off again, harmlessly a second time."""
        mark = object()
        self._layers[mark] = layer
        self._rebuild()

        def take_off() -> None:
            if self._layers.pop(mark, None) is not None:
                self._rebuild()

        return take_off

    def _rebuild(self) -> None:
        wrapped = self._bare
        for layer in self._layers.values():
            wrapped = layer(wrapped)
        self._install(wrapped)
