"""What an experiment file may hold: every key with its type, default and meaning.

Shapes only: what spans several keys, or other files, is checked in `chaos.experiment.experiment`; a target's own
section belongs to the target. A test holds docs/experiment-file.md to these models.
"""

from collections.abc import Mapping
from typing import Annotated, Any, get_args

from pydantic import Field, model_validator

import loadtests.spec
from chaos.experiment.needs import Need
from chaos.experiment.slo import Slo
from chaos.experiment.traffic import Canaries, InWords, Part, RateProfile, Sessions, Trace, in_words
from chaos.experiment.watched import Condition, Guard
from chaos.faults.blast_radius import BlastRadius
from chaos.reading.names import DnsLabel, LabelKey, LabelValue, PodReference
from chaos.reading.quantities import (
    CapacityShare,
    Duration,
    DurationOrZero,
    LoadRate,
    Percent,
    Ratio,
)
from chaos.reading.strict import Count, Listed, Strict, Text
from chaos.targets.kinds import TargetChoice
from loadtests.traffic.mix import has_sessions
from loadtests.traffic.profiles import PROFILES, Profile
from loadtests.traffic.traces import window


class Timeouts(InWords, loadtests.spec.Timeouts):
    """When the client gives a request up; each is an outcome of its own. Written as durations."""


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


class Rate(Strict):
    """How fast requests leave."""

    rate: LoadRate | None = None
    """requests per second, or `N% of capacity`: measured before the warm-up, and written into the run's copy"""
    capacity: MeasuredCapacity | None = None
    """what `rate` came from: written into the run's copy, not needed otherwise"""


class Load(loadtests.spec.Offered, Rate):
    """The open-loop load: requests leave at their planned instant whatever the cluster does."""

    profile: Profile | None = None
    """traffic as published: it gives every key of `load` that is left out here and concerns traffic; docs/traffic.md"""
    batch_every_s: Duration | None = Field(default=None, alias="batch_every")
    """requests wait for the next multiple of this time, and leave together"""
    rate_profile: RateProfile | None = None
    """how the rate changes over time, as a factor of `rate`; absent: not at all"""
    shared_prefix: Ratio = loadtests.spec.SHARED_PREFIX
    """share of each prompt that all prompts begin with, for prefix caches to hit"""
    sessions: Sessions | None = None
    """conversations in place of single requests; partly open: their later turns wait for answers"""
    trace: Trace | None = None
    """a recorded trace to replay, in place of rate, arrivals and lengths"""
    model: Text | None = None
    """which model to ask for; absent: the target's own, or the first that the service lists"""
    api_key_env: Text | None = None
    """the environment variable that holds the API key; absent: the target's own"""
    mix: Listed[Part] | None = Field(default=None, min_length=1)
    """parts of the traffic, each with its share of the rate, for claims about one of them"""
    canaries: Canaries | None = None
    """prompts whose right answer is known, or learnt in the baseline, among the requests; absent: none"""
    timeouts: Timeouts = Timeouts()
    """when the client gives a request up"""

    @model_validator(mode="before")
    @classmethod
    def _as_its_profile(cls, values: Any) -> Any:
        """What the profile says, where the file does not say otherwise."""
        name = values.get("profile") if isinstance(values, Mapping) else None
        if name not in get_args(Profile):
            return values
        given = in_words(PROFILES[str(name)])
        if values.get("arrivals", given["arrivals"]) != given["arrivals"]:
            del given["burstiness"]  # of gamma arrivals
        return {**given, **values}

    def labels(self, label: str) -> tuple[str, ...]:
        """The names of each `profile`, or of each `tenant`, that it has."""
        if self.mix is None:
            return (self.profile,) if label == "profile" and self.profile else ()
        names = (part.profile if label == "profile" else part.tenant for part in self.mix)
        return tuple(dict.fromkeys(name for name in names if name is not None))

    def share_of(self, profile: str | None, tenant: str | None) -> float:
        """Which share of the requests a claim is about; None stands for any."""
        return sum(
            part.share
            for part in self.mix or (Part(share=1.0, profile=self.profile),)
            if profile in (None, part.profile) and tenant in (None, part.tenant)
        )

    @property
    def partly_open(self) -> bool:
        """Whether turns of sessions wait for answers."""
        whole = self.sessions is not None
        return any(has_sessions(part, load_has=whole) for part in self.mix) if self.mix else whole

    @property
    def rate_per_s(self) -> float | None:
        """The rate as a number: of a trace its window's mean at its speed; None while it is a share to be measured.

        Raises:
            OSError: the trace cannot be read.
            ValueError: it is none.
        """
        if self.trace is not None:
            return window(self.trace).rate_per_s * self.trace.speed
        return None if isinstance(self.rate, CapacityShare) else self.rate


CHOSEN_S = 20.0
"""Of a baseline whose length is left to us, at the least."""


class Phases(Strict):
    """The plan, in order; faults are injected from the end of the baseline on."""

    warmup_s: DurationOrZero = Field(default=5.0, alias="warmup")
    """under load, but in no phase"""
    baseline_s: DurationOrZero = Field(default=CHOSEN_S, alias="baseline")
    """what recovery is compared with; absent: as its claims need, 20 s at least; 0s where nothing is injected"""
    observe_s: Duration = Field(alias="observe")
    """under load after the baseline, at least `recovery.within` + `hold` from the first fault, `hold` after the last"""


class FaultEntry(Strict):
    """What is injected, when, and how far it may reach."""

    manifest: Text
    """a manifest, relative to this file: Chaos Mesh's, or one of aftershock's own"""
    at_s: DurationOrZero = Field(default=0.0, alias="at")
    """when, after the end of the baseline"""
    until_s: Duration | None = Field(default=None, alias="until")
    """when it is undone at the latest, after the end of the baseline; a fault that is over at once takes none"""
    jitter_s: DurationOrZero = Field(default=1.0, alias="jitter")
    """all of it is up to so much later, as the seed draws: no gap between two arrivals is where it always falls"""
    when: Condition | None = None
    """injected once this holds, from `at` on, in place of at `at`"""
    max_targets: Count
    """blast radius: refuse a fault that could hit more replicas than this"""
    max_share: Ratio | None = None
    """refuse one that could hit more than this share of the replicas that the target should have"""
    protected_namespaces: Listed[DnsLabel] = ("kube-system",)
    """refuse a fault whose selector matches anything in these"""
    protected_pods: Listed[PodReference] = ()
    """refuse a fault whose selector matches one of these, each as `namespace/name`"""
    protected_zones: Listed[DnsLabel] = ()
    """refuse a fault whose selector matches a replica in one of these zones"""
    protected_labels: Mapping[LabelKey, LabelValue] = {}
    """refuse a fault whose selector matches a replica with one of these labels"""
    accept: Listed[Text] = ()
    """what `validate` warns of in its manifest and is meant all the same, by name: `whole-namespace`"""
    control: bool = False
    """draw its victims and inject it into nobody: the proof of the fault must then fail"""

    @property
    def blast_radius(self) -> BlastRadius:
        """How far the fault may reach."""
        return BlastRadius(
            self.max_targets,
            self.protected_namespaces,
            self.protected_pods,
            self.max_share,
            self.protected_zones,
            self.protected_labels,
        )


class Recovery(Strict):
    """When the service counts as recovered."""

    goodput: Ratio = 0.95
    """least goodput, as a share of the baseline's"""
    error_ratio: Ratio = 0.02
    """largest share of failures beyond the baseline's own"""
    window_s: Duration | None = Field(default=None, alias="window")
    """how long a partial loss is of which `plan` speaks; absent: as long as 100 requests take, from 2 s to a hold"""
    hold_s: Duration = Field(default=5.0, alias="hold")
    """how long after its end a disturbance must not come back"""
    within_s: Duration = Field(default=30.0, alias="within")
    """later than this after the fault is `not recovered`"""
    cache: Ratio = 0.9
    """least hit ratio of prefix caches, as a share of the baseline's"""


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
    fault: FaultEntry | None = None
    """what is injected, where that is one fault"""
    faults: Listed[FaultEntry] = ()
    """what is injected, each at its time; either this or `fault`; `[]` injects nothing, the run only observes"""
    abort: Listed[Guard] = ()
    """what ends the run early once a fault was injected"""
    slo: Slo = Slo()
    """what makes a request good"""
    recovery: Recovery = Recovery()
    """when the service counts as recovered"""
    assertions: Annotated[Listed[Text], Field(min_length=1)]
    """what must hold for the verdict `passed`; see docs/assertions.md"""
    needs: Listed[Need] = ()
    """what a machine must have, or a catalogue leaves it out: `gpu`, a variable as `$NAME`, or a program"""
    versions: Mapping[str, str] = {}
    """what ran it: written into the run's copy, not needed otherwise"""

    @property
    def observes(self) -> bool:
        """Whether nothing is to be injected, and the file says so: `faults: []`."""
        return not self.entries and "faults" in self.model_fields_set

    @property
    def planned_s(self) -> float:
        """From the first instant of the arrival plan to its end: as long as the latest jitter makes it."""
        phases, latest_s = self.phases, max((entry.jitter_s for entry in self.entries), default=0.0)
        return phases.warmup_s + phases.baseline_s + phases.observe_s + latest_s

    @property
    def entries(self) -> tuple[FaultEntry, ...]:
        """Every fault."""
        return self.faults if self.fault is None else (self.fault,)
