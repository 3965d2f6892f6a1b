"""How a kind that runs nowhere is declared."""

from collections.abc import Callable, Iterator
from typing import Any, get_args

from chaos.faults.doubts import Doubt
from chaos.faults.fault import Kind, Plane
from chaos.faults.manifest import CHAOS_MESH, FaultObject, FaultSpec
from chaos.reading.documents import Problem
from chaos.targets.effects import Effect, unsupported

TARGETS = ("local", "external")
_UNPROVED = unsupported("nothing here could prove it")


def _none(_: Any) -> Iterator[Any]:
    return iter(())


def _no_effect(_: Any) -> tuple[Effect, ...]:
    return ()


def elsewhere(
    manifest: type[FaultObject],
    reason: str,
    *,
    plane: Plane,
    problems: Callable[[Any], Iterator[Problem]] = _none,
    doubts: Callable[[Any], Iterator[Doubt]] = _none,
    lasts: bool = True,
) -> Kind:
    """A kind of Chaos Mesh that no target can run, for this reason; its name is its manifest's."""
    (kind,) = get_args(manifest.model_fields["kind"].annotation)
    spec = manifest.model_fields["spec"].annotation
    return Kind(
        api_version=CHAOS_MESH,
        kind=kind,
        manifest=manifest,
        effects=_no_effect,
        problems=problems,
        doubts=doubts,
        plane=plane,
        lasts=lasts,
        selects=isinstance(spec, type) and issubclass(spec, FaultSpec),
        done="were left alone",
        fidelities={**dict.fromkeys(TARGETS, unsupported(reason)), "kubernetes": _UNPROVED},
    )
