"""Undoes faults that are objects: deletes them, waits, and where that does not help goes from one resort to the next.

1. Delete, and wait: Chaos Mesh takes the fault out, then the object goes. A daemon that is away may come back.
2. Patch the finalizers off. The object goes, and what it did may still be in force.
3. Take its entries out of its victims' PodNetworkChaos (of HTTP: PodHttpChaos), and wait until the daemon has applied
   what is left there.
4. Delete the victims that may still be hit, where something starts others in their place.

Each resort is said when it is taken. Whatever a call answers, the next look tries again until the deadline of its
resort; what is left then is named, with what a person can type. Everything is harmless a second time, and while
others undo the same.
"""

from collections.abc import Callable, Sequence

from chaos.errors import CleanupError
from chaos.targets.kubernetes.objects import CONFLICT, ApiError, Item, Objects, chaos, pods
from chaos.targets.kubernetes.undoing.leftovers import Case, left_of
from chaos.targets.kubernetes.undoing.patience import Clock, Patience
from chaos.targets.kubernetes.undoing.traces import (
    complaint,
    in_force,
    names,
    namespaces,
    replaced,
    source,
    unapplied,
    without_entries,
    younger,
)

Say = Callable[[str], object]
_FIRST_LOOK_S, _SLOWEST_LOOK_S = 0.05, 1.0
_CONTROLLER_AWAY = "Chaos Mesh's controller is away, so that nothing of it can be written"


class Undoing:
    """What undoes faults on one cluster."""

    def __init__(
        self, objects: Objects, say: Say, patience: Patience | None = None, clock: Clock | None = None
    ) -> None:
        """Prepare.

        Args:
            objects: the API server.
            say: told each thing that is done and each thing that stands in the way, once, in a sentence.
            patience: how long each resort may take.
            clock: what it is measured by.
        """
        self._objects, self._say = objects, say
        self._patience, self._clock = patience or Patience(), clock or Clock()
        self._until_s = 0.0
        self._heard: set[str] = set()

    def undo(self, items: Sequence[Item]) -> None:
        """Undo the faults of these objects; done when they and everything that they left in their victims are gone.

        Args:
            items: as last seen; of one that may not even have been created, what was to be.

        Raises:
            CleanupError: something is left; it names what, why, and what to type.
        """
        patience, cases = self._patience, [Case(item) for item in items]
        self._try(cases, patience.recovers_s, self._recover, lambda case: case.gone)
        self._try(cases, patience.frees_s, self._free, lambda case: case.gone)
        gone = [case for case in cases if case.gone]
        self._try(gone, patience.cleans_s, self._clean, lambda case: case.clean)
        for case in gone:
            case.victims |= set(case.pending)
        self._try(gone, patience.replaces_s, self._replace, lambda case: case.victims <= case.bare)
        left = [pair for case in cases for pair in left_of(case, self._objects.kubectl)]
        if left:
            raise CleanupError(
                "; ".join(what for what, _ in left), hint="\n".join(command for _, command in left)
            )

    def _try(
        self,
        cases: Sequence[Case],
        within_s: float,
        step: Callable[[Case], object],
        done: Callable[[Case], bool],
    ) -> None:
        """Take a step for each case that is not done, again and again until all are or the time is over."""
        now, pause_s = self._clock.now_s, _FIRST_LOOK_S
        self._until_s = now() + within_s
        open_ = [case for case in cases if not done(case)]
        while open_ and now() < self._until_s:
            for case in open_:
                if case.next_s <= now() < self._until_s:
                    self._take(step, case)
            open_ = [case for case in open_ if not done(case)]
            if open_:
                self._clock.sleep(max(0.0, min(pause_s, self._until_s - now())))
                pause_s = min(1.5 * pause_s, _SLOWEST_LOOK_S)
        for case in cases:
            case.next_s = 0.0

    def _take(self, step: Callable[[Case], object], case: Case) -> None:
        try:
            step(case)
            case.refused = ""
        except ApiError as error:
            if error.status == CONFLICT:
                return  # somebody wrote at the same time: the next look sees what
            left_s = self._until_s - self._clock.now_s()
            if error.status == 0 and left_s <= 0 and case.why:
                return  # there was no time left for an answer: what was heard before says more
            case.why = case.refused = f"{_CONTROLLER_AWAY} ({error})" if error.webhook else f"{error}"
            case.next_s = self._clock.now_s() + error.retry_after_s
            again = f"; trying for another {max(0.0, left_s):.0f} s"
            # The reason may come with other figures in it each time: who calls it is the news.
            self._tell(f"{case.name}: {case.why}{again}", news=f"{case.name} {error.status} {error.webhook}")

    def _recover(self, case: Case) -> Item | None:
        """See whether it is gone, ask for its end where nobody has, and hear what stands in the way."""
        item = self._objects.get(case.place, within_s=self._call_s())
        if item is None or not case.is_same(item):
            case.gone = True
            case.clean = item is not None  # what is gathered for a pod under this name is another's by now
            return None
        case.item = item
        if "deletionTimestamp" not in item["metadata"]:
            self._objects.delete(case.place, uid=item["metadata"]["uid"], within_s=self._call_s())
            self._tell(f"deleted {case.name}")
            return item
        if why := complaint(item):
            case.why = why
            self._tell(f"{case.name} is not recovered yet: {why}")
        return item

    def _free(self, case: Case) -> None:
        """Patch its finalizers off."""
        item = self._recover(case)
        if item is None or not item["metadata"].get("finalizers"):
            return
        body = {"metadata": {"uid": item["metadata"]["uid"], "finalizers": None}}
        freed = self._objects.patch(case.place, body, within_s=self._call_s())
        if freed is None:
            return  # it went by itself in between
        case.victims = in_force(freed)
        where = names("/".join(victim) for victim in case.victims)
        may_be = f"what it did may still be in force in {where}" if where else "nothing of it was in force"
        self._tell(f"patched the finalizers off {case.name}: {case.why or 'it was not recovered'}; {may_be}")

    def _clean(self, case: Case) -> None:
        """Take its entries out of what is gathered for pods, and see whether the daemon has applied the rest."""
        listed, patched = set(), False
        for namespace in sorted(namespaces(case.item)) if case.per_pod else ():
            everywhere = chaos(case.per_pod.lower(), namespace)
            for gathered in self._objects.list(everywhere, within_s=self._call_s()):
                name = gathered["metadata"]["name"]
                listed.add((namespace, name))
                patch = without_entries(gathered, source(case.item))
                if patch is not None:
                    version = {"resourceVersion": gathered["metadata"]["resourceVersion"]}
                    body = {"metadata": version, "spec": patch}
                    case.pending[namespace, name], patched = "what it left could not be taken out", True
                    self._objects.patch(everywhere / name, body, within_s=self._call_s())
                    self._tell(f"took what {case.name} had left out of {case.per_pod} {namespace}/{name}")
                    case.pending[namespace, name] = "the daemon has not yet applied it"
                elif (namespace, name) in case.victims | set(case.pending):
                    case.settle((namespace, name), unapplied(gathered))
        case.looked = True
        for pod in set(case.pending) - listed:
            del case.pending[pod]
            case.victims.add(pod)  # gone with its pod; if not, nobody told the daemon to take the rules out
        case.clean = not patched and not case.pending

    def _replace(self, case: Case) -> None:
        """Delete the victims that may still be hit; whoever nobody would start again is left alone."""
        for namespace, name in sorted(case.victims - case.bare):
            pod = self._objects.get(pods(namespace) / name, within_s=self._call_s())
            if pod is None or younger(pod, case.item):
                case.settle((namespace, name), None)
            elif not replaced(pod):
                case.bare.add((namespace, name))
            elif "deletionTimestamp" not in pod["metadata"]:
                uid = pod["metadata"]["uid"]
                self._objects.delete(pods(namespace) / name, uid=uid, within_s=self._call_s())
                why = case.pending.get((namespace, name)) or case.why or "it was not recovered"
                self._tell(f"deleted pod {namespace}/{name}, still hit by {case.name}: {why}")

    def _call_s(self) -> float:
        """How long the next call may take."""
        left_s = self._until_s - self._clock.now_s()
        if left_s <= 0:
            raise ApiError(0, "no time was left to ask")
        return min(self._patience.call_s, left_s)

    def _tell(self, text: str, *, news: str | None = None) -> None:
        if (news or text) not in self._heard:
            self._heard.add(news or text)
            self._say(text)
