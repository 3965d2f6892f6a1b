"""The external target: it starts nothing, sees one URL, and does to the service what the user's own commands do.

A fault's `do` and `undo` are run by a guardian, a process that undoes them should this one be gone; its proof is run
here. Until its undoing is proved it is on record for `aftershock recover`.
"""

import os
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from chaos.errors import CleanupError, InconclusiveError, InputError, RefusedError
from chaos.events import Event
from chaos.targets import SERVICE, Asked, Endpoints, Evidence, Node, Replica
from chaos.targets.effects import Command, Effect, Fidelity, unsupported
from chaos.targets.external import lost_faults
from chaos.targets.external.exclusive import Claim
from chaos.targets.external.execution import Ended, Setting, execute
from chaos.targets.external.guard import Guard, GuardianGoneError
from chaos.targets.external.lost_faults import Entry
from chaos.targets.external.service import Service, require_answer
from chaos.targets.identity import ProcessId, marks
from chaos.targets.options import Opening

_LOOK_EVERY_S = 0.1
_UNDO_ATTEMPTS = 2


@dataclass(slots=True)
class _Aimed:
    """One occurrence of a fault, from before its effect to after its undoing was proved."""

    entry: Entry
    path: Path
    """Where it is on record."""
    touched: bool = False
    """Whether the effect may be there."""


def fidelity(fault: Asked) -> Fidelity:
    """How close an external service comes to a fault: only a command of the user's reaches into it."""
    if not all(isinstance(effect, Command) for effect in fault.effects):
        return unsupported("whose replicas cannot be seen: faults there are commands, kind Command")
    return fault.fidelities.get(
        ExternalTarget.kind, unsupported("it is not known what it would come to there")
    )


class ExternalTarget:
    """A service behind a URL, as `chaos.targets.Target` wants one."""

    kind = "external"
    wanted_replicas = 0

    def __init__(self, service: Service, opening: Opening) -> None:
        """Prepare; nothing is asked before it is entered."""
        runner = ProcessId.of(os.getpid())
        assert runner is not None
        self._service = service
        self._runner = runner
        self._folder = opening.folder.absolute()
        self._run_id = f"{opening.experiment}-{uuid.uuid4().hex[:12]}"
        self._model = service.model
        self._guard: Guard | None = None
        self._claim = Claim(service.url, self._run_id)
        self._aimed: dict[str, _Aimed] = {}
        """By occurrence."""

    @property
    def marks(self) -> Mapping[str, str]:
        """What other processes of the run, the load for one, must have in their environment to be found."""
        return marks(self._run_id, self._runner)

    def __enter__(self) -> Self:
        """Make sure that the service answers.

        Raises:
            RefusedError: nothing answers, or nothing but errors of its own, or another run is on it.
            InputError: it refuses what the load would send, or another URL is wrong.
        """
        self._claim.take()
        try:
            self._model = require_answer(self._service)
            # Already now, and waited for later: a fault must not be late because its guardian starts.
            self._guard = Guard(self._folder / "logs" / "guardian.log")
        except BaseException:
            self._claim.let_go()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Undo whatever may still be in force; a second time changes nothing.

        Raises:
            CleanupError: something is; it stays on record for `aftershock recover`.
        """
        left: list[CleanupError] = []
        for occurrence, aimed in reversed([*self._aimed.items()]):
            try:
                if aimed.touched:
                    lost_faults.undo(aimed.entry)
                self._settle(occurrence)
            except CleanupError as problem:
                left.append(problem)
        if self._guard is not None:
            timeouts_s = (2 * aimed.entry.setting.timeout_s for aimed in self._aimed.values())
            self._guard.let_go(sum(timeouts_s))
        self._claim.let_go()
        if left:
            raise left[0]

    def endpoints(self) -> Endpoints:
        """What the file says of the service."""
        service = self._service
        return Endpoints(
            url=service.url,
            prometheus_url=service.prometheus_url,
            gateway_metrics_url=service.gateway_metrics_url,
            replica_metrics_urls=service.metrics_urls,
            model=self._model,
            api_key=service.api_key,
        )

    def evaluate(self, rules: Path) -> None:
        """Nothing: which rules its Prometheus evaluates is for whoever runs it to say."""

    def nodes(self) -> Sequence[Node]:
        """None: they cannot be seen."""
        return ()

    def replicas(self) -> Sequence[Replica]:
        """None: they cannot be seen."""
        return ()

    def pids(self) -> Mapping[str, Sequence[int]]:
        """None: the service is nobody's of this run."""
        return {}

    def events(self) -> Sequence[Event]:
        """None: what happens to the service is seen in its answers alone."""
        return ()

    def fidelity(self, fault: Asked) -> Fidelity:
        """How close this target comes to the fault."""
        return fidelity(fault)

    def aim(
        self,
        occurrence: str,
        effects: Sequence[Effect],
        victims: Sequence[Replica],
        manifest: Mapping[str, Any] | None = None,  # noqa: ARG002 - a command is all of it
    ) -> None:
        """Look whether the proof fails before anything is done, put the fault on record, and have it guarded.

        Raises:
            InputError: the proof cannot be run.
            InconclusiveError: there is nobody to guard the fault.
            RefusedError: it succeeds: it could not tell whether the fault is in force.
        """
        assert not victims
        [command] = effects
        assert isinstance(command, Command)
        guard = self._guarding()
        entry = self._entry(occurrence, command, guard)
        before = execute(command.prove, entry.setting)
        if before.code is None:
            raise InputError(f"{occurrence}: its proof cannot be run: {before}")
        if before.succeeded:
            raise RefusedError(
                f"{occurrence}: its proof succeeds before anything was done: {before}",
                hint="prove must fail while the fault is not in force; is it, from an earlier run?",
            )
        path = lost_faults.folder() / f"{self._run_id}-{len(self._aimed) + 1}.json"
        lost_faults.write(path, entry)
        guard.guard(path)
        self._aimed[occurrence] = _Aimed(entry, path)

    def inject(self, occurrence: str, victims: Sequence[Replica]) -> float:
        """Have the command run that causes the effect.

        Raises:
            RefusedError: it failed; whatever it did is undone.
            CleanupError: it failed, and is not undone.
        """
        assert not victims
        aimed = self._aimed[occurrence]
        aimed.touched = True
        at_s = time.monotonic()
        try:
            ended: Ended | GuardianGoneError = self._guarding().do(aimed.path, aimed.entry.setting.timeout_s)
        except GuardianGoneError as gone:
            ended = gone
        if isinstance(ended, Ended) and ended.succeeded:
            return at_s
        lost_faults.undo(aimed.entry)
        self._settle(occurrence)
        raise RefusedError(
            f"{occurrence} was not injected, and is undone: {ended}", hint=f"log: {aimed.entry.setting.log}"
        )

    def verify(self, occurrence: str, within_s: float) -> Sequence[Evidence]:
        """Whether the proof succeeds by now."""
        return [self._look(occurrence, within_s, in_force=True)]

    def recover(self, occurrence: str) -> None:
        """Have the command run that undoes the effect; nothing where none may be there.

        Raises:
            CleanupError: it failed; the fault stays on record.
        """
        aimed = self._aimed.get(occurrence)
        if aimed is None or not aimed.touched:
            return
        for _ in range(_UNDO_ATTEMPTS):
            ended = self._undone(aimed)
            if ended.succeeded:
                return
        raise CleanupError(
            f"{occurrence} is not undone: {ended}",
            hint=f"log: {aimed.entry.setting.log}; `aftershock recover` tries again",
        )

    def verify_recovered(self, occurrence: str, within_s: float) -> Sequence[Evidence]:
        """Whether the proof fails again; only then is the fault off the record."""
        if occurrence not in self._aimed:
            return ()  # it was undone because it could not be done
        evidence = self._look(occurrence, within_s, in_force=False)
        if evidence.verified:
            self._settle(occurrence)
        return [evidence]

    def _look(self, occurrence: str, within_s: float, *, in_force: bool) -> Evidence:
        entry = self._aimed[occurrence].entry
        deadline_s = time.monotonic() + within_s
        while True:
            proof = execute(entry.command.prove, entry.setting)
            as_wanted = proof.code is not None and proof.succeeded is in_force
            if as_wanted or time.monotonic() > deadline_s:
                return Evidence(SERVICE, as_wanted, str(proof))
            time.sleep(_LOOK_EVERY_S)

    def _undone(self, aimed: _Aimed) -> Ended:
        """How undoing ended, also without the guardian."""
        command, setting = aimed.entry.command, aimed.entry.setting
        if self._guard is not None:
            with suppress(GuardianGoneError):
                return self._guard.undo(aimed.path, setting.timeout_s)
        return execute(command.undo, setting)

    def _settle(self, occurrence: str) -> None:
        """Nothing of it is in force: take it off the record."""
        path = self._aimed.pop(occurrence).path
        path.unlink(missing_ok=True)
        if self._guard is not None:
            self._guard.release(path)

    def _guarding(self) -> Guard:
        if self._guard is None:
            raise InconclusiveError("the external target was not entered")
        try:
            self._guard.wait_until_ready()
        except GuardianGoneError as error:
            raise InconclusiveError(f"nobody guards the faults of this run: {error}") from error
        return self._guard

    def _entry(self, occurrence: str, command: Command, guard: Guard) -> Entry:
        return Entry(
            run=self._run_id,
            occurrence=occurrence,
            runner=str(self._runner),
            command=command,
            guardian=guard.process,
            setting=Setting(
                folder=Path.cwd(),
                log=self._folder / "logs" / f"{occurrence.replace('/', '-')}.log",
                timeout_s=command.timeout_s,
                environment={
                    "AFTERSHOCK_URL": self._service.url,
                    "AFTERSHOCK_OCCURRENCE": occurrence,
                    "AFTERSHOCK_RUN_FOLDER": str(self._folder),
                },
            ),
        )
