"""Do client, gateway and replicas tell of the same requests? Counts kept by three programs, side by side."""

import math
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from chaos.collecting.exposition import samples
from chaos.errors import InconclusiveError
from chaos.prometheus import PrometheusClient, Series
from chaos.record.cluster import Reconciliation, ReplicaCounts
from chaos.record.observed import replica_counts
from chaos.targets import Endpoints
from dashboards.queries import run as run_queries
from exporters.series import gateway as gateway_series
from exporters.series.family import Family
from exporters.series.jobs import REPLICA_JOB

_REACHED_NOTHING = "unreachable"
_SCRAPED_WITHIN_S = 10.0
_SETTLED_WITHIN_S = 3.0
_LOOK_EVERY_S = 0.02
_ANSWERS_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class GatewayCounts:
    """The gateway's counters at one instant."""

    requests: int
    retries: int
    attempts: dict[str, int] = field(default_factory=dict)
    """By replica."""
    unreachable: dict[str, int] = field(default_factory=dict)
    """Those of them that may not have reached it."""
    own: dict[str, int] = field(default_factory=dict)
    """What replicas had counted themselves by then, where they had anything to count."""


def gateway_counts(url: str) -> GatewayCounts:
    """Read the gateway's counters from its own endpoint, without waiting for a scrape.

    Raises:
        InconclusiveError: the gateway cannot be reached, or tells of no counts.
    """
    counts = _Counts(url)
    attempts: dict[str, int] = {}
    unreachable: dict[str, int] = {}
    for labels, count in counts.of(gateway_series.GATEWAY_ATTEMPTS):
        name = labels.get("replica", "")
        attempts[name] = attempts.get(name, 0) + count
        if labels.get("outcome") == _REACHED_NOTHING:
            unreachable[name] = unreachable.get(name, 0) + count
    return GatewayCounts(
        requests=counts.sum(gateway_series.GATEWAY_REQUESTS),
        retries=counts.sum(gateway_series.GATEWAY_RETRIES),
        attempts=attempts,
        unreachable=unreachable,
    )


class _Counts:
    """What an endpoint counts at one instant."""

    def __init__(self, url: str) -> None:
        self._url, self._samples = url, samples(url, _ANSWERS_WITHIN_S)

    def of(self, family: Family) -> Iterator[tuple[Mapping[str, str], int]]:
        """The labels and the count of each of a family's samples.

        Raises:
            InconclusiveError: one of them is no count.
        """
        for sample in self._samples:
            if sample.name == family.name:
                if not math.isfinite(sample.value):
                    raise InconclusiveError(
                        f"{self._url}: expected a count of {family.name}, got {sample.value}"
                    )
                yield sample.labels, int(sample.value)

    def sum(self, family: Family) -> int:
        """The sum over a family's samples."""
        return sum(count for _, count in self.of(family))


def counts_before(endpoints: Endpoints, *, used: bool) -> GatewayCounts | None:
    """The counters that the load of a run begins with; of replicas that were `used` already, theirs as well.

    None where no gateway tells of itself: then there is nothing to compare with.

    They are at rest once nothing is in flight at the gateway, and two scrapes of the replicas agree: a request is
    counted a moment after its client has the answer, or gave it up.

    Raises:
        InconclusiveError: the gateway cannot be reached.
    """
    gateway = endpoints.gateway_metrics_url
    if gateway is None:
        return None
    own: dict[str, int] = {}
    deadline_s = time.monotonic() + _SCRAPED_WITHIN_S
    while used and time.monotonic() < deadline_s:
        earlier, own = own, _replica_requests(endpoints.prometheus_url, (), 0.0)
        if own == earlier:
            break
    left_in_flight(gateway, deadline_s - time.monotonic())
    return replace(gateway_counts(gateway), own=own)


def left_in_flight(url: str, within_s: float) -> int:
    """Wait until the gateway has answered every request to its end; how many are left when the time is over.

    Raises:
        InconclusiveError: the gateway cannot be reached.
    """
    deadline_s = time.monotonic() + within_s
    while True:
        left = _Counts(url).sum(gateway_series.GATEWAY_IN_FLIGHT)
        if not left or time.monotonic() > deadline_s:
            return left
        time.sleep(_LOOK_EVERY_S)


def reconcile(
    sent: int,
    before: GatewayCounts | None,
    endpoints: Endpoints,
    gone: Collection[str],
    run_s: float,
) -> Reconciliation | None:
    """The three counts of a run whose load has ended, and each disagreement as a sentence.

    None where no gateway tells of itself.

    Args:
        sent: requests that the client sent.
        before: the gateway's counters when the load started.
        endpoints: the target's, still up.
        gone: replicas that died: their last requests were never scraped, so they may have counted fewer.
        run_s: seconds since the target started: how far back to look for a dead replica's last count.
    """
    if before is None or endpoints.gateway_metrics_url is None:
        return None
    after = _settled(endpoints.gateway_metrics_url, before.requests + sent)
    own = _replica_requests(endpoints.prometheus_url, gone, run_s)
    return _compared(sent, before, after, own, gone)


def _compared(
    sent: int, before: GatewayCounts, after: GatewayCounts, own: Mapping[str, int], gone: Collection[str]
) -> Reconciliation:
    replicas = [
        _replica(
            name,
            count - before.attempts.get(name, 0),
            after.unreachable.get(name, 0) - before.unreachable.get(name, 0),
            own[name] - before.own.get(name, 0) if name in own else None,
            gone=name in gone,
        )
        for name, count in sorted(after.attempts.items())
    ]
    requests, retries = after.requests - before.requests, after.retries - before.retries
    attempts = sum(after.attempts.values()) - sum(before.attempts.values())
    return Reconciliation(
        client_sent=sent,
        gateway_requests=requests,
        gateway_attempts=attempts,
        gateway_retries=retries,
        replica_requests=sum(each.replica_requests or 0 for each in replicas),
        replicas=tuple(replicas),
        problems=tuple(_problems(sent, requests, replicas)),
    )


def _problems(sent: int, requests: int, replicas: Sequence[ReplicaCounts]) -> Iterator[str]:
    if sent != requests:
        yield f"the client sent {sent} requests, the gateway counted {requests}"
    for each in replicas:
        if each.agrees is False:
            counted = f"{each.replica} counted {each.replica_requests} requests"
            yield f"{counted}, the gateway sent it {each.gateway_attempts}"


def _settled(url: str, expected: int) -> GatewayCounts:
    """The gateway's counters, once it has noticed the end of every request that a client gave up."""
    deadline_s = time.monotonic() + _SETTLED_WITHIN_S
    while (counts := gateway_counts(url)).requests < expected and time.monotonic() < deadline_s:
        time.sleep(0.1)
    return counts


def _replica(name: str, attempts: int, unreachable: int, own: int | None, *, gone: bool) -> ReplicaCounts:
    agrees = None
    if own is not None:
        agrees = own <= attempts if gone else attempts - unreachable <= own <= attempts
    return replica_counts(name, attempts, own, agrees=agrees, gone=gone)


def _replica_requests(url: str | None, gone: Collection[str], run_s: float) -> dict[str, int]:
    """Each replica's own count, each living one scraped after the call; empty when none exports it."""
    if url is None:
        return {}
    client, asked_s = PrometheusClient(url), time.time()
    while True:
        now_s = time.time()
        scraped = client.instant(run_queries.counted_at(REPLICA_JOB), now_s)
        fresh = all(each.value > asked_s for each in scraped if each.labels["pod"] not in gone)
        if fresh or now_s - asked_s > _SCRAPED_WITHIN_S:
            counts = client.instant(run_queries.counted(REPLICA_JOB, int(run_s) + 60), now_s)
            return _by_pod(counts)
        time.sleep(0.2)


def _by_pod(series: Sequence[Series]) -> dict[str, int]:
    return {each.labels["pod"]: int(each.value) for each in series}
