"""`python -m chaos.targets.kubernetes.undoing.reaper`: undoes, in the cluster, what a run without its lease has left.

It asks for every object with our labels, then who holds the namespace's lease, and undoes whatever is of any other run.
In that order: an object that was there before the lease was read is of a run that had held it. Whatever the API server
answers, the next round tries again.
"""

import argparse
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from chaos.errors import AftershockError, CleanupError
from chaos.targets.kubernetes.calls import Calls
from chaos.targets.kubernetes.marks import LEASE, OURS, run_of
from chaos.targets.kubernetes.objects import ApiError, Objects, leases
from chaos.targets.kubernetes.undoing.lease import Sight
from chaos.targets.kubernetes.undoing.lost_objects import Whereabouts, ours
from chaos.targets.kubernetes.undoing.patience import Clock, Patience
from chaos.targets.kubernetes.undoing.resorts import Undoing

_LOG = logging.getLogger("aftershock.reaper")
_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_CALL_S = 10.0


@dataclass(slots=True)
class Reaper:
    """What looks after one namespace."""

    objects: Objects
    namespace: str
    clock: Clock = field(default_factory=Clock)
    patience: Patience = field(default_factory=Patience)
    rounds: int = 0
    alive_s: float = 0.0
    """When it last got anywhere, on its clock."""
    trouble: str = ""
    """What it could not do in its last round, in words."""
    _sight: Sight | None = None

    def round(self) -> None:
        """Undo whatever is of a run that does not hold the lease; whatever goes wrong is said, and left to the next."""
        before, self.trouble = self.trouble, ""
        try:
            self._reap()
        except (ApiError, CleanupError) as error:
            self.trouble = f"{error}"
            if self.trouble != before:
                _LOG.warning("%s", " | ".join(filter(None, (self.trouble, getattr(error, "hint", None)))))
        if before and not self.trouble:
            _LOG.info("all is well again")
        self.rounds += 1
        self.alive_s = self.clock.now_s()

    @property
    def healthy(self) -> bool:
        """Whether its last round is no longer ago than one that undoes something may take."""
        return self.clock.now_s() - self.alive_s < 2 * self.patience.whole_s

    @property
    def ready(self) -> bool:
        """Whether its last round got everything that it asked for."""
        return self.healthy and self.rounds > 0 and not self.trouble

    def _reap(self) -> None:
        items = ours(self.objects, self.namespace, OURS)
        lease = self.objects.get(leases(self.namespace) / LEASE, within_s=_CALL_S)
        self._sight = self._sight or Sight(self.clock)
        holder = self._sight.holder(lease)
        lost = [item for item in items if run_of(item) not in (None, holder)]
        for run in sorted({str(run_of(item)) for item in lost}):
            _LOG.info("run %s does not hold the lease of %s: what it left is undone", run, self.namespace)
        Undoing(self.objects, lambda act: _LOG.info("%s", act), self.patience, self.clock).undo(lost)


def serve_health(reaper: Reaper, port: int) -> ThreadingHTTPServer:
    """Answer on every address `/healthz`, 200 while rounds go on, and `/readyz`, while they get somewhere; else 503.

    The body of both says what is the matter: a missing right makes it not ready, and no restart would help.
    """

    class Health(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = {"/healthz": reaper.healthy, "/readyz": reaper.ready}.get(self.path.partition("?")[0])
            answer = {"namespace": reaper.namespace, "rounds": reaper.rounds, "trouble": reaper.trouble}
            body = b"{}" if known is None else json.dumps(answer).encode()
            self.send_response(404 if known is None else 200 if known else 503)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing: a probe asks every few seconds."""

    server = ThreadingHTTPServer(("", port), Health)
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server


def main(arguments: Sequence[str] | None = None) -> int:
    """Look after a namespace until SIGTERM."""
    given = _parser().parse_args(arguments)
    logging.basicConfig(
        stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", force=True
    )
    ends = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ends.set())
    namespace = given.namespace or os.environ.get("POD_NAMESPACE") or _own_namespace()
    outside = given.context is not None or given.kubeconfig is not None
    try:
        objects = Whereabouts(namespace, given.context, given.kubeconfig, in_cluster=not outside).connect()
    except AftershockError as error:
        print(f"aftershock reaper: {error}", file=sys.stderr)
        return error.exit_code
    _watch_over(objects, namespace, ends, given)
    return 0


def _watch_over(objects: Calls, namespace: str, ends: threading.Event, given: argparse.Namespace) -> None:
    clock = Clock(sleep=ends.wait)
    reaper = Reaper(objects, namespace, clock, alive_s=clock.now_s())
    health = serve_health(reaper, given.port) if given.port else None
    _LOG.info("looking after namespace %s every %g s", namespace, given.every)
    while not ends.is_set():
        reaper.round()
        ends.wait(given.every)
    _LOG.info("asked to end: ended")
    if health is not None:
        health.shutdown()
    objects.close()


def _own_namespace() -> str:
    return _ACCOUNT.read_text().strip() if _ACCOUNT.is_file() else "default"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m chaos.targets.kubernetes.undoing.reaper",
        description="Undo what a run left in a namespace whose lease it does not hold.",
    )
    parser.add_argument("--namespace", help="where to look; default: $POD_NAMESPACE, or the pod's own")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two rounds (default: 5)")
    parser.add_argument(
        "--port", type=int, default=8080, help="of /healthz and /readyz; 0 for none (default: 8080)"
    )
    parser.add_argument("--context", help="of a kubeconfig; default: the service account of this pod")
    parser.add_argument("--kubeconfig", help="the file; default: kubectl's own")
    return parser


if __name__ == "__main__":
    sys.exit(main())
