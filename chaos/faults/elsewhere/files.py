"""IOChaos: calls on the files of a volume are late, fail, or tell and do something else."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from chaos.faults.doubts import Doubt, never
from chaos.faults.elsewhere.kind import elsewhere
from chaos.faults.manifest import Camel, FaultObject, FaultSpec
from chaos.reading.documents import Problem
from chaos.reading.quantities import GoDuration
from chaos.reading.strict import Int64, Listed


class Timestamp(Camel):
    """A time as a file has it."""

    sec: Int64 = 0
    """whole seconds"""
    nsec: Int64 = 0
    """and nanoseconds"""


class Attributes(Camel):
    """What a file is to look like."""

    ino: Int64 | None = None
    """its number"""
    size: Int64 | None = None
    """bytes"""
    blocks: Int64 | None = None
    """blocks"""
    atime: Timestamp | None = None
    """last read"""
    mtime: Timestamp | None = None
    """last written"""
    ctime: Timestamp | None = None
    """last changed"""
    kind: str | None = None
    """what it is"""
    perm: Annotated[int, Field(ge=0, lt=2**16)] | None = None
    """who may do what"""
    nlink: Annotated[int, Field(ge=0, lt=2**32)] | None = None
    """how many names it has"""
    uid: Annotated[int, Field(ge=0, lt=2**32)] | None = None
    """whose it is"""
    gid: Annotated[int, Field(ge=0, lt=2**32)] | None = None
    """which group's it is"""
    rdev: Annotated[int, Field(ge=0, lt=2**32)] | None = None
    """which device it is"""


class Mistake(Camel):
    """How what is read or written is wrong."""

    filling: Literal["", "zero", "random"] = ""
    """with what"""
    max_occurrences: Annotated[int, Field(ge=0)] = 0
    """in how many places"""
    max_length: Annotated[int, Field(ge=0)] = 0
    """over how many bytes"""


class IoSpec(FaultSpec):
    """What happens to which files."""

    action: Literal["latency", "fault", "attrOverride", "mistake"]
    """what happens"""
    volume_path: str = ""
    """where the volume is mounted"""
    path: str = ""
    """of these files alone, with `*`"""
    methods: Listed[str] = ()
    """of these calls alone"""
    percent: Annotated[int, Field(ge=0, le=100)] = 100
    """share of calls"""
    delay: GoDuration = ""
    """how much later"""
    errno: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """the number of the error"""
    attr: Attributes | None = None
    """what files are to look like"""
    mistake: Mistake | None = None
    """how what is read or written is wrong"""
    container_names: Listed[str] = ()
    """containers to hit; absent: the first"""


class IoChaos(FaultObject):
    """A Chaos Mesh IOChaos."""

    kind: Literal["IOChaos"]
    """IOChaos"""
    spec: IoSpec
    """the fault"""


def _io_problems(spec: IoSpec) -> Iterator[Problem]:
    if spec.action == "fault" and not spec.errno:
        yield Problem(("errno",), "expected the number of an error, such as 5", spec.errno)


def _io_doubts(spec: IoSpec) -> Iterator[Doubt]:
    if not spec.volume_path:
        yield never("no-volume", ("volumePath",), "expected the path of a volume", spec.volume_path)
    needed = {"latency": "delay", "attrOverride": "attr", "mistake": "mistake"}.get(spec.action)
    if needed is not None and not getattr(spec, needed):
        complaint = f"expected this key: the action {spec.action} does nothing without it"
        yield Doubt("missing-block", Problem((needed,), complaint), starts=False)


IO = elsewhere(
    IoChaos,
    "calls would have to pass through another file system, which takes the right to mount one; and a replica here "
    "has no volume: it reads its weights once, when it starts",
    plane="host",
    problems=_io_problems,
    doubts=_io_doubts,
)
