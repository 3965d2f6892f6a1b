"""All enforcers of one cluster, in its supervisor: effects come in over the wire and go to their enforcer."""

from collections.abc import Sequence

import msgspec

from chaos.targets.effects import Effect
from chaos.targets.local.cluster import Cluster
from chaos.targets.local.means.kinds import MEANS
from chaos.targets.local.wire import Message


def to_wire(effect: Effect) -> Message:
    """An effect as JSON can carry it."""
    return {"effect": type(effect).__name__, "fields": msgspec.to_builtins(effect)}


class Enforcers:
    """Causes and undoes whatever effect there is."""

    def __init__(self, cluster: Cluster) -> None:
        """Prepare an enforcer for each effect."""
        self._cluster = cluster
        self._by_name = {means.effect.__name__: (means.effect, means.enforcer(cluster)) for means in MEANS}

    async def cause(self, occurrence: str, name: str, fields: Message, uids: Sequence[str]) -> float:
        """Cause an effect, as `to_wire` has it, on these replicas; monotonic seconds of its beginning.

        Raises:
            LookupError: one of them does not exist (any more), or there are none yet; nothing was touched.
        """
        if self._cluster.deployment is None:
            raise LookupError("there are no replicas yet")
        effect, enforcer = self._by_name[name]
        pods = self._cluster.deployment.these(uids)
        return await enforcer.cause(occurrence, msgspec.convert(fields, effect), pods)

    async def undo(self, occurrence: str) -> None:
        """Undo all of an occurrence."""
        failures: list[Exception] = []
        for _, enforcer in reversed(self._by_name.values()):
            try:
                await enforcer.undo(occurrence)
            except Exception as error:  # the others must be undone all the same
                failures.append(error)
        if failures:
            raise failures[0]
