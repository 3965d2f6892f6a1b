"""The gateway: one address in front of all replicas, as a Service with an inference gateway would be.

`python -m chaos.targets.local.gateway` takes its orders as JSON lines (see `wire`): `listen` answers `{port,
metrics_port}`; `endpoints {endpoints: [{name, port, ready, probed_s}]}` replaces what it knows of the
replicas. `/healthz` is its own; every other path goes to a replica. `/metrics` has a port of its own.
"""

import asyncio
import random

from aiohttp import web

from chaos.targets.local.balancer import Balancer
from chaos.targets.local.forwarding import Forwarder, healthy, session
from chaos.targets.local.wire import Channel, Message, answer
from exporters.exposition import serve as serve_metrics

_HOST = "127.0.0.1"


class Gateway:
    """The listening side and what it is told of the replicas."""

    def __init__(self, forwarder: Forwarder, balancer: Balancer) -> None:
        self._balancer = balancer
        self._metrics = forwarder.metrics
        application = web.Application(client_max_size=0)  # no limit: prompts may be long, and they are ours
        application.router.add_get("/healthz", healthy)
        application.router.add_route("*", "/{path:.*}", forwarder.handle)
        # Cancelled when its client leaves, so that a replica stops computing for nobody.
        self._runner = web.AppRunner(application, handler_cancellation=True, access_log=None)

    async def serve(self, channel: Channel) -> None:
        """Obey until the other side is gone."""
        await answer(channel, {"listen": self._listen, "endpoints": self._endpoints})

    async def _listen(self, _: Message) -> Message:
        await self._runner.setup()
        site = web.TCPSite(self._runner, _HOST, 0, backlog=1024)
        await site.start()
        exposition = serve_metrics(self._metrics.registry, host=_HOST, port=0)
        return {"port": self._runner.addresses[0][1], "metrics_port": exposition.port}

    async def _endpoints(self, message: Message) -> Message:
        self._balancer.update(message["endpoints"])
        return {}


async def _main() -> None:
    channel = await Channel.of_stdio()
    balancer = Balancer(random.SystemRandom())
    async with session() as client:
        await Gateway(Forwarder(client, balancer), balancer).serve(channel)


if __name__ == "__main__":
    asyncio.run(_main())
