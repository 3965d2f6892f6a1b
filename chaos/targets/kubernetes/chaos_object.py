"""What the status of a chaos object says, and what it does not. Pure.

Read off tapes of a live Chaos Mesh 2.8.3. The records are the truth, conditions come after them. What is over at once
never recovers: AllRecovered stays False for ever, and deleting the object sets records back though nothing was revived.
AllRecovered is also True where nothing ever went in. Stamps are whole seconds: when a thing is in force is told by the
arrival of the news that says so.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

from chaos.targets.kubernetes.api import Frame
from chaos.targets.kubernetes.objects import Item
from chaos.targets.kubernetes.pods import condition
from chaos.targets.kubernetes.undoing.traces import INJECTED, ONE_SHOT, records

SOURCE = "."
"""What `selectorKey` says of those who were selected; of the other side of a network it is `.Target`."""


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of one victim, or of one pod of the other side."""

    id: str
    """namespace/pod, or namespace/pod/container."""
    side: str
    phase: str
    """`Not Injected`, `Injected`, and either with `/Wait` behind it."""
    injected_count: int
    recovered_count: int
    failure: str
    """What stood in the way when it was last tried; empty where that succeeded, or was not tried."""

    @property
    def pod(self) -> str:
        """Its name."""
        return self.id.split("/")[1]

    @property
    def injected(self) -> bool:
        """Whether it is in force as far as Chaos Mesh knows; still waiting to be taken out, it is."""
        return self.phase.startswith(INJECTED)


@dataclass(frozen=True, slots=True)
class ChaosObject:
    """One chaos object as last seen."""

    records: tuple[Record, ...]
    selected: bool | None
    """None while Chaos Mesh has not said."""
    one_shot: bool
    all_recovered: bool
    """As its condition says."""
    deleting: bool

    @classmethod
    def of(cls, item: Item) -> Self:
        """As the API server tells it."""
        selected = condition(item, "Selected")
        return cls(
            records=tuple(_records(item)),
            selected=None if not selected else selected == "True",
            one_shot=(item.get("spec") or {}).get("action") in ONE_SHOT,
            all_recovered=condition(item, "AllRecovered") == "True",
            deleting="deletionTimestamp" in item["metadata"],
        )

    @property
    def injected(self) -> bool:
        """Whether it is in force on everybody, both sides of a network included; never where nobody was selected."""
        return bool(self.records) and all(each.injected for each in self.records)

    @property
    def partly_injected(self) -> bool:
        """Whether it is in force on some and not on others: half a partition, for one."""
        return not self.injected and any(each.injected for each in self.records)

    @property
    def recovered(self) -> bool:
        """Whether what was in force was taken out again; what is over at once never is, nor what never went in."""
        taken_out = all(each.recovered_count >= 1 and not each.injected for each in self.records)
        return self.all_recovered and bool(self.records) and taken_out and not self.one_shot

    @property
    def nobody(self) -> bool:
        """Whether nobody is selected: not yet, or for ever, which the status does not tell apart."""
        return self.selected is False and not self.records

    @property
    def failures(self) -> tuple[str, ...]:
        """Why it is not in force on whom it is not, each once."""
        return (*dict.fromkeys(each.failure for each in self.records if each.failure and not each.injected),)


@dataclass(slots=True)
class Window:
    """When a chaos object was in force on whom, by the arrival of its news."""

    latest: ChaosObject | None = None
    began_s: dict[tuple[str, str], float] = field(default_factory=dict)
    """By record (id, side): when it was first said to be in."""
    ended_s: dict[tuple[str, str], float] = field(default_factory=dict)
    """When it was first said to be out after it was in."""
    gone_s: float | None = None
    """When the object was gone, and everything of it recovered: until then its finalizer holds it."""
    all_in_s: float | None = None
    """When it was first in force on everybody."""

    def take(self, frame: Frame) -> None:
        """Take in one piece of news."""
        if frame.type == "DELETED":
            self.gone_s = frame.at_s
            for key in self.began_s.keys() - self.ended_s.keys():
                self.ended_s[key] = frame.at_s
            return
        self.latest = ChaosObject.of(frame.item)
        for each in self.latest.records:
            key = each.id, each.side
            if each.injected:
                self.began_s.setdefault(key, frame.at_s)
            elif key in self.began_s:
                self.ended_s.setdefault(key, frame.at_s)
        if self.latest.injected and self.all_in_s is None:
            self.all_in_s = frame.at_s

    @property
    def half_s(self) -> float:
        """For how long it was in force on some and not yet on all; 0 where it never was on all."""
        return 0.0 if self.all_in_s is None else self.all_in_s - min(self.began_s.values())


def _records(item: Item) -> Iterator[Record]:
    for row in records(item):
        events = row.get("events") or ()
        failed = next(
            (str(each.get("message") or "") for each in events[-1:] if each.get("type") == "Failed"), ""
        )
        yield Record(
            id=str(row["id"]),
            side=str(row.get("selectorKey") or SOURCE),
            phase=str(row.get("phase") or ""),
            injected_count=int(row.get("injectedCount") or 0),
            recovered_count=int(row.get("recoveredCount") or 0),
            failure=failed,
        )
