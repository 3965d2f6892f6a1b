"""The gateway: one address in front of all replicas, as a Service with an inference gateway would be.

`python -m chaos.targets.local.gateway` takes its orders as JSON lines (see `wire`): `listen {gateway}` is the first,
with a `GatewaySpec` or none for its defaults, and answers `{port, metrics_port}`; `endpoints {endpoints: [{name, port,
ready, probed_s}]}` replaces what it knows of the replicas, and answers `{changes: [...]}`: who went out of rotation or
came back since. `/healthz` is its own; every other path goes to a replica. `/metrics` has a port of its own.
"""

import asyncio
import random
import time
from dataclasses import asdict

from aiohttp import web

from chaos.targets.local.gateway.balancer import Balancer
from chaos.targets.local.gateway.ejection import Change
from chaos.targets.local.gateway.forwarder import Forwarder
from chaos.targets.local.gateway.hop import session
from chaos.targets.local.gateway.open_attempts import LOOK_EVERY_S
from chaos.targets.local.gateway.spec import GatewaySpec
from chaos.targets.local.ports import HOST
from chaos.targets.local.wire import Channel, Message, answer
from exporters.exposition import serve as serve_metrics


async def healthy(_: web.Request) -> web.Response:
    """The gateway's own liveness: it answers."""
    await asyncio.sleep(0)
    return web.Response(text="ok\n")


class Gateway:
    """The listening side and what it is told of the replicas."""

    def __init__(self, forwarder: Forwarder, balancer: Balancer) -> None:
        self._balancer = balancer
        self._forwarder = forwarder
        self._changes: list[Change] = []
        application = web.Application(client_max_size=0)  # no limit: prompts may be long, and they are ours
        application.router.add_get("/healthz", healthy)
        application.router.add_route("*", "/{path:.*}", forwarder.handle)
        # Cancelled when its client leaves, so that a replica stops computing for nobody.
        self._runner = web.AppRunner(application, handler_cancellation=True, access_log=None)

    async def listen(self) -> Message:
        """Take requests from now on; where, and where the metrics are."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, 0, backlog=1024)
        await site.start()
        exposition = serve_metrics(self._forwarder.metrics.registry, host=HOST, port=0)
        return {"port": self._runner.addresses[0][1], "metrics_port": exposition.port}

    async def endpoints(self, message: Message) -> Message:
        """Take over what is known of the replicas; what changed in the rotation since this was last asked."""
        self._balancer.update(message["endpoints"])
        self._forwarder.attempts.keep(set(self._balancer.endpoints))
        self._take_changes()
        changes, self._changes = self._changes, []
        return {"changes": [asdict(change) for change in changes]}

    async def look_after(self) -> None:
        """See who is worse than the others, again and again."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            now_s = time.monotonic()
            self._forwarder.attempts.look(now_s)
            self._balancer.ejector.look(now_s)
            self._take_changes()

    def _take_changes(self) -> None:
        for change in self._balancer.ejector.changes():
            self._changes.append(change)
            if change.ejected:
                self._forwarder.metrics.ejected(change.kind)


async def _main() -> None:
    channel = await Channel.of_stdio()
    first = await channel.receive()
    if first is None:
        return
    spec = GatewaySpec.from_wire(first["gateway"]) if "gateway" in first else GatewaySpec()
    balancer = Balancer(random.SystemRandom(), spec.ejection)
    async with session() as client, asyncio.TaskGroup() as tasks:
        gateway = Gateway(Forwarder(client, balancer, spec), balancer)
        channel.send({"id": first["id"], **await gateway.listen()})
        looking = tasks.create_task(gateway.look_after())
        await answer(channel, {"endpoints": gateway.endpoints})
        looking.cancel()


def main() -> None:
    """Serve until the other side is gone."""
    asyncio.run(_main())
