"""Command: what one's own commands do to a service as a whole, prove of it, and undo again."""

from typing import Annotated, Literal

from pydantic import Field

from chaos.faults.fault import Kind
from chaos.faults.manifest import OWN, FaultObject, Metadata, WholeSpec
from chaos.reading.names import DnsLabel
from chaos.reading.quantities import Duration
from chaos.reading.strict import Listed, Text
from chaos.targets import effects
from chaos.targets.effects import exact

Argv = Annotated[Listed[Text], Field(min_length=1)]


class CommandSpec(WholeSpec):
    """The commands; each is a program and its arguments, and no shell is involved unless it is the program."""

    do: Argv
    """causes the fault"""
    prove: Argv
    """succeeds while the fault is in force, and fails before and after it"""
    undo: Argv
    """ends the fault; harmless where there is none, for it is run on every path"""
    timeout: Duration = 30.0
    """how long each of them may take"""


class CommandMetadata(Metadata):
    """What of its metadata a person writes."""

    namespace: DnsLabel = "default"
    """read, without effect: a service as a whole is in none"""


class Command(FaultObject):
    """A fault made of commands."""

    kind: Literal["Command"]
    """Command"""
    metadata: CommandMetadata
    """its name"""
    spec: CommandSpec
    """the fault"""


def _effects(spec: CommandSpec) -> tuple[effects.Command, ...]:
    return (effects.Command(spec.do, spec.prove, spec.undo, spec.timeout),)


KIND = Kind(
    api_version=OWN,
    kind="Command",
    manifest=Command,
    effects=_effects,
    plane="application",
    selects=False,
    done="had a command run on it",
    fidelities={"external": exact("the command is the fault")},
)
