"""The reference profile with every signal that any rule reads, so that every alert is there to be tested."""

from collections.abc import Sequence
from dataclasses import replace

from dashboards import rules
from dashboards.recording_rules import REFERENCE, Kind, Source
from dashboards.rule_groups import Alert, Group


def source(signal: str, family: str, kind: Kind, labels: str, edges_s: tuple[float, ...] = ()) -> Source:
    return Source(signal, family, kind, labels={label: label for label in labels.split()}, edges_s=edges_s)


OTHERS = (
    source("preemptions", "ds_preemptions_total", "counter", "model"),
    source("gpu_throttle", "ds_gpu_throttle_active", "gauge", "gpu uuid reason"),
    source("gpu_xid_events", "ds_gpu_xid_events_total", "counter", "gpu uuid xid"),
    source("comm_seconds", "ds_comm_latency_seconds", "histogram", "op scope peer"),
    source("comm_failures", "ds_comm_failures_total", "counter", "op scope peer"),
    source("probe_success", "ds_probe_success", "gauge", "target model"),
)
COMPLETE = replace(
    REFERENCE, sources=(*REFERENCE.sources, *(other for other in OTHERS if not REFERENCE.of(other.signal)))
)


def alerts_of(groups: Sequence[Group]) -> list[Alert]:
    return [rule for group in groups for rule in group.rules if isinstance(rule, Alert)]


COMPLETE_GROUPS = [group for groups in rules.rule_groups(COMPLETE).values() for group in groups]
COMPLETE_ALERTS = alerts_of(COMPLETE_GROUPS)
