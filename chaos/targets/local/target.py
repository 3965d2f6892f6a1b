"""The local target: a Deployment of processes behind a proxy and a gateway, watched by Prometheus.

Runs in the runner's process and owns nothing but the line to the supervisor, which owns the rest and ends it
should this process die. What a fault did is looked up in the process table, never taken from the supervisor's
word.
"""

import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from chaos.errors import InconclusiveError, InputError, RefusedError
from chaos.events import Event
from chaos.prometheus import PrometheusClient
from chaos.targets import Asked, Endpoints, Evidence, Node, Replica
from chaos.targets.effects import Effect, Fidelity
from chaos.targets.identity import ProcessId, by_group, marks
from chaos.targets.local import naming
from chaos.targets.local.fidelity import KIND, fidelity
from chaos.targets.local.link import SupervisorLink
from chaos.targets.local.lost_runs import end_lost_run
from chaos.targets.local.means.enforcing import to_wire
from chaos.targets.local.means.means import View
from chaos.targets.local.ports import HOST
from chaos.targets.local.prometheus import WATCHERS, ServerFiles, find_prometheus
from chaos.targets.local.run_record import RunRecord
from chaos.targets.local.spec import LocalSpec
from chaos.targets.local.start import until_ready, until_scraped
from chaos.targets.local.wire import Message
from chaos.targets.local.witness import Aim, Witness, until_verified
from chaos.targets.service_names import service_names

_STARTS = ("replica_running", "replica_restarted")
_HOST = f"http://{HOST}"


class LocalTarget:
    """A local cluster, as `chaos.targets.Target` wants one. Once left, no process of the run lives."""

    kind = KIND

    def __init__(
        self,
        spec: LocalSpec,
        on_progress: Callable[[int, int], None] = lambda _ready, _wanted: None,
        link: Callable[[LocalSpec, ProcessId], SupervisorLink] = SupervisorLink,
    ) -> None:
        """Prepare a target; nothing starts before it is entered.

        Args:
            spec: the cluster.
            on_progress: told the ready and the wanted number of replicas while the target starts.
            link: starts the supervisor and talks to it.
        """
        self.wanted_replicas = spec.replicas
        self._spec = spec
        self._on_progress = on_progress
        self._connect = link
        runner = ProcessId.of(os.getpid())
        assert runner is not None
        self._runner = runner
        self._link: SupervisorLink | None = None
        self._ports: Mapping[str, int] = {}
        self._witness = Witness(View(spec, self._describe, partial(self._ask, "network")))
        self._aims: dict[str, Aim] = {}
        """By occurrence."""
        self._caused: set[str] = set()
        """Occurrences of which something was done."""
        self._stopped: Event | None = None

    @property
    def marks(self) -> Mapping[str, str]:
        """What other processes of the run, the load for one, must have in their environment to be found."""
        return marks(self._spec.run_id, self._runner)

    def __enter__(self) -> Self:
        """Start the cluster and wait until every replica is ready and, with Prometheus, scraped.

        Raises:
            InputError: the replicas' command does not exist.
            RefusedError: Prometheus is not installed, or the cluster does not become ready in time.
        """
        program = self._spec.command_for("", 0, 0)[0]
        if shutil.which(program) is None:
            raise InputError(f"the replicas' command is not on PATH: {program}")
        if self._spec.prometheus:
            find_prometheus()
        try:
            self._put_on_record()
            self._link = self._connect(self._spec, self._runner)
            deadline_s = time.monotonic() + self._spec.ready_within_s
            self._ports = until_ready(self._describe, self._spec, self._on_progress, deadline_s)
            if url := self.endpoints().prometheus_url:
                until_scraped(PrometheusClient(url), self._spec, deadline_s)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the cluster; a second time changes nothing.

        Raises:
            CleanupError: a process of this run still lives.
        """
        try:
            self._end()
        except BaseException:
            self._end()  # an interrupt that came in between must not cut the cleanup short
            raise

    def endpoints(self) -> Endpoints:
        """The gateway, its metrics, and Prometheus."""
        prometheus = self._ports.get("prometheus")
        return Endpoints(
            url=f"{_HOST}:{self._ports['gateway']}",
            prometheus_url=f"{_HOST}:{prometheus}" if prometheus is not None else None,
            gateway_metrics_url=f"{_HOST}:{self._ports['gateway_metrics']}/metrics",
            watcher_jobs=[job for name, job in WATCHERS.items() if f"{name}_metrics" in self._ports],
            replica_metrics_urls=[f"{_HOST}:{port}/metrics" for port in self._metrics_ports()],
            service_names=service_names(self._spec.app, self._spec.namespace),
        )

    def evaluate(self, rules: Path) -> None:
        """Have Prometheus evaluate this file of rules from now on.

        Raises:
            InconclusiveError: it does not take them, or there is none.
        """
        url = self.endpoints().prometheus_url
        if url is None:
            raise InconclusiveError("rules cannot be evaluated: this target has no Prometheus")
        ServerFiles(self._spec.scratch_folder).write_rules(rules)
        PrometheusClient(url).reload()

    def nodes(self) -> Sequence[Node]:
        """One node per zone."""
        return naming.nodes(self._spec)

    def replicas(self) -> Sequence[Replica]:
        """Every replica that exists now.

        Raises:
            InconclusiveError: the cluster has ended.
        """
        return [Replica(**row["replica"]) for row in self._describe()["replicas"]]

    def pids(self) -> Mapping[str, Sequence[int]]:
        """Every process of the cluster by role, with all that the replicas forked.

        Raises:
            InconclusiveError: the cluster has ended.
        """
        seen = self._describe()
        replicas = [row["pid"] for row in seen["replicas"] if row["pid"] is not None]
        return by_group(
            {pid: role for role, pid in seen["beside"].items()} | dict.fromkeys(replicas, "replicas")
        )

    def events(self) -> Sequence[Event]:
        """Every event so far, in the order of their monotonic stamps."""
        seen = self._link.events() if self._link is not None else []
        return [*seen, self._stopped] if self._stopped is not None else seen

    def fidelity(self, fault: Asked) -> Fidelity:
        """How close this target comes to the fault."""
        return fidelity(fault, self._spec, here=True)

    def aim(
        self,
        occurrence: str,
        effects: Sequence[Effect],
        victims: Sequence[Replica],
        manifest: Mapping[str, Any] | None = None,  # noqa: ARG002 - its effects are caused here
    ) -> None:
        """Note what the victims are, so that they can be looked up afterwards.

        Raises:
            InconclusiveError: the cluster has ended.
        """
        self._aims[occurrence] = self._witness.aim(occurrence, effects, victims)

    def inject(self, occurrence: str, victims: Sequence[Replica]) -> float:
        """Cause the effects, victim by victim.

        Raises:
            RefusedError: one of these incarnations is gone already; none was touched.
            InconclusiveError: the cluster has ended.
        """
        aim, uids = self._aims[occurrence], [victim.uid for victim in victims]
        if not victims:
            return time.monotonic()
        self._caused.add(occurrence)
        aim.injected(uids)
        asked = {"occurrence": occurrence, "uids": uids}
        began_s = [self._ask("cause", **asked, **to_wire(effect))["at_s"] for effect in aim.effects]
        return min(began_s, default=time.monotonic())

    def verify(self, occurrence: str, within_s: float) -> Sequence[Evidence]:
        """Look from outside whether each victim is hit: in the process table, the list of replicas, the network.

        Returns as soon as every victim is verified, or after `within_s` with what was seen last. With a grace
        period, `within_s` must be longer than it.
        """
        return until_verified(self._aims[occurrence].hit, within_s)

    def recover(self, occurrence: str) -> None:
        """Undo what was done; what was killed is replaced by the Deployment. Harmless once the cluster has ended."""
        if occurrence in self._caused and self._stopped is None:
            with suppress(InconclusiveError):  # it has ended, and everything that was in force with it
                self._ask("undo", occurrence=occurrence)
            self._aims[occurrence].undone()

    def verify_recovered(self, occurrence: str, within_s: float) -> Sequence[Evidence]:
        """Look from outside whether each victim that still exists is as it was before."""
        return until_verified(self._aims[occurrence].unharmed, within_s)

    def _put_on_record(self) -> None:
        try:
            RunRecord.of(self._spec.run_id, self._runner, self._spec.scratch_folder).write()
        except OSError as error:
            raise RefusedError(
                f"the run cannot be put on record, so that it could be found were it lost: {error}",
                hint="free some space, or name a folder that can be written to in XDG_STATE_HOME",
            ) from error

    def _metrics_ports(self) -> Sequence[int]:
        """Of the replicas that are there, each at its latest start."""
        starts = {e.replica: e.detail for e in self.events() if e.kind in _STARTS}
        return [starts[each.name]["metrics_port"] for each in self.replicas() if each.name in starts]

    def _describe(self) -> Message:
        return self._ask("describe")

    def _ask(self, op: str, **fields: Any) -> Message:
        if self._link is None or self._stopped is not None:
            raise InconclusiveError("the local target is not running")
        return self._link.ask(op, **fields)

    def _end(self) -> None:
        if self._stopped is None:
            if self._link is not None:
                self._link.stop()
            # Even without a link: an interrupt may have come while it was being made.
            end_lost_run(self._spec.run_id)
            self._stopped = Event(time.monotonic(), "target_stopped")
