"""What every PodChaos has. Each action is a file of its own beside this one."""

from typing import Annotated, Literal

from pydantic import Field

from chaos.faults.manifest import FaultObject, FaultSpec
from chaos.reading.strict import Listed


class PodSpec(FaultSpec):
    """What happens to pods; the keys of one action are no error beside another, and have no effect there."""

    grace_period: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """seconds between the polite and the hard signal of a pod-kill; 0 is the hard signal at once"""
    container_names: Listed[str] = ()
    """containers to hit by a container-kill"""


class PodChaos(FaultObject):
    """A Chaos Mesh PodChaos."""

    kind: Literal["PodChaos"]
    """PodChaos"""
