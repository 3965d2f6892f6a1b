"""The whole cluster inside the supervisor: proxy, replicas, gateway, Prometheus, and what each is told."""

import asyncio
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from chaos.events import Event, EventKind
from chaos.prometheus import PrometheusClient
from chaos.targets.local.deployment import Deployment
from chaos.targets.local.pod import Surroundings
from chaos.targets.local.ports import HOST
from chaos.targets.local.processes import Child, Helper, ProcessTable, command, must_live
from chaos.targets.local.prometheus import Monitoring
from chaos.targets.local.scrapes import ScrapeWatch
from chaos.targets.local.spec import LocalSpec
from chaos.targets.local.standby import Standby
from chaos.targets.local.starts import Starts
from chaos.targets.local.wire import Caller
from exporters.series.jobs import PROBE_JOB

STOP_GRACE_S = 1.0
_STOP_WITHIN_S = 5.0


def rotation_changed(change: Mapping[str, Any], uids: Mapping[str, str]) -> Event:
    """The event of what the gateway says: a replica went out of rotation, or came back."""
    kind = EventKind.REPLICA_EJECTED if change["ejected"] else EventKind.REPLICA_ADMITTED
    told = {key: change[key] for key in ("why", "for_s")} if change["ejected"] else {"why": change["why"]}
    if change["ejected"]:
        told["why"] = f"{change['kind']}: {change['why']}"
    return Event(change["at_s"], kind, change["replica"], {"uid": uids.get(change["replica"], ""), **told})


class Cluster:
    """Alive for as long as `live` runs; `end` leaves nothing of it."""

    def __init__(self, spec: LocalSpec, emit: Callable[[Event], None]) -> None:
        self.deployment: Deployment | None = None
        self.ports: dict[str, int] = {}
        """Of `gateway`, `gateway_metrics`, `prober_metrics` and `prometheus`, as they come up."""
        self.complete = False
        """Whether every wanted replica was ready, and known to be by the gateway, at one moment."""
        self.starts = Starts()
        self.spec = spec
        self._emit = emit
        self._processes = ProcessTable()
        self._monitoring = Monitoring(spec, self._processes)
        self._beside: dict[str, int] = {}
        """Pids of what runs beside the replicas for as long as the cluster lives, by role."""
        self._standby: Standby | None = None
        self._proxy: Caller | None = None
        self._prober: Caller | None = None
        self._changed = asyncio.Event()

    async def live(self) -> None:
        """Run everything until cancelled; an exception when something that must live died."""
        self.spec.log_folder.mkdir(parents=True, exist_ok=True)
        async with asyncio.TaskGroup() as tasks:
            proxy = self._proxy = await self._help("proxy", tasks)
            around = Surroundings(
                spec=self.spec,
                processes=self._processes,
                proxy=proxy,
                standby=self._stand_by(tasks),
                promised_ports=set(),
                starts=self.starts,
                emit=self._emit,
                changed=self._changed.set,
            )
            self.deployment = Deployment(around, tasks)
            self.deployment.fill()
            gateway = await self._help("gateway", tasks)
            listening = await gateway.ask("listen", gateway=asdict(self.spec.gateway))
            self.ports = {"gateway": listening["port"], "gateway_metrics": listening["metrics_port"]}
            watchers = await self._watch_from_outside(tasks) if self.spec.prometheus else {}
            tasks.create_task(self._publish(gateway, self.deployment))
            if self.spec.prometheus:
                prometheus, self.ports["prometheus"] = await self._monitoring.start(
                    listening["metrics_port"], watchers
                )
                self._beside["prometheus"] = prometheus.pid
                tasks.create_task(must_live("prometheus", prometheus))
                client = PrometheusClient(f"http://{HOST}:{self.ports['prometheus']}", timeout_s=1.0)
                pods = self.deployment.pods.values
                tasks.create_task(ScrapeWatch(client, pods, self._emit).attend())

    async def end(self, living: asyncio.Task[None]) -> None:
        """Leave nothing: replicas first, in order, while `living` runs; then, in any case, every process."""
        try:
            if self.deployment is not None and not living.done():
                with suppress(TimeoutError):
                    async with asyncio.timeout(_STOP_WITHIN_S):
                        await self.deployment.shut_down(STOP_GRACE_S)
        finally:
            living.cancel()
            await asyncio.wait([living], timeout=_STOP_WITHIN_S)
            await self._processes.end_all(STOP_GRACE_S)
            shutil.rmtree(self.spec.scratch_folder, ignore_errors=True)

    def describe(self) -> dict[str, Any]:
        """Everything that the runner may ask: replicas as selectors see them, their processes, the ports."""
        pods = self.deployment.pods.values() if self.deployment is not None else ()
        replicas = [
            {
                "replica": asdict(pod.as_replica()),
                "pid": pod.pid,
                "restarts": pod.restarts,
                "port": pod.ports[0] if pod.ports is not None else None,
                "metrics_port": pod.ports[1] if pod.ports is not None else None,
                "proxy_port": pod.proxy_port,
                "metrics_proxy_port": pod.metrics_proxy_port,
            }
            for pod in pods
        ]
        beside = {"supervisor": os.getpid(), **self._beside}
        if self._standby is not None:  # one that died has a successor
            beside["standby"] = self._standby.pid
        return {"replicas": replicas, "ports": self.ports, "complete": self.complete, "beside": beside}

    def start_beside(
        self, program: Sequence[str], marks: Mapping[str, str], log: str, niceness: int = 0
    ) -> Child:
        """Start a process beside the replicas, which ends with the cluster at the latest.

        Args:
            program: its command line.
            marks: what it is found by in its environment, beside the marks of the run.
            log: the name of its log.
            niceness: how much it lets others go first.
        """
        environment, file = {**os.environ, **marks}, self.spec.log_folder / f"{log}.log"
        return self._processes.start(program, env=environment, log=file, niceness=niceness)

    async def order_proxy(self, op: str, **fields: Any) -> dict[str, Any]:
        """Have the proxy do something; LookupError while there is none."""
        if self._proxy is None:
            raise LookupError("there is no proxy yet")
        reply = await self._proxy.ask(op, **fields)
        return {key: value for key, value in reply.items() if key != "id"}

    async def _help(self, name: str, tasks: asyncio.TaskGroup) -> Caller:
        log = self.spec.log_folder / f"{name}.log"
        child = self._processes.start(command(name), env=dict(os.environ), log=log, pipes=True)
        self._beside[name] = child.pid
        helper = await Helper.over(name, child)
        tasks.create_task(helper.attend())
        return helper.caller

    async def _watch_from_outside(self, tasks: asyncio.TaskGroup) -> dict[str, int]:
        """Start who asks the replicas as a client would; where that is told, by scrape job."""
        if self.spec.prober is None:
            return {}
        self._prober = await self._help("prober", tasks)
        key = self.spec.faults_key if self.spec.is_reference_server else ""  # nobody else knows observers
        known = {"wanted": self.spec.replicas, "observer_key": key}
        listening = await self._prober.ask("listen", prober=asdict(self.spec.prober), **known)
        self.ports["prober_metrics"] = listening["metrics_port"]
        return {PROBE_JOB: listening["metrics_port"]}

    def _stand_by(self, tasks: asyncio.TaskGroup) -> Standby | None:
        if not self.spec.standby:
            return None
        self._standby = Standby(self.spec, self._processes, self._emit)
        tasks.create_task(self._standby.attend())
        return self._standby

    async def _publish(self, gateway: Caller, deployment: Deployment) -> None:
        """Tell prober, gateway and Prometheus at every change, the gateway once per probe period in any case."""
        while True:
            self._changed.clear()
            pods = list(deployment.pods.values())
            rows = [
                {"name": pod.name, "port": pod.proxy_port, "ready": pod.ready, "probed_s": pod.probed_s}
                for pod in pods
                if pod.proxy_port is not None
            ]
            if self.spec.prometheus:
                self._monitoring.show(pods)
            if self._prober is not None:
                # Before the gateway is: who is back in rotation must not count as failing from before.
                await self._prober.ask("replicas", replicas=rows)
            for change in (await gateway.ask("endpoints", endpoints=rows))["changes"]:
                self._emit(rotation_changed(change, {pod.name: pod.uid for pod in pods}))
            if not self.complete and sum(row["ready"] is True for row in rows) == self.spec.replicas:
                self.complete = True
                self._emit(Event(time.monotonic(), "target_started"))
            with suppress(TimeoutError):  # not wait_for: before Python 3.12 it can swallow a cancellation
                async with asyncio.timeout(self.spec.readiness.period_s):
                    await self._changed.wait()
