"""Sham: victims are drawn and looked at, and nothing is done to them. What a run finds then, no fault has caused."""

from typing import Literal

from chaos.faults.fault import Kind
from chaos.faults.manifest import OWN, FaultObject
from chaos.targets.effects import Nothing, exact


class Sham(FaultObject):
    """The control of every experiment."""

    kind: Literal["Sham"]
    """Sham"""


KIND = Kind(
    api_version=OWN,
    kind="Sham",
    manifest=Sham,
    effects=lambda _: (Nothing(),),
    plane="process",
    done="were left alone (sham)",
    fidelities={
        "local": exact("nothing is done"),
        "kubernetes": exact("nothing is done"),
    },
)
