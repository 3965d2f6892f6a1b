"""The rules on the HTTP of one route, and who reads along for them: nobody, while there are none."""

from collections.abc import Iterable

from chaos.targets.http.effects import HttpRule
from chaos.targets.local.proxy.dialogue import Dialogue, Ruling
from chaos.targets.local.proxy.relay import Connection


class Rulings:
    """What is in force on one route, by occurrence, in the order in which it came."""

    def __init__(self) -> None:
        self._rulings: dict[str, Ruling] = {}
        self._dialogues: dict[Connection, Dialogue] = {}

    def add(self, occurrence: str, rule: HttpRule, connections: Iterable[Connection]) -> None:
        """Put a rule in force, on these open connections from their next request on; once is enough."""
        self._rulings.setdefault(occurrence, Ruling(rule))
        for connection in connections:
            if connection.directions is not None:
                self._read_along(connection, new=False)

    def remove(self, occurrence: str) -> None:
        """Take it out of force: what it kept goes on now. Harmless a second time."""
        if self._rulings.pop(occurrence, None) is not None:
            for dialogue in tuple(self._dialogues.values()):
                dialogue.forget(occurrence)
            self._dialogues = {which: each for which, each in self._dialogues.items() if not each.over}

    def joined(self, connection: Connection) -> None:
        """A new connection has both its ends."""
        if self._rulings:
            self._read_along(connection, new=True)

    def lost(self, connection: Connection) -> None:
        """A connection is gone, and what was kept of it with it."""
        dialogue = self._dialogues.pop(connection, None)
        if dialogue is not None:
            dialogue.end()

    def selected(self) -> dict[str, int]:
        """How many messages each rule in force selected."""
        return {occurrence: ruling.selected for occurrence, ruling in self._rulings.items()}

    def _read_along(self, connection: Connection, *, new: bool) -> None:
        before = self._dialogues.get(connection)
        if connection.directions is not None and (before is None or before.over):
            ends = (connection.client, connection.replica)
            self._dialogues[connection] = Dialogue(ends, connection.directions, self._rulings, new=new)
