"""The pinger of a run: times the network in front of every replica, as one of its peers would, and exports the times.

`python -m chaos.targets.local.pinger` takes its orders as JSON lines (see `wire`): `listen {pinger}` is the first, with
a `PingerSpec`, and answers `{metrics_port, responder_port}`; `peers {peers: {name: port}}` replaces what it knows of
the replicas. Each port is the proxy's, a way of the replica's own that leads back here: a fault of the network in front
of the replica is on it, and whatever becomes of its process is not.
"""

import asyncio

from chaos.targets.local.ports import HOST
from chaos.targets.local.spec import PingerSpec
from chaos.targets.local.wire import Channel, Message, answer
from exporters.comm import MAX_PEERS, CommMetrics, Peer, Pinger, Responder
from exporters.exposition import serve as serve_metrics
from exporters.registry import Registry


class Pinging:
    """Whose network is timed at the moment."""

    def __init__(self, spec: PingerSpec, metrics: CommMetrics) -> None:
        self._spec = spec
        self._metrics = metrics
        self._pingers: dict[str, Pinger] = {}

    async def peers(self, message: Message) -> Message:
        """Take over which replicas there are."""
        named: dict[str, int] = dict(list(message["peers"].items())[:MAX_PEERS])
        for name in self._pingers.keys() - named.keys():
            self._pingers.pop(name).stop()
        for name in named.keys() - self._pingers.keys():
            times = {"every_s": self._spec.every_s, "timeout_s": self._spec.timeout_s}
            self._pingers[name] = Pinger(Peer(HOST, named[name], name), self._metrics, **times)
        return {}


async def _main() -> None:
    channel = await Channel.of_stdio()
    first = await channel.receive()
    if first is None:
        return
    registry = Registry()
    pinging = Pinging(PingerSpec(**first["pinger"]), CommMetrics(registry))
    ports = {
        "metrics_port": serve_metrics(registry, host=HOST, port=0).port,
        "responder_port": Responder(HOST, 0).port,
    }
    channel.send({"id": first["id"], **ports})
    await answer(channel, {"peers": pinging.peers})


def main() -> None:
    """Ping until the other side is gone."""
    asyncio.run(_main())


if __name__ == "__main__":
    main()
