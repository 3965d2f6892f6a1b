"""What each subcommand of `python -m exporters` does: options come in as values, errors go out to the command line."""

import json
import shutil
import signal
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path
from types import FrameType

from prometheus_client import generate_latest

from exporters.collectors import CollectorSet
from exporters.documentation import metrics_page
from exporters.exposition import serve
from exporters.gpu import watch_gpus
from exporters.metrics import GROUPS
from exporters.profiles.coverage import coverage
from exporters.profiles.library import profile, profiles, read
from exporters.profiles.scraped import scraped_families
from exporters.profiles.table import as_json, as_table
from exporters.registry import Registry

_FETCH_TIMEOUT_S = 10.0
_MAX_BYTES = 64_000_000
_FIRST_ANSWER_S = 10.0
"""How long `gpu --once` waits for the first poll: starting a driver takes seconds."""


class CommandError(Exception):
    """Something that the user can mend; the message says what and where."""


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
    families = scraped_families(_text_of(source))
    told = coverage(families, known, engine=known[0].engine if own or engine else None)
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
    request = urllib.request.Request(url, headers={"Accept": "text/plain;version=0.0.4"})  # noqa: S310  http(s), checked
    try:
        with urllib.request.urlopen(request, timeout=_FETCH_TIMEOUT_S) as response:  # noqa: S310
            body: bytes = response.read(_MAX_BYTES)
    except (OSError, ValueError) as error:
        raise CommandError(f"{url}: expected an endpoint that answers: {error}") from error
    return body.decode(errors="replace")
