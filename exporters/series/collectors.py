"""The series of the collectors themselves: whether each one's part of a scrape is complete, and what it took."""

from exporters.series.family import Family

COLLECTOR_SUCCESS = Family(
    "ds_collector_success",
    "gauge",
    "1 when the collector's part of this scrape is complete, 0 when it failed.",
    labels=("collector",),
)
COLLECTOR_DURATION = Family(
    "ds_collector_duration_seconds",
    "gauge",
    "How long the collector took in this scrape.",
    unit="seconds",
    labels=("collector",),
)

FAMILIES = (COLLECTOR_SUCCESS, COLLECTOR_DURATION)
