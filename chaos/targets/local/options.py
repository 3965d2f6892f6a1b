"""The local target's own section of an experiment file: its keys, defaults and checks, and what it would start."""

import re
import secrets
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from chaos.reading.documents import Problem
from chaos.reading.names import DnsLabel, LabelKey, LabelValue
from chaos.reading.quantities import Duration
from chaos.reading.strict import Count, Listed, Strict, Text
from chaos.targets import Asked, Target
from chaos.targets.effects import Fidelity
from chaos.targets.local import lost_runs, naming
from chaos.targets.local.fidelity import KIND, fidelity
from chaos.targets.local.gateway.options import GatewayOptions
from chaos.targets.local.ports import POOL_SIZE
from chaos.targets.local.spec import (
    LIVENESS,
    READINESS,
    REFERENCE_SERVER,
    LocalSpec,
    PingerSpec,
    ProberSpec,
    ProbeSpec,
    held_to,
)
from chaos.targets.local.standby import works_here
from chaos.targets.local.target import LocalTarget
from chaos.targets.options import LostRun, Opening, Planned, TargetOptions

PLACEHOLDERS = ("{port}", "{metrics_port}", "{name}")
TARGET_LABELS = ("app", "zone", "pod-template-hash")
DEFAULT_COMMAND = (
    *REFERENCE_SERVER,
    "--replica-name",
    "{name}",
    "--port",
    "{port}",
    "--metrics-port",
    "{metrics_port}",
)

STANDBY = ("python", "-m", "reference_server", "--standby", "-")


def _absolute(path: str) -> str:
    if not path.startswith("/"):
        raise PydanticCustomError("path", "a path that starts with a slash")
    return path


def _known_placeholders(text: str) -> str:
    # JSON in a command line has braces too, but never around a bare word.
    if {*re.findall(r"\{\w+\}", text)} - {*PLACEHOLDERS}:
        known = ", ".join(PLACEHOLDERS)
        raise PydanticCustomError("placeholder", "no placeholder but {known}", {"known": known})
    return text


def _not_the_targets(key: str) -> str:
    if key in TARGET_LABELS:
        own = ", ".join(TARGET_LABELS)
        raise PydanticCustomError("label", "none of {own}: the target sets these", {"own": own})
    return key


UrlPath = Annotated[str, AfterValidator(_absolute)]
Template = Annotated[str, AfterValidator(_known_placeholders)]
ExtraLabelKey = Annotated[LabelKey, AfterValidator(_not_the_targets)]


class Readiness(Strict):
    """Whether a replica gets requests."""

    path: UrlPath = READINESS.path
    """an HTTP GET of this path must answer 200..399"""
    period_s: Duration = Field(default=READINESS.period_s, alias="period")
    """between two questions"""
    timeout_s: Duration = Field(default=READINESS.timeout_s, alias="timeout")
    """how long an answer may take"""
    failure_threshold: Count = READINESS.failure_threshold
    """failures in a row that turn the verdict"""
    success_threshold: Count = READINESS.success_threshold
    """successes in a row that turn it back"""

    @property
    def spec(self) -> ProbeSpec:
        """The same for the local target."""
        return ProbeSpec(
            self.path, self.period_s, self.timeout_s, self.failure_threshold, self.success_threshold
        )


class Liveness(Readiness):
    """Whether a replica is killed and restarted."""

    path: UrlPath = LIVENESS.path
    """an HTTP GET of this path must answer 200..399"""
    period_s: Duration = Field(default=LIVENESS.period_s, alias="period")
    """between two questions"""
    timeout_s: Duration = Field(default=LIVENESS.timeout_s, alias="timeout")
    """how long an answer may take"""
    failure_threshold: Count = LIVENESS.failure_threshold
    """failures in a row that turn the verdict"""
    success_threshold: Count = LIVENESS.success_threshold
    """successes in a row that turn it back"""


class Probes(Strict):
    """How the target looks after its replicas."""

    readiness: Readiness = Readiness()
    """whether a replica gets requests"""
    liveness: Liveness = Liveness()
    """whether a replica is killed and restarted"""


class LocalOptions(TargetOptions):
    """A Deployment's worth of processes on this machine."""

    kind: ClassVar[str] = KIND

    replicas: Count
    """how many replicas"""
    namespace: DnsLabel = "inference"
    """the namespace they live in, for selectors"""
    app: DnsLabel = "reference-server"
    """label `app` of every replica, and the start of its name"""
    labels: Mapping[ExtraLabelKey, LabelValue] = {}
    """more labels on every replica, beside `app` and `zone`"""
    zones: Annotated[Listed[DnsLabel], Field(min_length=1)] = ("zone-a", "zone-b", "zone-c")
    """replicas go round these; each is one node `node-<zone>` with label `topology.kubernetes.io/zone`"""
    command: Annotated[Listed[Template], Field(min_length=1)] = DEFAULT_COMMAND
    """starts one replica: a leading `python` is this interpreter, placeholders are filled in"""
    standby: Listed[Text] | None = None
    """starts a process that replicas are forked from (docs/standby.md); absent, the reference server's own, if it is \
the command; `[]`: each starts anew"""
    env: Mapping[Text, Template] = {}
    """environment of every replica, placeholders filled in"""
    probes: Probes = Probes()
    """how the target looks after its replicas"""
    gateway: GatewayOptions = GatewayOptions()
    """what the gateway does about replicas that answer badly"""
    prober: bool | None = None
    """whether every replica is asked as a client would, all along: a small streaming request every five seconds; \
absent, if it is the reference server, which leaves these out of its counts"""
    pinger: bool = True
    """whether the network in front of every replica is timed, all along: a round trip of a few bytes each second"""
    ready_within_s: Duration = Field(default=120.0, alias="ready_within")
    """how long all replicas may take to be ready at the start"""

    @property
    def standby_command(self) -> tuple[str, ...]:
        """As the file says, or what suits the replicas' command."""
        if self.standby is not None:
            return tuple(self.standby)
        served = self.command[: len(REFERENCE_SERVER)] == REFERENCE_SERVER
        return STANDBY if served and works_here() else ()

    @property
    def wanted_replicas(self) -> int:
        """How many replicas there should be."""
        return self.replicas

    @property
    def has_prometheus(self) -> bool:
        """It has its own."""
        return True

    @property
    def about(self) -> str:
        """What is about to start."""
        return f"{self.replicas} replicas starting"

    def problems(self) -> Iterator[Problem]:
        """What is wrong across several keys."""
        if not any("{port}" in text for text in (*self.command, *self.env.values())):
            complaint = "expected {port} in it, or in env: replicas cannot share one port"
            yield Problem(("command",), complaint, list(self.command))
        each = 2 if any("{metrics_port}" in text for text in (*self.command, *self.env.values())) else 1
        if self.replicas * each > POOL_SIZE:
            complaint = f"expected at most {POOL_SIZE // each}: each takes {each} of {POOL_SIZE} ports"
            yield Problem(("replicas",), complaint, self.replicas)
        for index, zone in enumerate(self.zones):
            if zone in self.zones[:index]:
                yield Problem(("zones", index), "expected each zone once", zone)

    def spec(
        self, experiment: str, folder: Path, seed: int | None, run_metrics_address: str | None = None
    ) -> LocalSpec:
        """The cluster that is asked for, without its prober and its pinger; its replicas' names follow the seed."""
        return LocalSpec(
            run_id=f"{experiment}-{uuid.uuid4().hex[:12]}",
            run_folder=folder.absolute(),
            replicas=self.replicas,
            command=self.command,
            env=self.env,
            standby=self.standby_command,
            namespace=self.namespace,
            app=self.app,
            labels=self.labels,
            zones=self.zones,
            readiness=self.probes.readiness.spec,
            liveness=self.probes.liveness.spec,
            gateway=self.gateway.spec,
            ready_within_s=self.ready_within_s,
            name_seed=seed,
            faults_key=secrets.token_urlsafe(24),
            run_metrics_address=run_metrics_address,
        )

    def planned(self, seed: int | None) -> Planned:
        """The replicas and nodes that there would be."""
        spec = self.spec("planned", Path(), seed)
        return Planned(tuple(naming.planned(spec)), tuple(naming.nodes(spec)))

    def cannot_ask(self, url: str) -> None:
        """None: the runner is in its network, and where the gateway is it knows."""

    def fidelity(self, fault: Asked) -> Fidelity:
        """How close a local cluster comes to a fault."""
        return fidelity(fault, self.spec("planned", Path(), None))

    def open(self, opening: Opening) -> Target:
        """A cluster of its own for one run."""
        spec = self.spec(opening.experiment, opening.folder, opening.seed, opening.run_metrics_address)
        probed = spec.is_reference_server if self.prober is None else self.prober
        if probed:
            spec = replace(spec, prober=ProberSpec(model=opening.model, api_key_env=opening.api_key_env))
        if self.pinger:
            spec = replace(spec, pinger=PingerSpec())
        return LocalTarget(held_to(spec, opening.objectives), opening.on_progress)

    @classmethod
    def lost(cls) -> Sequence[LostRun]:
        """Runs whose runner is gone while processes of theirs live."""
        return [
            LostRun(
                run.run_id,
                f"its runner (pid {run.runner_pid}) is gone; left: {len(run.processes)} processes"
                + (", its scratch folder" if run.scratch is not None else ""),
                run.pieces,
                partial(lost_runs.end_lost_run, run.run_id),
            )
            for run in lost_runs.find_lost_runs()
        ]
