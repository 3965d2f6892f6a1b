"""Faults of machines outside of the cluster, and the objects that name such machines and other clusters."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import ConfigDict

from chaos.faults.elsewhere.kind import elsewhere
from chaos.faults.manifest import Camel, FaultObject, Mode, WholeSpec
from chaos.reading.documents import Problem
from chaos.reading.strict import Listed, suggestion

_ACTIONS = (
    *("stress-cpu", "stress-mem", "disk-read-payload", "disk-write-payload", "disk-fill"),
    *("network-corrupt", "network-duplicate", "network-loss", "network-delay", "network-partition"),
    *("network-dns", "network-bandwidth", "network-flood", "network-down", "process"),
    *("jvm-exception", "jvm-gc", "jvm-latency", "jvm-return", "jvm-stress", "jvm-rule-data", "jvm-mysql"),
    *("clock", "redis-expiration", "redis-penetration", "redis-cacheLimit", "redis-restart", "redis-stop"),
    *("kafka-fill", "kafka-flood", "kafka-io", "file-create", "file-modify", "file-delete"),
    *("file-rename", "file-append", "file-replace", "vm", "user_defined"),
)
_OTHER_BLOCKS = ("http-abort", "http-config", "http-delay", "http-request")
NOT_LOOKED_INTO = "what its action's block holds is not looked into"


class MachineSelector(Camel):
    """Which machines."""

    namespaces: Listed[str] = ()
    """where their objects are"""
    label_selectors: Mapping[str, str] = {}
    """labels that must be equal"""
    annotation_selectors: Mapping[str, str] = {}
    """annotations that must be equal"""
    expression_selectors: Listed[Mapping[str, Any]] = ()
    """set-based requirements on labels"""
    field_selectors: Mapping[str, str] = {}
    """fields that must be equal"""
    physical_machines: Mapping[str, Listed[str]] = {}
    """machines by namespace and name"""


class MachineChaosSpec(WholeSpec):
    """What happens to which machine; the block of its action has the action's name."""

    model_config = ConfigDict(extra="allow")

    action: str = ""
    """what happens"""
    mode: Mode
    """how many of the machines are hit"""
    value: str = ""
    """the mode's number, as text"""
    selector: MachineSelector | None = None
    """which machines, by their objects"""
    address: Listed[str] = ()
    """which machines, by their addresses"""
    uid: str = ""
    """the fault's own number"""
    remote_cluster: str = ""
    """another cluster in which the fault is to happen"""


class MachineChaos(FaultObject):
    """A Chaos Mesh PhysicalMachineChaos."""

    kind: Literal["PhysicalMachineChaos"]
    """PhysicalMachineChaos"""
    spec: MachineChaosSpec
    """the fault"""


def _problems(spec: MachineChaosSpec) -> Iterator[Problem]:
    blocks = spec.model_extra or {}
    for name, block in blocks.items():
        if name not in (*_ACTIONS, *_OTHER_BLOCKS):
            yield Problem(
                (name,), f"unknown key{suggestion(name, _ACTIONS)}, expected an action's block", block
            )
        elif not isinstance(block, Mapping):
            yield Problem((name,), "expected a mapping of keys to values", block)
    if spec.action not in _ACTIONS:
        complaint = f"expected one of {', '.join(_ACTIONS)}{suggestion(spec.action, _ACTIONS)}"
        yield Problem(("action",), complaint, spec.action)
    elif spec.action not in blocks:
        yield Problem((spec.action,), f"expected this key: the action {spec.action} needs it")
    chosen = spec.selector is not None and any(spec.selector.model_dump().values())
    if not spec.address and not chosen:
        yield Problem(("address",), "expected this key, or a selector with a condition, got neither")
    if spec.address and chosen:
        yield Problem(("address",), "expected either this key or a selector, not both", [*spec.address])
    if "" in spec.address:
        yield Problem(("address",), "expected addresses that are not empty", [*spec.address])


PHYSICAL_MACHINE_CHAOS = elsewhere(
    MachineChaos,
    f"it hits machines outside of the cluster, through an agent that runs there ({NOT_LOOKED_INTO})",
    plane="host",
    problems=_problems,
)


class MachineSpec(WholeSpec):
    """Where a machine is."""

    address: str = ""
    """of its agent"""


class Machine(FaultObject):
    """A Chaos Mesh PhysicalMachine."""

    kind: Literal["PhysicalMachine"]
    """PhysicalMachine"""
    spec: MachineSpec
    """where it is"""


PHYSICAL_MACHINE = elsewhere(
    Machine,
    "it names a machine, and is no fault",
    plane="host",
    lasts=False,
)


class ClusterSpec(WholeSpec):
    """How another cluster is reached."""

    namespace: str = ""
    """where Chaos Mesh is to be"""
    version: str = ""
    """of Chaos Mesh"""
    kube_config: Mapping[str, Any] = {}
    """the secret that has its address and keys"""
    config_override: Mapping[str, Any] = {}
    """values for Chaos Mesh's chart"""


class RemoteCluster(FaultObject):
    """A Chaos Mesh RemoteCluster."""

    kind: Literal["RemoteCluster"]
    """RemoteCluster"""
    spec: ClusterSpec
    """how it is reached"""


REMOTE_CLUSTER = elsewhere(
    RemoteCluster,
    "it names another cluster, and is no fault",
    plane="host",
    lasts=False,
)
