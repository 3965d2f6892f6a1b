"""The lease of a namespace: which run may shake it, and for how long that is believed without another word of the run.

One Lease object per namespace is the claim "one run at a time", and what the reaper honours: a run that cannot renew it
must have undone its faults, or at least have begun to, before anybody else may take it for dead. It is only created and
patched, never deleted; two writers are told apart by its resourceVersion.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Self

from chaos.errors import AbortedError, InconclusiveError, RefusedError
from chaos.targets.kubernetes.marks import LEASE, MANAGED_BY, MANAGER
from chaos.targets.kubernetes.objects import CONFLICT, ApiError, Item, Objects, Place, leases
from chaos.targets.kubernetes.undoing.patience import Clock

DURATION_S = 15
"""For how long a holder is believed after its last renewal."""
RENEW_EVERY_S = 3.0
GIVE_UP_AFTER_S = 10.0
"""A holder that could not renew for so long ends its run: a third of the duration is left for undoing to begin."""
_AGAIN_AFTER_S = 1.0
_CALL_S = 3.0
_TAKE_TRIES = 3
_STAMP = "%Y-%m-%dT%H:%M:%S.%fZ"


@dataclass(frozen=True, slots=True)
class Holding:
    """What a Lease object says."""

    holder: str
    """Empty where nobody holds it."""
    renewed: datetime | None
    duration_s: float

    @classmethod
    def of(cls, lease: Item | None) -> "Holding":
        """Of an object, or of none."""
        spec = (lease or {}).get("spec") or {}
        renewed = spec.get("renewTime") or spec.get("acquireTime")
        return cls(
            str(spec.get("holderIdentity") or ""),
            datetime.fromisoformat(renewed) if renewed else None,
            float(spec.get("leaseDurationSeconds") or 0),
        )

    def until(self) -> datetime | None:
        """When it ends, by the clock of whoever renewed it; None where nobody holds it."""
        if not self.holder or self.renewed is None:
            return None
        return self.renewed + timedelta(seconds=self.duration_s)


@dataclass(slots=True)
class Sight:
    """Whether a lease is alive, by this clock alone: it is while it keeps changing, whatever its stamps say.

    Clocks of two machines differ. One that is dead is known to be after it was looked at for its whole duration.
    """

    clock: Clock
    _seen: Holding | None = None
    _since_s: float = 0.0

    def holder(self, lease: Item | None) -> str:
        """Who holds it, as far as can be known; empty where nobody does."""
        holding = Holding.of(lease)
        if holding != self._seen:
            self._seen, self._since_s = holding, self.clock.now_s()
        return holding.holder if self.clock.now_s() - self._since_s < holding.duration_s else ""


def living(objects: Objects, namespace: str, clock: Clock) -> tuple[Holding, Item | None]:
    """Who holds a namespace's lease and may be alive, nobody where all are dead; and the lease that says so, if any.

    One that has expired by this machine's clock is looked at again after the time in which a living holder would have
    renewed it: another machine's clock may be behind.

    Raises:
        ApiError: the API server would not say.
    """
    place = leases(namespace) / LEASE
    lease = objects.get(place, within_s=_CALL_S)
    seen = Holding.of(lease)
    until = seen.until()
    if until is None or until >= datetime.now(UTC):
        return seen, lease
    again_s = clock.now_s() + RENEW_EVERY_S + 2 * _AGAIN_AFTER_S
    while (left_s := again_s - clock.now_s()) > 0:
        clock.sleep(min(left_s, _AGAIN_AFTER_S))
    lease = objects.get(place, within_s=_CALL_S)
    now = Holding.of(lease)
    return (Holding("", None, 0.0) if now == seen else now), lease


@dataclass(slots=True)
class Lease:
    """The claim of one run on one namespace; entered it is held and renewed, left it is given back."""

    objects: Objects
    namespace: str
    run_id: str
    on_lost: Callable[[str], object] = lambda _: None
    """Told once, in words, from the thread that renews, when the run must end."""
    clock: Clock = field(default_factory=Clock)
    lost: str = ""
    """Why it is not held any more, in words; empty while it is."""
    _renewed_s: float = 0.0
    _trouble: str = ""
    _ends: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Take it, and renew it from now on.

        Raises:
            RefusedError: another run holds it; it says which, and until when.
            InconclusiveError: the API server would not say or write.
        """
        self.take()
        self._thread = threading.Thread(target=self._renew_on, name="lease", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Give it back, as far as that can be done: it ends by itself."""
        self._ends.set()
        if self._thread is not None:
            self._thread.join()
        self.let_go()

    def take(self) -> None:
        """Take it once; see `__enter__`."""
        for tries_left in reversed(range(_TAKE_TRIES)):
            try:
                return self._take()
            except ApiError as error:
                if error.status != CONFLICT or not tries_left:
                    raise InconclusiveError(
                        f"the lease of {self.namespace} cannot be had: {error}"
                    ) from error
        raise AssertionError  # the last try returns or raises

    def require(self) -> None:
        """See that it is held, before anything is injected.

        Raises:
            AbortedError: it is not any more: whatever was injected is taken out by somebody else.
        """
        self._see_whether_late()
        if self.lost:
            raise AbortedError(self.lost)

    def renew(self) -> bool:
        """Renew it once; False where that did not work and may yet.

        What it cannot do at all, and for too long, ends in `lost`.
        """
        self._see_whether_late()
        if self.lost:
            return False
        try:
            lease = self.objects.get(self._place, within_s=_CALL_S)
            holding = Holding.of(lease)
            if lease is None or holding.holder != self.run_id:
                self._lose(f"{holding.holder or 'nobody'} holds the lease of {self.namespace} now")
                return False
            began_s = self.clock.now_s()
            body = {"metadata": _version(lease), "spec": {"renewTime": _stamp()}}
            self.objects.patch(self._place, body, within_s=_CALL_S)
        except ApiError as error:
            self._trouble = f": {error}"
            self._see_whether_late()
            return False
        self._renewed_s, self._trouble = began_s, ""
        return True

    def let_go(self) -> None:
        """Give it back where it is ours; harmless otherwise, and where nobody answers: it lapses by itself."""
        try:
            lease = self.objects.get(self._place, within_s=_CALL_S)
            if lease is not None and Holding.of(lease).holder == self.run_id:
                free = {"holderIdentity": None, "renewTime": None, "acquireTime": None}
                body = {"metadata": _version(lease), "spec": free}
                self.objects.patch(self._place, body, within_s=_CALL_S)
        except ApiError:
            return

    @property
    def _place(self) -> Place:
        return leases(self.namespace) / LEASE

    def _take(self) -> None:
        lease = self._free()
        began_s, now = self.clock.now_s(), _stamp()
        spec = {
            "holderIdentity": self.run_id,
            "leaseDurationSeconds": DURATION_S,
            "acquireTime": now,
            "renewTime": now,
        }
        if lease is None:
            metadata = {"name": LEASE, "namespace": self.namespace, "labels": {MANAGED_BY: MANAGER}}
            body = {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": metadata,
                "spec": spec,
            }
            self.objects.create(leases(self.namespace), body, within_s=_CALL_S)
        else:
            taken = {"leaseTransitions": int((lease.get("spec") or {}).get("leaseTransitions") or 0) + 1}
            self.objects.patch(
                self._place, {"metadata": _version(lease), "spec": spec | taken}, within_s=_CALL_S
            )
        self._renewed_s = began_s

    def _free(self) -> Item | None:
        """The lease as it was seen to be held by nobody who may be alive; None where there is none yet.

        Raises:
            RefusedError: somebody may be.
        """
        holding, lease = living(self.objects, self.namespace, self.clock)
        if holding.holder not in ("", self.run_id):
            until = holding.until()
            when = f" until {until:%H:%M:%S} UTC" if until is not None else ""
            raise RefusedError(
                f"run {holding.holder} holds namespace {self.namespace}{when}: two runs would measure each other",
                hint="wait until it has ended; a run that was lost holds it for no longer than that",
            )
        return lease

    def _renew_on(self) -> None:
        wait_s = RENEW_EVERY_S
        while not self._ends.wait(wait_s) and not self.lost:
            wait_s = RENEW_EVERY_S if self.renew() else _AGAIN_AFTER_S

    def _see_whether_late(self) -> None:
        late_s = self.clock.now_s() - self._renewed_s
        if late_s > GIVE_UP_AFTER_S:
            self._lose(
                f"the lease of {self.namespace} could not be renewed for {late_s:.0f} s{self._trouble}"
            )

    def _lose(self, why: str) -> None:
        if not self.lost:
            self.lost = f"{why}: whatever is in force is undone now"
            self.on_lost(self.lost)


def _version(lease: Item) -> dict[str, str]:
    """What makes a patch fail where somebody else has written meanwhile."""
    return {"resourceVersion": lease["metadata"]["resourceVersion"]}


def _stamp() -> str:
    return datetime.now(UTC).strftime(_STAMP)
