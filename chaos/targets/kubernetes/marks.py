"""By what an object of ours is known: labels, annotations, and the name of the lease that says its run is alive."""

from collections.abc import Mapping
from typing import Any

GROUP = "aftershock.dev"
"""The domain of our own labels, and the group of our own kinds of fault (`chaos.faults.manifest.OWN`)."""
RUN = f"{GROUP}/run"
"""Label: the id of the run that made the object."""
OCCURRENCE = f"{GROUP}/occurrence"
"""Annotation: the id of the occurrence whose fault it is."""
MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "aftershock"
LEASE = "aftershock"
"""Name of the one lease of a namespace."""
OURS = f"{MANAGED_BY}={MANAGER}"
"""Label selector: every object of every run."""


def labels(run_id: str) -> dict[str, str]:
    """What every object of a run is labelled with."""
    return {RUN: run_id, MANAGED_BY: MANAGER}


def of_run(run_id: str) -> str:
    """Label selector: every object of one run."""
    return f"{OURS},{RUN}={run_id}"


def run_of(item: Mapping[str, Any]) -> str | None:
    """The run whose object it is; None where it is not ours."""
    found = item["metadata"].get("labels") or {}
    return found.get(RUN) if found.get(MANAGED_BY) == MANAGER else None
