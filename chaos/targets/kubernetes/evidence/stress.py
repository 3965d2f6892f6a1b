"""Whether processes that nobody asked for work beside a replica: by the container's own process table. Pure.

Chaos Mesh starts them in the victim's pid namespace, so that they are listed in its `/proc`: with the processor time
that they used and the memory that they hold (proc(5), `stat`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from chaos.targets.effects import MemoryStress, ProcessorStress

LIST = ("sh", "-c", "cat /proc/[0-9]*/stat; true")
"""What prints the table in a container that has a shell."""
_NAMES = ("stress-ng", "memStress")
_PAGE_BYTES = 4096
_ENOUGH = 0.5


@dataclass(frozen=True, slots=True)
class Stressor:
    """One process that only stresses."""

    name: str
    ticks: int
    """Of processor time, user and system."""
    resident_bytes: int


def stressors(table: str) -> dict[int, Stressor]:
    """Those of a process table, by pid; whatever is no line of it is left out."""
    found = {}
    for line in table.splitlines():
        pid, _, rest = line.partition(" (")
        name, _, numbers = rest.rpartition(") ")
        fields = numbers.split()
        if pid.isdigit() and len(fields) > 21 and name.startswith(_NAMES):
            found[int(pid)] = Stressor(name, int(fields[11]) + int(fields[12]), int(fields[21]) * _PAGE_BYTES)
    return found


def hit(
    effect: ProcessorStress | MemoryStress,
    before: Mapping[int, Stressor],
    first: Mapping[int, Stressor],
    second: Mapping[int, Stressor],
) -> tuple[bool, str]:
    """Whether stressors work that were not there before, and what was seen.

    Args:
        effect: what the fault wants.
        before: the fault.
        first: since.
        second: some tenths of a second after `first`.
    """
    new = {pid: each for pid, each in second.items() if pid not in before}
    if not new:
        return False, "no stressor is in its process table"
    names = ", ".join(sorted({each.name for each in new.values()}))
    found = f"{len(new)} stressors in its process table ({names})"
    if isinstance(effect, ProcessorStress):
        used = sum(each.ticks - first[pid].ticks for pid, each in new.items() if pid in first)
        return (
            used > 0,
            f"{len(new)} stressors in its process table ({names}), {used} ticks of processor time between two looks",
        )
    held = sum(each.resident_bytes for each in new.values())
    wanted = (effect.size_bytes or 1) * effect.workers
    return held >= _ENOUGH * wanted, (
        f"{found} hold {held / 1e6:.0f} MB; {wanted / 1e6:.0f} MB were to be seen"
    )


def over(before: Mapping[int, Stressor], now: Mapping[int, Stressor]) -> tuple[bool, str]:
    """Whether they are gone, and what was seen."""
    left = now.keys() - before.keys()
    return not left, f"{len(left)} stressors in its process table"
