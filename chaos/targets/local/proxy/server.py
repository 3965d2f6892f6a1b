"""The pass-through proxy: one process, one listener per replica, which keeps its address through restarts.

`python -m chaos.targets.local.proxy` takes its orders as JSON lines (see `wire`): `add {route,
upstream_port}` answers `{port}`; `move {route, upstream_port}` sends new connections elsewhere; `reset
{route}` breaks every open connection; `remove {route}` closes the listener and does the same; `shape {occurrence,
routes, to_replica, from_replica}` has the bytes of these routes wait, on open connections too, `unshape
{occurrence}` lets them go; `rule {occurrence, routes, rule}` and `unrule {occurrence}` do so with what becomes of the
HTTP that passes; `counters` tells.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict

import msgspec

from chaos.targets.effects import Traffic
from chaos.targets.http.effects import HttpRule
from chaos.targets.local.ports import HOST
from chaos.targets.local.proxy.ends import End
from chaos.targets.local.proxy.http_rulings import Rulings
from chaos.targets.local.proxy.relay import Connection, Counters
from chaos.targets.local.proxy.shaping import Shape, Ways
from chaos.targets.local.proxy.silence import set_silent
from chaos.targets.local.wire import Channel, Message, answer


class Route:
    """One listener and the connections that came through it."""

    def __init__(self, upstream_port: int) -> None:
        self.upstream_port = upstream_port
        self.counters = Counters()
        self.ways = Ways()
        self.rulings = Rulings()
        self._connections: set[Connection] = set()
        self._reset_waits = False
        self._server: asyncio.Server | None = None

    async def open(self) -> int:
        """Listen; returns the port."""
        self._server = await asyncio.get_running_loop().create_server(self._accept, HOST, 0, backlog=1024)
        return int(self._server.sockets[0].getsockname()[1])

    def shape(self, occurrence: str, seed: str, up: Traffic | None, down: Traffic | None) -> None:
        """Put a traffic in force on each way that has one; a second time changes nothing."""
        for name, way, traffic in (("up", self.ways.up, up), ("down", self.ways.down, down)):
            if traffic is not None and occurrence not in way.shapes:
                way.shapes[occurrence] = Shape(traffic, f"{seed} {name}")
        self._obey_cuts()

    def unshape(self, occurrence: str) -> None:
        """Take it out of force: whatever waits goes on when it would have gone without it."""
        shaped = [way.shapes.pop(occurrence, None) for way in (self.ways.up, self.ways.down)]
        if any(shaped):
            self._obey_cuts()
            for connection in tuple(self._connections):
                connection.forget(occurrence)
            if self._reset_waits:
                self.reset()

    def shaped(self) -> dict[str, list[dict[str, int]]]:
        """What was done to packets by each occurrence in force, on either way."""
        counts: dict[str, list[dict[str, int]]] = {}
        for way in (self.ways.up, self.ways.down):
            for occurrence, shape in way.shapes.items():
                counts.setdefault(occurrence, []).append(asdict(shape.counts))
        return counts

    def rule(self, occurrence: str, rule: HttpRule) -> None:
        """Put a rule in force on the HTTP that passes; a second time changes nothing."""
        self.rulings.add(occurrence, rule, self._connections)

    @property
    def cut(self) -> bool:
        """Whether either way is: TCP needs both."""
        return self.ways.up.cut or self.ways.down.cut

    @property
    def lingers(self) -> bool:
        """Whether there are connections to be broken that would not hear of it yet."""
        return self._reset_waits

    def reset(self) -> None:
        """Break every open connection; those that are cut off hear of it when they are no longer."""
        self._reset_waits = self.cut and bool(self._connections)
        if not self._reset_waits:
            for connection in tuple(self._connections):
                connection.reset()

    def close(self) -> None:
        """Stop listening and break every open connection."""
        if self._server is not None:
            self._server.close()
        self.reset()

    def _obey_cuts(self) -> None:
        """Let no connection be made while either way is cut, and nothing pass on the open ones."""
        assert self._server is not None
        for listener in self._server.sockets:
            set_silent(listener, silent=self.cut)
        for connection in tuple(self._connections):
            connection.obey_cuts()

    def _accept(self) -> End:
        connection = Connection(
            (HOST, self.upstream_port), self.counters, self.ways, self.rulings.joined, self._lost
        )
        self._connections.add(connection)
        return connection.client

    def _lost(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self.rulings.lost(connection)


class Proxy:
    """All routes, by the name of their replica."""

    def __init__(self) -> None:
        self._routes: dict[str, Route] = {}
        self._removed: list[Route] = []
        """Those that still have connections which cannot hear that they are broken."""

    async def serve(self, channel: Channel) -> None:
        """Obey until the other side is gone."""
        await answer(
            channel,
            {
                "add": self._add,
                "move": self._move,
                "reset": self._reset,
                "remove": self._remove,
                "shape": self._shape,
                "unshape": self._unshape,
                "rule": self._rule,
                "unrule": self._unrule,
                "counters": self._counters,
            },
        )

    async def _add(self, message: Message) -> Message:
        if message["route"] in self._routes:
            raise ValueError(f"there is a route already: {message['route']}")
        route = Route(message["upstream_port"])
        port = await route.open()
        self._routes[message["route"]] = route
        return {"port": port}

    async def _move(self, message: Message) -> Message:
        self._routes[message["route"]].upstream_port = message["upstream_port"]
        return {}

    async def _reset(self, message: Message) -> Message:
        self._routes[message["route"]].reset()
        return {}

    async def _remove(self, message: Message) -> Message:
        route = self._routes.pop(message["route"])
        route.close()
        self._removed += [route] if route.lingers else []
        return {}

    async def _shape(self, message: Message) -> Message:
        up, down = (_traffic(message[way]) for way in ("to_replica", "from_replica"))
        for name, route in self._named(message["routes"]).items():
            route.shape(message["occurrence"], f"{message['occurrence']} {name}", up, down)
        return {}

    async def _unshape(self, message: Message) -> Message:
        for route in (*self._routes.values(), *self._removed):
            route.unshape(message["occurrence"])
        self._removed = [route for route in self._removed if route.lingers]
        return {}

    async def _rule(self, message: Message) -> Message:
        rule = msgspec.convert(message["rule"], HttpRule)
        for route in self._named(message["routes"]).values():
            route.rule(message["occurrence"], rule)
        return {}

    async def _unrule(self, message: Message) -> Message:
        for route in (*self._routes.values(), *self._removed):
            route.rulings.remove(message["occurrence"])
        return {}

    def _named(self, names: Sequence[str]) -> dict[str, Route]:
        missing = [name for name in names if name not in self._routes]
        if missing:
            raise LookupError(f"no such route: {', '.join(missing)}")
        return {name: self._routes[name] for name in names}

    async def _counters(self, _: Message) -> Message:
        return {
            "routes": {name: asdict(route.counters) for name, route in self._routes.items()},
            "shaped": {name: route.shaped() for name, route in self._routes.items()},
            "ruled": {name: route.rulings.selected() for name, route in self._routes.items()},
        }


def _traffic(row: Message | None) -> Traffic | None:
    return None if row is None else msgspec.convert(row, Traffic)


async def _main() -> None:
    await Proxy().serve(await Channel.of_stdio())


def main() -> None:
    """Serve until the other side is gone."""
    asyncio.run(_main())
