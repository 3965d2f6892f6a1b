"""Requests to a victim and looks into its containers: from the API server, or from a pod of the other side of a fault.

A fault of the network may concern some callers only. Where it does, it is one of those who is made to ask, by a command
in its container (curl or Python, whichever it has); the API server is everybody else.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from chaos.targets import Replica
from chaos.targets.effects import Link
from chaos.targets.http.effects import HttpRule
from chaos.targets.kubernetes.api import REFUSED, UNREACHABLE, Api
from chaos.targets.kubernetes.evidence.http import HttpSight
from chaos.targets.kubernetes.evidence.link import Asked, enough_bytes, needed, ways
from chaos.targets.kubernetes.objects import ApiError, Item, Place, pods
from chaos.targets.kubernetes.shell import Shell

_SILENT_AFTER_S = 1.5
"""Longer than any answer of a healthy replica to a probe, and than a retransmission of what was lost twice."""
_TRANSFER_S = 4.0
_HEADERS_BYTES = 200
_RUN_S = 5.0
_FETCH = """
if command -v curl >/dev/null; then
  i=0; while [ $i -lt {times} ]; do i=$((i+1))
    curl -s -o /dev/null --max-time {silent_s} -w '%{{http_code}} %{{size_download}} %{{time_total}}\\n' '{url}'
  done
else
  python3 - <<'END'
import time, urllib.error, urllib.request
for _ in range({times}):
    began = time.monotonic()
    try:
        body = urllib.request.urlopen('{url}', timeout={silent_s}).read()
        print(200, len(body), time.monotonic() - began)
    except urllib.error.HTTPError as error:
        print(error.code, 0, time.monotonic() - began)
    except OSError:
        print('000', 0, time.monotonic() - began)
END
fi
true
"""


@dataclass(slots=True)
class Prober:
    """Of one cluster."""

    api: Api
    item: Callable[[str], Item | None]
    """The pod of a uid, as the API server tells it."""
    metrics_port: int | None = None
    """Of the replicas: what they answer there is long."""

    def ask(self, victim: Replica, link: Link, *, once: bool = False) -> Asked:
        """As many requests as tell whether a fault of the network is there; or one, to see whether it answers."""
        item = self.item(victim.uid)
        if item is None:
            return Asked((), 0, trouble="it is gone")
        where = _probe(item)
        size = enough_bytes(link)
        if size and self.metrics_port is not None:
            where = self.metrics_port, "/metrics"
        if where is None:
            return Asked((), 0, trouble="it has no HTTP probe that could be asked")
        number = (
            1
            if once and not size and not any(way.loss or way.corruption for way in ways(link))
            else needed(link)
        )
        if link.toward is not None:
            return self._from_other_side(item, link.toward, where, number)
        return self._from_api_server(victim, where, number, size)

    def http(self, victim: Replica, rule: HttpRule) -> HttpSight:
        """How its HTTP is before a rule on it; ApiError where this account may not ask."""
        item = self.item(victim.uid)
        if item is None:
            return HttpSight(self.api, victim, rule, None)
        return HttpSight.before(self.api, victim, item, rule)

    def run(self, victim: Replica, container: str, command: Sequence[str]) -> str:
        """What a command prints in a container of it; ApiError where it cannot be run."""
        return Shell(self.api).run(pods(victim.namespace) / victim.name, container, command, within_s=_RUN_S)

    def _from_api_server(self, victim: Replica, where: tuple[int, str], number: int, size: int) -> Asked:
        place, (port, path) = pods(victim.namespace) / victim.name, where
        took_s: list[float] = []
        silent = moved = 0
        trouble = ""
        ends_s = time.monotonic() + _TRANSFER_S
        while (len(took_s) + silent < number or moved < size) and not (silent and not took_s):
            if len(took_s) + silent >= number and time.monotonic() > ends_s:
                break
            heard_s, bytes_, why = self._once(place, port, path)
            if heard_s is None:
                silent, trouble = silent + 1, why
            else:
                took_s.append(heard_s)
                moved += bytes_
        return Asked(tuple(took_s), silent, moved, trouble)

    def _once(self, place: Place, port: int, path: str) -> tuple[float | None, int, str]:
        try:
            passed = self.api.ask_pod(place, port, path, within_s=_SILENT_AFTER_S)
        except ApiError as error:
            return None, 0, f"{error}"
        if UNREACHABLE in passed.text and REFUSED not in passed.text:
            return None, 0, passed.text[:120]
        return passed.took_s, passed.size + _HEADERS_BYTES, ""

    def _from_other_side(
        self, item: Item, toward: Mapping[str, str], where: tuple[int, str], number: int
    ) -> Asked:
        namespace, address = item["metadata"]["namespace"], (item.get("status") or {}).get("podIP")
        labels = ",".join(f"{name}={value}" for name, value in toward.items())
        try:
            others = self.api.listing(pods(namespace), labels=labels, within_s=_RUN_S).items
            other = next((one for one in others if (one.get("status") or {}).get("phase") == "Running"), None)
            if other is None:
                return Asked((), 0, trouble=f"no pod with {labels} runs that could ask it")
            script = _FETCH.format(
                times=number, silent_s=_SILENT_AFTER_S, url=f"http://{address}:{where[0]}{where[1]}"
            )
            said = Shell(self.api).run(
                pods(namespace) / other["metadata"]["name"],
                other["spec"]["containers"][0]["name"],
                ("sh", "-c", script),
                within_s=number * _SILENT_AFTER_S + _RUN_S,
            )
        except ApiError as error:
            return Asked((), 0, trouble=f"no pod of the other side could be made to ask it: {error}")
        return _read(said)


def _read(said: str) -> Asked:
    """Of the lines that the other side printed: status, bytes, seconds."""
    rows = [line.split() for line in said.splitlines() if line.count(" ") == 2]
    heard = [(int(size), float(took_s)) for status, size, took_s in rows if status != "000"]
    silent = len(rows) - len(heard)
    size = sum(size + _HEADERS_BYTES for size, _ in heard)
    trouble = "" if rows else "neither curl nor Python is in the container of the other side"
    return Asked(tuple(took_s for _, took_s in heard), silent, size, trouble or "no answer")


def _probe(item: Item) -> tuple[int, str] | None:
    """Port and path of the first HTTP probe that a container of it has."""
    for container in item["spec"].get("containers") or ():
        for name in ("livenessProbe", "readinessProbe", "startupProbe"):
            http = (container.get(name) or {}).get("httpGet")
            if http and http.get("scheme", "HTTP") == "HTTP":
                named = {each.get("name"): each["containerPort"] for each in container.get("ports") or ()}
                port = named.get(http["port"], http["port"])
                if isinstance(port, int):
                    return port, str(http.get("path") or "/")
    return None
