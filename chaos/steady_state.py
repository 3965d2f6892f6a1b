"""The gate before injection: a fault in a cluster that is already unwell proves nothing."""

from collections.abc import Sequence

from chaos.errors import RefusedError
from chaos.measuring.slis import Objectives, is_good
from loadtests.records import RequestRecord


def require_healthy_baseline(
    rows: Sequence[RequestRecord], objectives: Objectives, goodput: float, error_ratio: float
) -> None:
    """Refuse unless the baseline's ended requests meet what recovery will be held to.

    Args:
        rows: the baseline's requests that have ended so far.
        objectives: what makes a request good.
        goodput: least share of good requests, 0..1.
        error_ratio: largest share of failed requests, 0..1.

    Raises:
        RefusedError: naming both shares; nothing was injected.
    """
    if not rows:
        raise RefusedError("no baseline request has ended: the cluster is not serving, nothing was injected")
    failed = sum(not row.ok for row in rows) / len(rows)
    good = sum(is_good(row, objectives) for row in rows) / len(rows)
    if failed > error_ratio or good < goodput:
        raise RefusedError(
            f"the baseline is unhealthy, nothing was injected: {good:.1%} of {len(rows)} requests met "
            f"the objectives (at least {goodput:.1%} wanted), {failed:.1%} failed (at most {error_ratio:.1%})",
            hint="lower load.rate, or widen slo; logs/ in the run folder has every process's output",
        )
