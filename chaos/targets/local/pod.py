"""The life of one replica: its process started, probed, restarted when it ends by itself, and ended for good.

What Kubernetes splits between kubelet and API server happens here in one task per replica;
docs/local-target.md says where it differs.
"""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from typing import Any

from chaos.events import Event
from chaos.targets import Replica
from chaos.targets.identity import REPLICA_UID, own_marks
from chaos.targets.local import naming
from chaos.targets.local.ports import free_port, is_free
from chaos.targets.local.probes import Thresholds, watch
from chaos.targets.local.processes import Child, ProcessTable
from chaos.targets.local.spec import LocalSpec
from chaos.targets.local.standby import Standby
from chaos.targets.local.starts import Starts
from chaos.targets.local.wire import Caller

NICENESS = 10
"""Of every replica: what measures goes first where it shares the processors with what is measured. One that is forked
has it from its first readiness on: its start is short, and must not wait for those that serve."""

STARTUP_PERIOD_S = 0.1
"""Between two readiness probes until the first that passes: a start is noticed when it is over."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a replica lives among."""

    spec: LocalSpec
    processes: ProcessTable
    proxy: Caller
    standby: Standby | None
    """Whom replicas are forked from; None starts each anew."""
    promised_ports: set[int]
    starts: Starts
    """Holds processes back that are to start."""
    emit: Callable[[Event], None]
    peers_port: int | None
    """Where whoever pings replicas answers for them; None for nobody."""
    changed: Callable[[], None]
    """Called after anything that the gateway or a scrape should know."""


class Pod:
    """One replica, under one name and uid for all its restarts."""

    def __init__(self, name: str, uid: str, zone: str, around: Surroundings) -> None:
        self.name = name
        self.uid = uid
        self.zone = zone
        self.ready = False
        self.terminating = False
        self.restarts = 0
        self.probed_s = 0.0
        """Monotonic seconds at which the last readiness probe that passed began."""
        self.ports: tuple[int, int] | None = None
        """Where its process serves, and where its metrics."""
        self.proxy_port: int | None = None
        self.metrics_proxy_port: int | None = None
        """Where Prometheus finds its metrics: behind the network, as everything that comes from elsewhere."""
        self.peers_proxy_port: int | None = None
        """Where its peers would find it."""
        self._around = around
        self._child: Child | None = None
        self._environment: dict[str, str] = {}
        """On top of the experiment's, for the next process."""
        self._on_purpose = False
        """Whether the process ends because it is to be another one: no crash, and no back-off."""
        self._outages: set[str] = set()
        """Occurrences for which nothing runs in it."""
        self._may_run = asyncio.Event()
        self._may_run.set()
        self._deleted = asyncio.Event()
        self._was_ready = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """Its process' pid; None while it waits to be restarted."""
        return self._child.pid if self._child is not None else None

    def as_replica(self) -> Replica:
        """As a selector sees it; under restartPolicy Always it is Running from its first start on."""
        phase = "Running" if self.ports is not None else "Pending"
        seen = naming.replica(
            self._around.spec, self.name, self.uid, self.zone, phase=phase, ready=self.ready
        )
        return replace(seen, terminating=self.terminating)

    async def run(self) -> None:
        """Live until deleted."""
        self._emit("replica_created", node=naming.node_name(self.zone), zone=self.zone)
        restart, ends_in_a_row = self._around.spec.restart, 0
        while await self._may_start():
            ports = self._take_ports()
            began_s = time.monotonic()
            await self._live_once(ports)
            if not self._was_ready.is_set() and not all(map(is_free, ports)):
                continue  # another process had taken its port: other ports, at once
            if self._outages:
                continue  # once it may run again it does so at once, as a container with a new image does
            ends_in_a_row = restart.in_a_row(ends_in_a_row, time.monotonic() - began_s)
            if self._on_purpose:
                self._on_purpose, ends_in_a_row = False, 0
            await self._wait_for_deletion(restart.wait_s(ends_in_a_row))
        if self.proxy_port is not None:
            for caller in self._callers:
                await self._around.proxy.ask("remove", route=naming.route(caller, self.name))
        self._around.promised_ports.difference_update(self.ports or ())

    def delete(self, grace_s: float, reason: str | None) -> float:
        """End it for good: SIGKILL at once for no grace, else SIGTERM now and SIGKILL when the grace is over.

        Returns the monotonic seconds of the first signal. Without a reason no replica_killed is
        reported: the cluster itself ends.
        """
        self.terminating = True
        self._set_ready(ready=False, why=reason or "the cluster ends")
        at_s = self._signal(signal.SIGKILL if grace_s == 0 else signal.SIGTERM, reason)
        self._deleted.set()
        self._may_run.set()
        if grace_s > 0:
            asyncio.get_running_loop().call_later(grace_s, self._signal, signal.SIGKILL, reason)
        return at_s

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to its whole process group that is not meant to end it; harmless where it has no process."""
        self._signal(number, reason=None)

    def restart(self, environment: Mapping[str, str], reason: str) -> None:
        """Kill its process, so that another starts in its place at once, with these variables on top of all others."""
        self._environment, self._on_purpose = dict(environment), self._child is not None
        self._signal(signal.SIGKILL, reason)

    async def _may_start(self) -> bool:
        """Wait until nobody keeps it down or holds its start back; False when it is deleted meanwhile."""
        await self._may_run.wait()
        waits = [
            asyncio.ensure_future(self._around.starts.wait()),
            asyncio.ensure_future(self._deleted.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()
        return not self._deleted.is_set()

    def crash(self, reason: str) -> float:
        """Kill what runs in it, once; it starts again as after any other end. Monotonic seconds of the signal."""
        return self._signal(signal.SIGKILL, reason)

    def go_down(self, occurrence: str) -> float:
        """Kill what runs in it and start nothing, until `come_up`. Monotonic seconds of the signal."""
        self._outages.add(occurrence)
        self._may_run.clear()
        return self._signal(signal.SIGKILL, occurrence)

    def come_up(self, occurrence: str) -> None:
        """Nothing of this occurrence keeps it down any longer; harmless where nothing did."""
        self._outages.discard(occurrence)
        if not self._outages:
            self._may_run.set()

    async def _live_once(self, ports: tuple[int, int]) -> None:
        self._was_ready.clear()
        child = self._child = await self._start(ports)
        if self.terminating or self._outages:  # deleted, or brought down, while it was being forked
            child.signal_group(signal.SIGKILL)
        await self._open_routes(ports)
        async with asyncio.TaskGroup() as probing:
            tasks = [
                probing.create_task(self._watch_readiness(ports[0], child)),
                probing.create_task(self._watch_liveness(ports[0], child)),
            ]
            end = await child.wait()
            for task in tasks:
                task.cancel()
        self._child = None
        self._around.emit(Event(end.at_s, "replica_gone", self.name, {"uid": self.uid, "how": str(end)}))
        self._set_ready(ready=False, why=f"process ended: {end}")
        # Its peers' way is the network's, whatever it does.
        for caller in (naming.GATEWAY, naming.PROMETHEUS):
            await self._around.proxy.ask("reset", route=naming.route(caller, self.name))

    @property
    def _callers(self) -> tuple[str, ...]:
        """Who has a way to it: the gateway, Prometheus, and its peers where somebody pings."""
        peers = () if self._around.peers_port is None else (naming.PEERS,)
        return (naming.GATEWAY, naming.PROMETHEUS, *peers)

    async def _start(self, ports: tuple[int, int]) -> Child:
        around, spec = self._around, self._around.spec
        environment = {
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            **spec.env_for(self.name, *ports),
            **self._environment,
            **own_marks(),
            REPLICA_UID: self.uid,
        }
        command, log = spec.command_for(self.name, *ports), spec.log_folder / f"{self.name}.log"
        if around.standby is not None:
            child = await around.standby.fork(command, environment, log)
        else:
            child = around.processes.start(command, env=environment, log=log, niceness=NICENESS)
        restarted = self.ports is not None
        self.ports = ports
        facts = {"pid": child.pid, "port": ports[0], "metrics_port": ports[1]}
        if restarted:
            self.restarts += 1
            self._emit("replica_restarted", restarts=self.restarts, **facts)
        else:
            self._emit("replica_running", **facts)
        self._around.changed()
        return child

    async def _open_routes(self, ports: tuple[int, int]) -> None:
        op = "add" if self.proxy_port is None else "move"
        upstream = zip(self._callers, (*ports, self._around.peers_port), strict=False)
        ask, name = self._around.proxy.ask, self.name
        told = {who: await ask(op, route=naming.route(who, name), upstream_port=to) for who, to in upstream}
        if self.proxy_port is None:
            self.proxy_port, self.metrics_proxy_port = (told[who]["port"] for who in self._callers[:2])
            self.peers_proxy_port = told.get(naming.PEERS, {}).get("port")
            self._around.changed()

    async def _watch_readiness(self, port: int, child: Child) -> None:
        probe = self._around.spec.readiness
        thresholds = Thresholds(probe, verdict=False)
        async with aclosing(watch(probe, port, STARTUP_PERIOD_S)) as observations:
            async for seen in observations:
                if child.end is not None or self.terminating:
                    return
                if seen.passed:
                    self.probed_s = seen.began_s
                self._set_ready(
                    ready=thresholds.observe(passed=seen.passed), why=f"readiness probe: {seen.what}"
                )

    async def _watch_liveness(self, port: int, child: Child) -> None:
        probe = self._around.spec.liveness
        thresholds = Thresholds(probe, verdict=True)
        await self._was_ready.wait()  # until then it starts, as long as that may take: a startup probe's part
        async with aclosing(watch(probe, port)) as observations:
            async for seen in observations:
                if child.end is None and not thresholds.observe(passed=seen.passed):
                    self._signal(signal.SIGKILL, f"liveness probe: {seen.what}")
                    return

    def _take_ports(self) -> tuple[int, int]:
        # The same again where possible, so that a restart in place keeps its scrape target, as a pod keeps
        # its address.
        if self.ports is not None and all(map(is_free, self.ports)):
            return self.ports
        promised = self._around.promised_ports
        promised.difference_update(self.ports or ())
        promised.add(port := free_port(promised))
        if not self._around.spec.metrics_apart:
            return port, port
        promised.add(metrics_port := free_port(promised))
        return port, metrics_port

    def _signal(self, number: signal.Signals, reason: str | None) -> float:
        at_s = time.monotonic()
        if self._child is not None and self._child.signal_group(number) and reason is not None:
            detail = {"uid": self.uid, "signal": number.name, "reason": reason}
            self._around.emit(Event(at_s, "replica_killed", self.name, detail))
        return at_s

    def _set_ready(self, *, ready: bool, why: str) -> None:
        if ready == self.ready:
            return
        self.ready = ready
        if ready:
            self._was_ready.set()
            if self._child is not None:
                self._child.step_back(NICENESS)
        self._emit("replica_ready" if ready else "replica_unready", why=why)
        self._around.changed()

    async def _wait_for_deletion(self, within_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._deleted.wait()

    def _emit(self, kind: str, **detail: Any) -> None:
        self._around.emit(Event(time.monotonic(), kind, self.name, {"uid": self.uid, **detail}))
