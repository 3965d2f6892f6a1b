"""The series of a run: its faults, what it came to, the telemetry that it should see, and the load that it offers."""

from exporters.series.family import Family

CHAOS_ACTIVE = Family(
    "ds_chaos_active",
    "gauge",
    "1 while this fault of this experiment is in force on this target (a kill: until the missing capacity is ready "
    "again), 0 afterwards.",
    labels=("experiment", "fault", "kind", "target"),
)
TELEMETRY_EXPECTED = Family(
    "ds_telemetry_targets_expected",
    "gauge",
    "Targets whose series should be there now, by scrape job.",
    unit="targets",
    labels=("job_name",),
)
TELEMETRY_REPORTING = Family(
    "ds_telemetry_targets_reporting",
    "gauge",
    "Of those, targets whose last scrape succeeded. Fewer than expected: the rest of every dashboard is blind there.",
    unit="targets",
    labels=("job_name",),
)
RUN_VERDICT = Family(
    "ds_run_verdict",
    "gauge",
    "1 for what the run came to: passed, deviated or inconclusive. Absent until it was judged.",
    labels=("experiment", "verdict"),
)
RUN_RECOVERY = Family(
    "ds_run_recovery_seconds",
    "gauge",
    "From the first fault until service (goodput) or capacity (every wanted replica has served) was back; +Inf: not "
    "while it was looked at. Absent until the run was judged, and where there was nothing to recover from.",
    unit="seconds",
    labels=("experiment", "of"),
)
RUN_BUDGET_LEFT = Family(
    "ds_run_error_budget_left_ratio",
    "gauge",
    "Of the planned arrivals of the whole run that may miss the objective, the share that has not; below 0: more "
    "missed it than may.",
    unit="ratio",
    labels=("experiment", "objective"),
)
RUN_COLD_START = Family(
    "ds_run_cold_start_seconds",
    "gauge",
    "How long a replica that came into being after a fault took for one step of its start, since the step before that "
    "somebody told. Absent until the run was judged, and for steps that the target does not tell.",
    unit="seconds",
    labels=("experiment", "replica", "step"),
)
COLD_START_STEPS = ("1 scheduled", "2 pulled", "3 started", "4 loaded and ready", "5 first token")
"""In their order, which bars and legends keep by name."""

_LAG_EDGES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

LOAD_PLANNED = Family(
    "ds_load_planned_total",
    "counter",
    "Arrivals of the load's plan whose instant has come: what an open loop offers, whatever the servers do.",
    unit="requests",
)
LOAD_REQUESTS = Family(
    "ds_load_requests_total",
    "counter",
    "Planned arrivals that ended, by what the client saw: ok, or one of a closed list of failures.",
    unit="requests",
    labels=("outcome",),
)
LOAD_IN_FLIGHT = Family(
    "ds_load_in_flight",
    "gauge",
    "Planned arrivals whose instant has come and that have not ended.",
    unit="requests",
)
LOAD_LAG = Family(
    "ds_load_lag_seconds",
    "histogram",
    "Dispatch after the planned instant: the generator's own lateness, observed when the request ends.",
    unit="seconds",
    buckets=_LAG_EDGES,
)

FAMILIES = (
    *(CHAOS_ACTIVE, TELEMETRY_EXPECTED, TELEMETRY_REPORTING),
    *(RUN_VERDICT, RUN_RECOVERY, RUN_BUDGET_LEFT, RUN_COLD_START),
)
LOAD_FAMILIES = (LOAD_PLANNED, LOAD_REQUESTS, LOAD_IN_FLIGHT, LOAD_LAG)
