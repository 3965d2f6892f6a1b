"""Objects of runs that are gone: found by label, and by what a run put on record here before its first effect.

The record says where to look: `aftershock recover` is told of no cluster. It is not in the run folder, which may be
anywhere, and it goes when its run has ended with nothing left.
"""

import json
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from chaos.errors import AftershockError, CleanupError
from chaos.targets.durable import state_folder, write_whole
from chaos.targets.identity import ProcessId
from chaos.targets.kubernetes.calls import Calls, current_context
from chaos.targets.kubernetes.marks import OURS, of_run, run_of
from chaos.targets.kubernetes.objects import ApiError, Item, Objects, chaos_collections
from chaos.targets.kubernetes.undoing.lease import Lease, living
from chaos.targets.kubernetes.undoing.patience import Clock, Patience
from chaos.targets.kubernetes.undoing.resorts import Undoing
from chaos.targets.kubernetes.undoing.traces import source
from chaos.targets.options import LostRun

_CALL_S = 10.0


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """A namespace of a cluster, as this machine reaches it."""

    namespace: str
    context: str | None = None
    """Of the kubeconfig; None for its current one."""
    kubeconfig: str | None = None
    """None for kubectl's own."""
    in_cluster: bool = False
    """Whether it is the cluster of the pod that this is."""

    def connect(self) -> Calls:
        """Raises InputError where there is no such cluster, or the client is not installed."""
        if self.in_cluster:
            return Calls.in_cluster()
        return Calls.connect(self.context, Path(self.kubeconfig) if self.kubeconfig else None)

    def pinned(self) -> "Whereabouts":
        """The same by its context's name: which one is current may have changed when somebody looks for what is left.

        Raises:
            InputError: there is no such cluster, or the client is not installed.
        """
        if self.in_cluster or self.context is not None:
            return self
        return replace(self, context=current_context(Path(self.kubeconfig) if self.kubeconfig else None))

    def __str__(self) -> str:
        return f"namespace {self.namespace} of {self.context or 'the current context'}"


@dataclass(frozen=True, slots=True)
class Record:
    """What a run writes down before it causes anything."""

    run_id: str
    runner: str
    """As `ProcessId` writes it."""
    where: Whereabouts

    @property
    def path(self) -> Path:
        """One file for each run."""
        return state_folder("kubernetes") / f"{self.run_id}.json"

    def write(self) -> None:
        """Put it on disk: only then may anything be created.

        Raises:
            OSError: the disk refused.
            InputError: there is no such cluster.
        """
        write_whole(self.path, json.dumps(asdict(replace(self, where=self.where.pinned()))) + "\n")

    def remove(self) -> None:
        """Nothing of the run is left; harmless a second time."""
        self.path.unlink(missing_ok=True)

    def runner_lives(self) -> bool:
        """Whether the process that would undo its faults is there."""
        try:
            return ProcessId.parse(self.runner).alive()
        except ValueError:
            return False


def find() -> Sequence[LostRun]:
    """Every run on record here whose runner is gone, with what it left in its cluster. Touches nothing.

    Raises:
        CleanupError: a file of the record cannot be read.
    """
    return [_on_record(record) for record in _records() if not record.runner_lives()]


def find_in(where: Whereabouts) -> Sequence[LostRun]:
    """Every run that left something in a namespace and does not hold its lease, wherever it ran. Touches nothing.

    Raises:
        InputError: there is no such cluster, or the client is not installed.
        CleanupError: it does not answer.
    """
    with closing(where.connect()) as objects:
        try:
            items = ours(objects, where.namespace, OURS)
            holder = living(objects, where.namespace, Clock())[0].holder if items else ""
        except ApiError as error:
            raise CleanupError(f"nobody can say what is left in {where}: {error}") from error
    runs = sorted({run for item in items if (run := run_of(item))} - {holder})
    return [
        LostRun(
            run_id=run,
            left=f"it does not hold the lease of {where}",
            pieces=tuple(_piece(item) for item in items if run_of(item) == run),
            end=partial(_end, Record(run, "", where)),
        )
        for run in runs
    ]


def ours(objects: Objects, namespace: str, labels: str) -> list[Item]:
    """Every object of Chaos Mesh with these labels.

    Raises:
        ApiError: the API server would not say.
    """
    return [
        {"kind": kind, "apiVersion": "chaos-mesh.org/v1alpha1", **item}
        for kind, collection in chaos_collections(namespace)
        for item in objects.list(collection, labels=labels, within_s=_CALL_S)
    ]


def _records() -> Sequence[Record]:
    found = []
    for path in sorted(state_folder("kubernetes").glob("*.json")):
        try:
            row = json.loads(path.read_text())
            found.append(Record(row["run_id"], row["runner"], Whereabouts(**row["where"])))
        except FileNotFoundError:
            continue  # it ended meanwhile
        except (OSError, ValueError, TypeError, KeyError) as error:
            hint = "see what it says, undo that by hand, and remove it"
            raise CleanupError(f"{path}: not a run on record: {error}", hint=hint) from error
    return found


def _on_record(record: Record) -> LostRun:
    gone = f"its runner (pid {record.runner.partition(':')[0]}) is gone"
    pieces: tuple[str, ...]
    try:
        with closing(record.where.connect()) as objects:
            items = ours(objects, record.where.namespace, of_run(record.run_id))
    except (AftershockError, ApiError) as error:
        left, pieces = (
            f"nobody can say what is left in {record.where}: {error}",
            (f"what is in {record.where}",),
        )
    else:
        pieces = (*map(_piece, items),) or (f"record {record.path}",)
        count = f"{len(items)} object{'s' if len(items) > 1 else ''}"
        left = f"left in {record.where}: {count}" if items else f"nothing is left in {record.where}"
    return LostRun(record.run_id, f"{gone}; {left}", pieces, partial(_end, record))


def _end(record: Record) -> Sequence[str]:
    """Undo what a run left, in its cluster and on record.

    Raises:
        CleanupError: something is left; what was done stands before it.
    """
    acts: list[str] = []
    try:
        with closing(record.where.connect()) as objects:
            items = ours(objects, record.where.namespace, of_run(record.run_id))
            Undoing(objects, acts.append, Patience()).undo(items)
            Lease(objects, record.where.namespace, record.run_id).let_go()
    except CleanupError as error:
        by_hand = f" (by hand: {'; '.join((error.hint or '').splitlines())})"
        raise CleanupError("; ".join([*acts, f"{error}{by_hand}"])) from error
    except (AftershockError, ApiError) as error:
        raise CleanupError(f"run {record.run_id}, {record.where}: {error}") from error
    done = [f"{_piece(item)}: {_done(item, acts)}" for item in items]
    if record.path.exists():
        with suppress(OSError):
            record.remove()
        done.append(f"record {record.path}")
    return done


def _piece(item: Item) -> str:
    return f"{item['kind']} {source(item)}"


def _done(item: Item, acts: Sequence[str]) -> str:
    return "; ".join(act for act in acts if source(item) in act) or "it was gone by itself"
