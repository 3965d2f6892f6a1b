"""The runner's end of the line to the supervisor: synchronous questions, a heartbeat, collected events."""

import itertools
import json
import os
import queue
import signal
import subprocess
import threading
from contextlib import suppress
from typing import Any

from chaos.errors import InconclusiveError, RefusedError
from chaos.events import Event
from chaos.interrupts import wait_in_order
from chaos.targets.identity import ProcessId, marks
from chaos.targets.local.processes import command
from chaos.targets.local.spec import LocalSpec
from chaos.targets.local.wire import Message

_ANSWER_WITHIN_S = 10.0
_STOP_WITHIN_S = 15.0
_HEARTBEATS_PER_LEASE = 5


class SupervisorLink:
    """One supervisor, from its start to its end. `stop` must be called; a second call changes nothing."""

    def __init__(self, spec: LocalSpec, runner: ProcessId) -> None:
        """Start the supervisor of a cluster; its own output goes to `logs/supervisor.log`."""
        self._ids = itertools.count(1)
        self._answers: dict[int, queue.SimpleQueue[Message | None]] = {}
        self._events: list[Event] = []
        self._ended: str | None = None
        self._writing = threading.Lock()
        self._stopping = threading.Event()
        spec.log_folder.mkdir(parents=True, exist_ok=True)
        with (spec.log_folder / "supervisor.log").open("ab") as log:
            self._process = subprocess.Popen(
                command("supervisor"),
                env={**os.environ, **marks(spec.run_id, runner)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
                start_new_session=True,  # a Ctrl-C in the terminal is for the runner alone
            )
        self._send({"op": "start", "spec": spec.to_wire()})
        self._reader = threading.Thread(target=self._read, name="supervisor-reader", daemon=True)
        self._heart = threading.Thread(
            target=self._beat, args=(spec.lease_s / _HEARTBEATS_PER_LEASE,), name="heartbeat", daemon=True
        )
        self._reader.start()
        self._heart.start()

    def events(self) -> list[Event]:
        """Every event so far, in the order of their stamps."""
        return sorted(self._events, key=lambda event: event.at_s)

    def ask(self, op: str, **fields: Any) -> Message:
        """Ask and wait for the answer.

        Raises:
            RefusedError: the supervisor would not do it; it did nothing.
            InconclusiveError: the cluster has ended, or does not answer.
        """
        number = next(self._ids)
        box = self._answers[number] = queue.SimpleQueue()
        try:
            self._send({"id": number, "op": op, **fields})
            reply = box.get(timeout=_ANSWER_WITHIN_S) if self._ended is None else None
        except queue.Empty:
            raise InconclusiveError(
                f"the supervisor did not answer {op!r} within {_ANSWER_WITHIN_S:g} s"
            ) from None
        finally:
            del self._answers[number]
        if reply is None:
            raise InconclusiveError(f"the local cluster has ended: {self._ended}")
        if "error" in reply:
            raise RefusedError(f"the local cluster refused {op!r}: {reply['error']}")
        return reply

    def stop(self) -> None:
        """Have the supervisor end everything and itself; kill it if it does not. Proves nothing."""
        self._stopping.set()
        self._send({"op": "stop"})
        if not wait_in_order(self._process, _STOP_WITHIN_S):
            with suppress(ProcessLookupError):  # not reaped yet, so that the pid is still its own
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._heart.join()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def _send(self, message: Message) -> None:
        assert self._process.stdin is not None
        with self._writing, suppress(BrokenPipeError, ValueError):  # it is gone: the reader will notice
            self._process.stdin.write(json.dumps(message).encode() + b"\n")

    def _beat(self, period_s: float) -> None:
        while not self._stopping.wait(period_s):
            self._send({"op": "heartbeat"})

    def _read(self) -> None:
        assert self._process.stdout is not None
        why = "its supervisor died"
        for line in self._process.stdout:
            message = json.loads(line)
            if "event" in message:
                self._events.append(Event(**message["event"]))
            elif "ended" in message:
                why = message["ended"]
            elif box := self._answers.get(message["id"]):
                box.put(message)
        self._ended = why
        for box in tuple(self._answers.values()):
            box.put(None)
