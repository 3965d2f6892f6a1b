"""How an effect comes about on the local target: who causes it, in the supervisor, and who looks at it, in the runner.

The two know nothing of each other: a witness is never told by an enforcer what was done, only what was asked for.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from chaos.targets import Evidence, Replica
from chaos.targets.effects import Effect
from chaos.targets.identity import ProcessId, of_replica
from chaos.targets.local.cluster import Cluster
from chaos.targets.local.pod import Pod
from chaos.targets.local.spec import LocalSpec
from chaos.targets.local.wire import Message

E = TypeVar("E", bound=Effect)


class Enforcer(ABC, Generic[E]):
    """Causes one effect and undoes it. One lives in the supervisor for all of a cluster's life."""

    def __init__(self, cluster: Cluster) -> None:
        """Prepare; causes nothing."""
        self.cluster = cluster

    @abstractmethod
    async def cause(self, occurrence: str, effect: E, pods: Sequence[Pod]) -> float:
        """Cause it on these replicas, one after another.

        Returns:
            Monotonic seconds, not later than the first effect.
        """

    async def undo(self, occurrence: str) -> None:
        """Undo it; harmless a second time, and where nothing was caused."""


@dataclass(frozen=True, slots=True)
class View:
    """What a witness may look at."""

    spec: LocalSpec
    describe: Callable[[], Message]
    """What the supervisor knows of its replicas."""
    network: Callable[[], Message]
    """What the proxy in front of them counted; said beside what was seen, and never the proof."""

    def rows(self) -> dict[str, Message]:
        """Every replica that exists, by uid."""
        return {row["replica"]["uid"]: row for row in self.describe()["replicas"]}

    def processes(self, victims: Sequence[Replica]) -> dict[str, tuple[ProcessId, ...]]:
        """The living processes of these replicas, by uid; of those that are listed."""
        rows = self.rows()
        return {
            victim.uid: tuple(of_replica(victim.uid, rows[victim.uid]["pid"]))
            for victim in victims
            if victim.uid in rows
        }


@dataclass(slots=True)
class Sight(Generic[E]):
    """What a witness notes of one occurrence of its effect."""

    occurrence: str
    effect: E
    victims: tuple[Replica, ...]
    processes: Mapping[str, tuple[ProcessId, ...]]
    """Of each victim before the fault, by uid."""


class Witness(ABC, Generic[E]):
    """Looks, from outside, whether replicas are hit by one effect. One lives in the runner for all of a run."""

    def __init__(self, view: View) -> None:
        """Prepare to look."""
        self.view = view

    def aim(self, occurrence: str, effect: E, victims: Sequence[Replica]) -> Sight[E]:
        """Note what the victims are before anything is done to them."""
        return Sight(occurrence, effect, tuple(victims), self.view.processes(victims))

    def injected(self, sight: Sight[E], uids: Sequence[str]) -> None:
        """From now on it is done to these: no other fault must be proved by it."""

    def undone(self, sight: Sight[E]) -> None:
        """No longer."""

    @abstractmethod
    def hit(self, sight: Sight[E]) -> Sequence[Evidence]:
        """Whether each victim is hit now, in the order of the victims."""

    def unharmed(self, sight: Sight[E]) -> Sequence[Evidence]:
        """Whether each victim that still exists is as it was before."""
        rows = self.view.rows()
        return [there(victim, listed=victim.uid in rows) for victim in sight.victims]


def everywhere(_effect: Any, _spec: LocalSpec) -> str | None:
    """Nothing stands against it, in any local cluster."""
    return None


@dataclass(frozen=True, slots=True)
class Means(Generic[E]):
    """One effect on the local target."""

    effect: type[E]
    enforcer: type[Enforcer[E]]
    witness: type[Witness[E]]
    hindrance: Callable[[E, LocalSpec], str | None] = everywhere
    """Why this very effect is none that a cluster of this spec can have; None where nothing stands against it."""
    lack: Callable[[], str | None] = lambda: None
    """What this very machine lacks for it; a file that is read elsewhere is right all the same."""


def listing(victim: Replica, *, listed: bool) -> str:
    """Whether a replica still exists, in words."""
    return f"uid {victim.uid} is {'still' if listed else 'no longer'} listed"


def there(victim: Replica, *, listed: bool) -> Evidence:
    """Of a victim on which nothing of the effect can be left."""
    how = listing(victim, listed=True) if listed else "is not there any more"
    return Evidence(victim.name, verified=True, how=how)


def lives(sight: Sight[Any], victim: Replica, *, listed: bool) -> tuple[list[ProcessId], str]:
    """Those of a victim's processes that still live, and in words how many of them did before."""
    processes = sight.processes[victim.uid]
    alive = [process for process in processes if process.alive()]
    pids = ", ".join(str(process.pid) for process in processes) or "none: it was waiting to be restarted"
    still = ", ".join(str(process.pid) for process in alive) or "none"
    return alive, f"of its processes ({pids}), {still} still live; {listing(victim, listed=listed)}"


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of one victim."""

    victim: Replica
    before: Sequence[ProcessId]
    """The processes that it had before the fault."""
    alive: Sequence[ProcessId]
    """Those of them that still live."""
    listed: bool
    """Whether the replica still exists."""


class ProcessWitness(Witness[E]):
    """A witness whose proof is in the process table: what became of the processes that each victim had."""

    needs_process = False
    """Whether nothing can be proved of a victim in which nothing ran before the fault."""

    def hit(self, sight: Sight[E]) -> Sequence[Evidence]:
        """Whether each victim is hit now, by what is left of it."""
        rows = self.view.rows()
        return [self._seen(sight, victim, listed=victim.uid in rows) for victim in sight.victims]

    @abstractmethod
    def judge(self, left: Left) -> tuple[bool, str]:
        """Whether a victim is hit, and what was seen of it beside its processes and the list; may be empty."""

    def _seen(self, sight: Sight[E], victim: Replica, *, listed: bool) -> Evidence:
        before = sight.processes.get(victim.uid)
        if before is None:
            return Evidence(victim.name, verified=False, how="was never seen before the fault")
        if self.needs_process and not before:
            return Evidence(victim.name, verified=False, how="nothing ran in it before the fault")
        alive, how = lives(sight, victim, listed=listed)
        verified, more = self.judge(Left(victim, before, alive, listed))
        return Evidence(victim.name, verified, f"{how}; {more}" if more else how)
