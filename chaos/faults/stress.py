"""StressChaos: processes beside the victim keep its processors busy and its memory full."""

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from chaos.faults.doubts import Doubt, never
from chaos.faults.fault import Kind
from chaos.faults.manifest import CHAOS_MESH, Camel, FaultObject, FaultSpec
from chaos.reading.documents import Problem
from chaos.reading.quantities import go_atoi
from chaos.reading.strict import Listed
from chaos.targets.effects import MemoryStress, ProcessorStress, approximate, exact

_SIZE = "a size such as 256MB, or a share such as '50%'"
_HUMAN = re.compile(
    r"(\+?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[-+]?[0-9]{1,3})?) ?(?:([kmgtp])(?:i?b)?|b)?",
    re.ASCII | re.IGNORECASE,
)
_THOUSANDS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}


def size(text: str) -> tuple[int | None, float | None]:
    """Bytes of `256MB`, or 0..1 of `50%`; neither of the empty text. MiB is read as MB, 1,000,000 bytes.

    Source: `Bytes.Validate` of Chaos Mesh's `stresschaos_webhook.go`, and `FromHumanSize` of docker/go-units.

    Raises:
        ValueError: it is neither.
    """
    if not text:
        return None, None
    if text.endswith("%"):
        percent = go_atoi(text[:-1])
        if not 0 <= percent <= 100:
            raise ValueError("not 0..100 %")
        return None, percent / 100
    human = _HUMAN.fullmatch(text)
    if human is None:
        raise ValueError(f"not a size: {text!r}")
    return int(float(human[1]) * 1000 ** _THOUSANDS[(human[2] or "").lower()]), None


def _size(text: str) -> str:
    try:
        size(text)
    except ValueError as error:
        raise PydanticCustomError("size", _SIZE) from error
    return text


Workers = Annotated[int, Field(ge=-(2**63), le=8192)]


class Processor(Camel):
    """How processors are kept busy."""

    workers: Workers = 0
    """processes"""
    load: Annotated[int, Field(ge=0, le=100)] | None = None
    """share of its time that each is busy, as a percentage; absent: all of it"""
    options: Listed[str] = ()
    """further options of stress-ng"""


class Memory(Camel):
    """How memory is filled."""

    workers: Workers = 0
    """processes"""
    size: Annotated[str, AfterValidator(_size)] = ""
    """what each of them allocates: 256MB, or 50% of the memory that there is"""
    oom_score_adj: Annotated[int, Field(ge=-1000, le=1000)] = 0
    """how gladly the kernel kills them rather than others"""
    options: Listed[str] = ()
    """further options"""


class Stressors(Camel):
    """What is stressed."""

    cpu: Processor | None = None
    """processors"""
    memory: Memory | None = None
    """memory"""


class StressSpec(FaultSpec):
    """The stress."""

    stressors: Stressors | None = None
    """what is stressed"""
    stressng_stressors: str = ""
    """options of stress-ng as text, in place of `stressors`"""
    container_names: Listed[str] = ()
    """containers to hit; absent: the first"""


class StressChaos(FaultObject):
    """A Chaos Mesh StressChaos."""

    kind: Literal["StressChaos"]
    """StressChaos"""
    spec: StressSpec
    """the fault"""


def _problems(spec: StressSpec) -> Iterator[Problem]:
    stressors = spec.stressors
    if stressors is None and not spec.stressng_stressors:
        yield Problem(("stressors",), "expected this key (what is stressed), got nothing")
    if stressors is not None and stressors.cpu is None and stressors.memory is None:
        yield Problem(("stressors",), "expected cpu or memory", {})


def _doubts(spec: StressSpec) -> Iterator[Doubt]:
    stressors = None if spec.stressng_stressors else spec.stressors
    for name in ("cpu", "memory"):
        stressor = getattr(stressors, name, None)
        if stressor is not None and stressor.workers <= 0:
            complaint = "expected at least 1: without a worker nothing is stressed"
            yield never("no-workers", ("stressors", name, "workers"), complaint, stressor.workers)
    memory = stressors.memory if stressors is not None else None
    if memory is not None and not memory.size:
        complaint = "expected a size: without one, each worker takes all the memory that there is"
        yield Doubt("all-memory", Problem(("stressors", "memory", "size"), complaint, memory.size))
    if memory is not None and memory.oom_score_adj < 0:
        complaint = "expected at least 0: the kernel kills the victim rather than what takes its memory"
        where = ("stressors", "memory", "oomScoreAdj")
        yield Doubt("spared-stressor", Problem(where, complaint, memory.oom_score_adj))


def _effects(spec: StressSpec) -> tuple[ProcessorStress | MemoryStress, ...]:
    names = spec.container_names
    if spec.stressng_stressors:  # it wins over `stressors`
        return (ProcessorStress(0, containers=names, options=(spec.stressng_stressors,)),)
    effects: list[ProcessorStress | MemoryStress] = []
    stressors = spec.stressors or Stressors()
    if (cpu := stressors.cpu) is not None and cpu.workers:
        load = 1.0 if cpu.load is None else cpu.load / 100
        effects.append(ProcessorStress(cpu.workers, load, names, cpu.options))
    if (memory := stressors.memory) is not None and memory.workers:
        size_bytes, share = size(memory.size or "100%")
        effects.append(
            MemoryStress(memory.workers, size_bytes, share, memory.oom_score_adj, names, memory.options)
        )
    return tuple(effects)


KIND = Kind(
    api_version=CHAOS_MESH,
    kind="StressChaos",
    manifest=StressChaos,
    effects=_effects,
    problems=_problems,
    doubts=_doubts,
    plane="host",
    done="were stressed",
    fidelities={
        "local": approximate(
            "the stressors are processes of their own beside the replica, as nice as it and on the same processors; "
            "no cgroup holds them together with it, so that they take from everybody on those processors"
        ),
        "kubernetes": exact("stressors in the victim's own cgroup and pid namespace"),
    },
)
