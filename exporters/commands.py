"""What each subcommand of `python -m exporters` does: options come in as values, errors go out to the command line."""

import json
import os
import shutil
import signal
import sys
import threading
import urllib.request
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from prometheus_client import generate_latest

from exporters.collectors import CollectorSet
from exporters.comm import MAX_PEERS, CommMetrics, Peer, Pinger, Responder, peer_of
from exporters.documentation import metrics_page
from exporters.exposition import serve
from exporters.fetch import FetchError, fetch
from exporters.gpu import watch_gpus
from exporters.probe import MAX_TARGETS, ProbeCollector, Prober, ProbeTarget
from exporters.profiles.coverage import coverage_of
from exporters.profiles.library import profile, profiles, read
from exporters.profiles.table import as_json, as_table
from exporters.registry import Registry
from exporters.series.groups import GROUPS

_FETCH_TIMEOUT_S = 10.0
_FIRST_ANSWER_S = 10.0
"""How long `gpu --once` waits for the first poll: starting a driver takes seconds."""


class CommandError(Exception):
    """Something that the user can mend; the message says what and where. Ends in the command line, exit code 2."""


def write_page(page: Path, *, check: bool) -> int:
    """Write METRICS.md, or only compare it; 1 when it is stale."""
    wanted = metrics_page(GROUPS)
    if not check:
        page.write_text(wanted)
        print(f"wrote {page}")
        return 0
    if page.is_file() and page.read_text() == wanted:
        return 0
    print(f"{page} is not what the declarations say\nhint: run `python -m exporters docs`", file=sys.stderr)
    return 1


def show_coverage(source: str, *, engine: str | None, own: Path | None, as_values: bool) -> int:
    """Print what the endpoint or file can tell.

    Raises:
        CommandError: the source cannot be read.
        ExpositionError: it is no exposition.
        ProfileError: no profile fits it, or `own` is no profile.
    """
    known = (read(own),) if own else (profile(engine),) if engine else profiles()
    told = coverage_of(_text_of(source), known, engine=known[0].engine if own or engine else None)
    if as_values:
        print(json.dumps(as_json(told, source), indent=2))
    else:
        print(as_table(told, width=shutil.get_terminal_size((140, 24)).columns), end="")
    return 0


def export_gpus(host: str, port: int, *, once: bool) -> int:
    """Serve this machine's GPU series until told to end, or print them once.

    Raises:
        OSError: the address cannot be bound.
    """
    registry = Registry()
    with watch_gpus(CollectorSet(registry)) as poller:
        if once:
            poller.first(within_s=_FIRST_ANSWER_S)
            print(generate_latest(registry).decode(), end="")
            return 0
        return serve_until_told(registry, host, port, what="GPU series")


def probe_targets(
    urls: Sequence[str], model: str, timeout_s: float, api_key_env: str | None
) -> Sequence[ProbeTarget]:
    """What to probe; the key is in the environment variable of that name.

    Raises:
        CommandError: a URL is none, comes twice, or there are too many; or the key's variable is not set.
    """
    api_key = os.environ.get(api_key_env) if api_key_env else None
    if api_key_env and not api_key:
        raise CommandError(f"--api-key-env: expected a key in the variable {api_key_env}, got nothing")
    try:
        targets = [ProbeTarget(url, model, timeout_s, api_key) for url in urls]
    except ValueError as error:
        raise CommandError(f"--url: {error}") from error
    names = [target.name for target in targets]
    if len(set(names)) < len(names) or len(names) > MAX_TARGETS:
        raise CommandError(
            f"--url: expected each server once, at most {MAX_TARGETS}, got {', '.join(names[:10])}"
        )
    return targets


def export_probes(targets: Sequence[ProbeTarget], *, every_s: float, host: str, port: int) -> int:
    """Probe the servers until told to end, and serve what was found.

    Raises:
        OSError: the address cannot be bound.
    """
    registry = Registry()
    with ExitStack() as stack:
        probers = [Prober(target, every_s=every_s) for target in targets]
        for prober in probers:
            stack.callback(prober.stop)
        CollectorSet(registry).add("probe", ProbeCollector(probers))
        return serve_until_told(registry, host, port, what="probe series")


def comm_peers(texts: Sequence[str]) -> Sequence[Peer]:
    """Whom to time round trips to.

    Raises:
        CommandError: a peer is none, or there are too many.
    """
    try:
        peers = [peer_of(text) for text in texts]
    except ValueError as error:
        raise CommandError(f"--peer: {error}") from error
    if len(set(peers)) < len(peers) or len(peers) > MAX_PEERS:
        raise CommandError(f"--peer: expected each peer once, at most {MAX_PEERS}, got {len(peers)}")
    return peers


def export_comm(
    peers: Sequence[Peer], *, respond_port: int, every_s: float, timeout_s: float, host: str, port: int
) -> int:
    """Time round trips to the peers and answer theirs, until told to end.

    Raises:
        OSError: an address cannot be bound.
    """
    registry = Registry()
    metrics = CommMetrics(registry)
    with ExitStack() as stack:
        responder = stack.enter_context(Responder(host, respond_port))
        print(f"answers peers at port {responder.port}", flush=True)
        for peer in peers:
            stack.callback(Pinger(peer, metrics, every_s=every_s, timeout_s=timeout_s).stop)
        return serve_until_told(registry, host, port, what="communication series")


def serve_until_told(registry: Registry, host: str, port: int, *, what: str) -> int:
    """Serve a registry until SIGINT or SIGTERM.

    Raises:
        OSError: the address cannot be bound.
    """
    told = threading.Event()

    def tell(_number: int, _frame: FrameType | None) -> None:
        told.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, tell)
    with serve(registry, host=host, port=port) as exposition:
        shown = f"[{host}]" if ":" in host else host
        print(f"{what} at http://{shown}:{exposition.port}/metrics", flush=True)
        told.wait()
    return 0


def _text_of(source: str) -> str:
    if not source.startswith(("http://", "https://")):
        try:
            return Path(source).read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{source}: expected a URL or a readable file: {error}") from error
    url = source if source.split("://")[1].rstrip("/").count("/") else source.rstrip("/") + "/metrics"
    try:
        request = urllib.request.Request(url, headers={"Accept": "text/plain;version=0.0.4"})  # noqa: S310  http(s), checked
        return fetch(request, _FETCH_TIMEOUT_S).decode(errors="replace")
    except (FetchError, ValueError) as error:
        raise CommandError(str(error)) from error
