"""What an experiment file may hold: every key with its type, default and meaning.

Shapes only: what spans several keys, or other files, is checked in `chaos.reading.experiment`. A test holds
docs/experiment-file.md to these models.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from chaos.fault.blast_radius import BlastRadius
from chaos.quantities import CapacityShare, Duration, DurationOrZero, LoadRate, Percent, Ratio
from chaos.reading.names import DnsLabel, LabelKey, LabelValue, PodReference
from chaos.reading.strict import Listed, Strict
from chaos.targets.local.spec import LIVENESS, READINESS, ProbeSpec
from chaos.targets.local.standby import works_here
from exporters.slo import E2E_BOUND_S, TTFT_BOUND_S

PLACEHOLDERS = ("{port}", "{metrics_port}", "{name}")
TARGET_LABELS = ("app", "zone", "pod-template-hash")
DEFAULT_COMMAND = (
    "python",
    "-m",
    "reference_server",
    "--replica-name",
    "{name}",
    "--port",
    "{port}",
    "--metrics-port",
    "{metrics_port}",
)

STANDBY = ("python", "-m", "reference_server", "--standby", "-")


def _not_blank(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("text", "text that says something")
    return text


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


Text = Annotated[str, AfterValidator(_not_blank)]
UrlPath = Annotated[str, AfterValidator(_absolute)]
Template = Annotated[str, AfterValidator(_known_placeholders)]
ExtraLabelKey = Annotated[LabelKey, AfterValidator(_not_the_targets)]
Count = Annotated[int, Field(ge=1)]


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


class LocalTarget(Strict):
    """A Deployment's worth of processes on this machine."""

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
    ready_within_s: Duration = Field(default=120.0, alias="ready_within")
    """how long all replicas may take to be ready at the start"""

    @property
    def standby_command(self) -> tuple[str, ...]:
        """As the file says, or what suits the replicas' command."""
        if self.standby is not None:
            return tuple(self.standby)
        served = self.command[: len(DEFAULT_COMMAND[:3])] == DEFAULT_COMMAND[:3]
        return STANDBY if served and works_here() else ()


class TargetChoice(Strict):
    """Where the experiment happens."""

    local: LocalTarget
    """a Deployment's worth of processes on this machine"""


class Timeouts(Strict):
    """When the client gives a request up; each is an outcome of its own."""

    ttft_s: Duration = Field(default=10.0, alias="ttft")
    """no first token"""
    stall_s: Duration = Field(default=5.0, alias="stall")
    """no further token"""
    deadline_s: Duration = Field(default=30.0, alias="deadline")
    """the request as a whole"""


class MeasuredCapacity(Strict):
    """What `load.rate` was made of when it was given as a share."""

    measured: Annotated[float, Field(gt=0)]
    """requests per second that the cluster carried within `slo`"""
    share: Percent
    """which share of it `load.rate` was to be"""
    at_least: bool = False
    """true where the cluster was not overloaded by the highest rate that was tried"""
    arrivals: Count
    """requests that were sent to find out"""
    took_s: Duration = Field(alias="took")
    """how long that took"""
    baseline_grew_from_s: Duration | None = Field(default=None, alias="baseline_grew_from")
    """what `phases.baseline` was before it grew to hold the requests of every claim"""


class Load(Strict):
    """The open-loop load: requests leave at their planned instant whatever the cluster does."""

    rate: LoadRate
    """requests per second, or `N% of capacity`: measured before the warm-up, and written into the run's copy"""
    capacity: MeasuredCapacity | None = None
    """what `rate` came from: written into the run's copy, not needed otherwise"""
    arrivals: Literal["poisson", "constant"] = "poisson"
    """random or even gaps between requests"""
    prompt_tokens: Count = 64
    """length of each prompt"""
    output_tokens: Count = 32
    """length of each answer"""
    max_in_flight: Count = 512
    """requests beyond this many at once are dropped by the client, and counted"""
    timeouts: Timeouts = Timeouts()
    """when the client gives a request up"""

    @property
    def rate_per_s(self) -> float | None:
        """The rate as a number; None while it is a share of something that was not measured yet."""
        return None if isinstance(self.rate, CapacityShare) else self.rate


class Phases(Strict):
    """The plan, in order; the fault is injected between baseline and observe."""

    warmup_s: DurationOrZero = Field(default=5.0, alias="warmup")
    """under load, but in no phase"""
    baseline_s: Duration = Field(alias="baseline")
    """what recovery is compared with; a P99 claim needs 299 requests in it"""
    observe_s: Duration = Field(alias="observe")
    """under load after the fault: at least `recovery.within` + `recovery.hold`"""


class Fault(Strict):
    """What is injected, and how far it may reach."""

    manifest: Text
    """a Chaos Mesh manifest, relative to this file"""
    max_targets: Count
    """blast radius: refuse a fault that could hit more replicas than this"""
    protected_namespaces: Listed[DnsLabel] = ("kube-system",)
    """refuse a fault whose selector matches anything in these"""
    protected_pods: Listed[PodReference] = ()
    """refuse a fault whose selector matches one of these, each as `namespace/name`"""

    @property
    def blast_radius(self) -> BlastRadius:
        """How far the fault may reach."""
        return BlastRadius(self.max_targets, self.protected_namespaces, self.protected_pods)


class Slo(Strict):
    """What makes a request good; bounds are inclusive."""

    ttft_s: Duration = Field(default=TTFT_BOUND_S, alias="ttft")
    """time to first token, from the intended start"""
    e2e_s: Duration = Field(default=E2E_BOUND_S, alias="e2e")
    """end-to-end latency, from the intended start"""
    itl_s: Duration | None = Field(default=None, alias="itl")
    """largest gap between two tokens; absent leaves gaps unbounded"""


class Recovery(Strict):
    """When the service counts as recovered."""

    goodput: Ratio = 0.95
    """least goodput of a window, as a share of the baseline's"""
    error_ratio: Ratio = 0.02
    """largest share of failures in a window"""
    window_s: Duration = Field(default=2.0, alias="window")
    """length of one sliding window"""
    hold_s: Duration = Field(default=5.0, alias="hold")
    """how long every window must pass"""
    within_s: Duration = Field(default=30.0, alias="within")
    """later than this after the fault is `not recovered`"""


class ExperimentSpec(Strict):
    """One experiment file."""

    experiment: DnsLabel
    """the experiment's name"""
    hypothesis: Text
    """the sentence that the run tries to refute"""
    seed: Annotated[int, Field(ge=0)] | None = None
    """makes arrivals, names and victims repeatable; absent: drawn, and written into the run's copy"""
    target: TargetChoice
    """where the experiment happens"""
    load: Load
    """the open-loop load"""
    phases: Phases
    """how long each part of the run takes"""
    fault: Fault
    """what is injected, and how far it may reach"""
    slo: Slo = Slo()
    """what makes a request good"""
    recovery: Recovery = Recovery()
    """when the service counts as recovered"""
    assertions: Annotated[Listed[Text], Field(min_length=1)]
    """what must hold for the verdict `passed`; see docs/assertions.md"""
    versions: Mapping[str, str] = {}
    """what ran it: written into the run's copy, not needed otherwise"""
