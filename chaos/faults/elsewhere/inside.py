"""Kinds that need to be inside a container, or its kernel: names, system calls, block devices."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from chaos.faults.doubts import Doubt, never
from chaos.faults.elsewhere.kind import elsewhere
from chaos.faults.manifest import Camel, FaultObject, FaultSpec
from chaos.reading.documents import Problem
from chaos.reading.quantities import FloatText, GoDuration
from chaos.reading.strict import Listed


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
