"""What one finished trial showed, read from its journal alone: journals of earlier and later versions too."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chaos.errors import InputError
from chaos.record.trials import Trial, TrialState

_INFINITE = "inf"


def completed(trial: Trial, journal: Path, took_s: float | None = None) -> Trial:
    """The trial with what its run came to.

    Raises:
        InputError: the journal is missing, or is not one.
    """
    try:
        found = json.loads(journal.read_text(encoding="utf-8"))
        return Trial.model_validate({**trial.model_dump(exclude_none=True), **_values(found, took_s)})
    except OSError as error:
        raise InputError(f"{journal}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{journal}: not the journal of a run: {error}") from error


def _values(journal: Mapping[str, Any], took_s: float | None) -> dict[str, Any]:
    """The keys of a trial that its journal knows."""
    recovery = journal["recovery"]
    cut_short = journal.get("cut_short")
    known = {
        name: _number(recovery.get(name)) for name in ("service_s", "capacity_s", "within_s", "lost_requests")
    }
    intervals = {
        name: pair and tuple(map(_number, pair))
        for name in ("service_interval_s", "capacity_interval_s")
        if (pair := recovery.get(name)) is not None
    }
    return {
        **known,
        **intervals,
        **{name: recovery.get(name) for name in ("service_status", "capacity_status")},
        **_of_phases(journal["phases"]),
        "state": TrialState.CUT_SHORT if cut_short else TrialState.FINISHED,
        "verdict": journal["verdict"],
        "exit_code": journal["exit_code"],
        "reasons": tuple(dict.fromkeys([*([cut_short] if cut_short else []), *journal["reasons"]])),
        "started_at": journal["started_at"],
        **({} if took_s is None else {"took_s": took_s}),
        "targets": tuple(name for fault in journal["faults"] for name in fault["targets"]),
        "rate": _number(journal["load"].get("rate")),
        "assertions": tuple(
            {
                "expression": one["expression"],
                "verdict": one["verdict"],
                "observed": _number(one.get("observed")),
                "reason": one.get("reason"),
            }
            for one in journal["assertions"]
        ),
    }


def _of_phases(phases: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    found = {phase["name"]: phase for phase in phases}
    baseline, fault = found.get("baseline", {}), found.get("fault", {})
    return {
        "requests_in_baseline": baseline.get("n"),
        "requests_in_fault": fault.get("n"),
        "ttft_p99_in_baseline_s": _number(baseline.get("ttft_p99_s")),
        "ttft_p99_in_fault_s": _number(fault.get("ttft_p99_s")),
        "goodput_in_fault": _number(fault.get("goodput")),
    }


def _number(value: Any) -> Any:
    return float("inf") if value == _INFINITE else value
