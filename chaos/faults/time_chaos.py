"""TimeChaos: replicas read a clock that is wrong.

Source of the semantics: chaos-mesh/chaos-mesh, `api/v1alpha1` and `pkg/time`.
"""

from collections.abc import Iterator
from typing import Literal

from chaos.faults.doubts import Doubt, never
from chaos.faults.fault import Kind
from chaos.faults.manifest import CHAOS_MESH, FaultObject, FaultSpec
from chaos.reading.quantities import DurationText, go_duration_ns
from chaos.reading.strict import Listed
from chaos.targets.effects import modelled, unsupported
from chaos.targets.engine_effects import ClockShift

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


def _effects(spec: TimeSpec) -> tuple[ClockShift, ...]:
    return (
        ClockShift(
            go_duration_ns(spec.time_offset) / 1e9, tuple(spec.clock_ids), tuple(spec.container_names)
        ),
    )


KIND = Kind(
    api_version=CHAOS_MESH,
    kind="TimeChaos",
    manifest=TimeChaos,
    effects=_effects,
    doubts=_time_doubts,
    plane="application",
    done="read a clock that was wrong",
    fidelities={
        "local": modelled(
            "the reference server shifts what its own code reads as the time of the wall, by order over a door of its "
            "own; C code in it reads the true one"
        ),
        "kubernetes": unsupported("nothing here could prove it"),
    },
)
