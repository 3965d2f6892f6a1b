"""Every kind of target, and which one an experiment chose: the one place that knows them all."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

from pydantic import ModelWrapValidatorHandler, model_validator
from pydantic_core import PydanticCustomError

from chaos.reading.strict import Strict
from chaos.targets.external.options import ExternalOptions
from chaos.targets.kubernetes.options import KubernetesOptions
from chaos.targets.kubernetes.undoing import lost_objects
from chaos.targets.local.options import LocalOptions
from chaos.targets.options import LostRun, TargetOptions


class TargetChoice(Strict):
    """Where the experiment happens: exactly one of these."""

    local: LocalOptions | None = None
    """a Deployment's worth of processes on this machine"""
    external: ExternalOptions | None = None
    """a service that runs already"""
    kubernetes: KubernetesOptions | None = None
    """replicas that run already in a cluster with Chaos Mesh in it"""

    @model_validator(mode="wrap")
    @classmethod
    def _exactly_one(cls, values: Any, read: ModelWrapValidatorHandler[Self]) -> Self:
        if isinstance(values, Mapping) and len(values) != 1:
            kinds = " or ".join(cls.model_fields)
            raise PydanticCustomError("target", "exactly one of {kinds}", {"kinds": kinds})
        return read(values)

    @property
    def chosen(self) -> TargetOptions:
        """The one section that is there."""
        sections: Iterator[TargetOptions] = (section for _, section in self if section is not None)
        return next(sections)


def lost_runs_in(namespace: str, context: str | None) -> Sequence[LostRun]:
    """What runs left in a namespace of a Kubernetes whose lease they do not hold, wherever they ran."""
    return lost_objects.find_in(lost_objects.Whereabouts(namespace, context))


def lost_runs() -> Sequence[LostRun]:
    """What lost runs left, on every kind of target."""
    kinds: tuple[type[TargetOptions], ...] = (LocalOptions, ExternalOptions, KubernetesOptions)
    return [run for kind in kinds for run in kind.lost()]
