"""Kinds that need to be inside a container, or its kernel: clocks, names, system calls, block devices."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from chaos.faults.doubts import Doubt, never
from chaos.faults.elsewhere.kind import elsewhere
from chaos.faults.manifest import Camel, FaultObject, FaultSpec
from chaos.reading.documents import Problem
from chaos.reading.quantities import DurationText, FloatText, GoDuration
from chaos.reading.strict import Listed

_CLOCKS = (
    "CLOCK_REALTIME",
    "CLOCK_MONOTONIC",
    "CLOCK_PROCESS_CPUTIME_ID",
    "CLOCK_THREAD_CPUTIME_ID",
    "CLOCK_MONOTONIC_RAW",
    "CLOCK_REALTIME_COARSE",
    "CLOCK_MONOTONIC_COARSE",
    "CLOCK_BOOTTIME",
    "CLOCK_REALTIME_ALARM",
    "CLOCK_BOOTTIME_ALARM",
)


class TimeSpec(FaultSpec):
    """How wrong which clocks are."""

    duration: str | None = None
    """how long the fault lasts"""
    time_offset: DurationText
    """by how much"""
    clock_ids: Listed[str] = ("CLOCK_REALTIME",)
    """which clocks"""
    container_names: Listed[str] = ()
    """containers to hit; absent: the first"""


class TimeChaos(FaultObject):
    """A Chaos Mesh TimeChaos."""

    kind: Literal["TimeChaos"]
    """TimeChaos"""
    spec: TimeSpec
    """the fault"""


def _time_doubts(spec: TimeSpec) -> Iterator[Doubt]:
    for index, clock in enumerate(spec.clock_ids):
        if clock not in _CLOCKS:
            complaint = f"expected a clock that there is, such as {_CLOCKS[0]} or {_CLOCKS[1]}"
            yield never("unknown-clock", ("clockIds", index), complaint, clock)


TIME = elsewhere(
    TimeChaos,
    "a process would have to be made to read another clock, which takes the right to change its memory",
    plane="host",
    doubts=_time_doubts,
)


class DnsSpec(FaultSpec):
    """What becomes of which names."""

    action: Literal["error", "random"]
    """an error, or a wrong address"""
    patterns: Listed[str] = ()
    """of these names alone; absent: all"""
    container_names: Listed[str] = ()
    """containers to hit; absent: the first"""


class DnsChaos(FaultObject):
    """A Chaos Mesh DNSChaos."""

    kind: Literal["DNSChaos"]
    """DNSChaos"""
    spec: DnsSpec
    """the fault"""


def _dns_doubts(spec: DnsSpec) -> Iterator[Doubt]:
    for index, pattern in enumerate(spec.patterns):
        if "*" in pattern[:-1]:
            complaint = "expected a '*' at the end alone, as Chaos Mesh's DNS server reads it"
            yield never("impossible-pattern", ("patterns", index), complaint, pattern)


DNS = elsewhere(
    DnsChaos,
    "replicas here ask no DNS server: they are found by their ports on one host",
    plane="network",
    doubts=_dns_doubts,
)


class Frame(Camel):
    """One function of a call chain."""

    funcname: str = ""
    """its name"""
    parameters: str = ""
    """its parameters"""
    predicate: str = ""
    """a condition on them"""


class FailKernRequest(Camel):
    """Which calls of the kernel fail."""

    callchain: Listed[Frame] = ()
    """under which functions"""
    failtype: Annotated[int, Field(ge=0, le=2)] = 0
    """what fails: 0 slab, 1 pages, 2 block devices"""
    headers: Listed[str] = ()
    """kernel headers that it needs"""
    probability: Annotated[int, Field(ge=0, le=100)] = 0
    """share of calls"""
    times: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """how often at most"""


class KernelSpec(FaultSpec):
    """What the kernel fails to do."""

    fail_kern_request: FailKernRequest = FailKernRequest()
    """which calls fail"""
    container_names: Listed[str] = ()
    """containers to hit; absent: the first"""


class KernelChaos(FaultObject):
    """A Chaos Mesh KernelChaos."""

    kind: Literal["KernelChaos"]
    """KernelChaos"""
    spec: KernelSpec
    """the fault"""


KERNEL = elsewhere(KernelChaos, "it takes a program in the kernel, and root", plane="host")


class BlockDelay(Camel):
    """How much later."""

    latency: GoDuration = ""
    """added to every access"""
    correlation: FloatText = "0"
    """how much of one draw the next one keeps, as a percentage in text"""
    jitter: GoDuration = "0ms"
    """the latency varies by as much"""


class BlockSpec(FaultSpec):
    """What a block device does."""

    action: Literal["delay"]
    """it is slow"""
    volume_name: str = ""
    """the volume on it"""
    delay: BlockDelay | None = None
    """how much later"""
    container_names: Listed[str] = ()
    """containers to hit; absent: the first"""


class BlockChaos(FaultObject):
    """A Chaos Mesh BlockChaos."""

    kind: Literal["BlockChaos"]
    """BlockChaos"""
    spec: BlockSpec
    """the fault"""


def _block_problems(spec: BlockSpec) -> Iterator[Problem]:
    if spec.delay is None:
        yield Problem(("delay",), "expected this key (how much later), got nothing")


BLOCK = elsewhere(
    BlockChaos,
    "it takes a module of the kernel, and root",
    plane="host",
    problems=_block_problems,
)
