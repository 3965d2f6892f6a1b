"""The parts of a journal that only the living cluster could tell: counts and alerts."""

from chaos.record.entry import Entry, Number


class ReplicaCounts(Entry):
    """One replica as the gateway and as it itself counted."""

    replica: str
    gone: bool
    """Whether it died: its last requests were never scraped."""
    gateway_attempts: int
    replica_requests: int | None
    """As last scraped of one that is gone."""
    replica_requests_reason: str | None = None
    agrees: bool | None
    agrees_reason: str | None = None


class Reconciliation(Entry):
    """Requests as the client, the gateway and the replicas counted them."""

    client_sent: int
    gateway_requests: int
    gateway_attempts: int
    gateway_retries: int
    replica_requests: int
    replicas: tuple[ReplicaCounts, ...]
    problems: tuple[str, ...]
    """Each disagreement as a sentence."""


class Alert(Entry):
    """One firing of one alert; alerts of one name and severity count as one."""

    name: str
    severity: str
    fired_s: Number
    """Below 0 when it fired before the load began."""
    resolved_s: Number | None
    resolved_s_reason: str | None = None
