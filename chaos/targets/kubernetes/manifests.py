"""From an object as its author wrote it to the one that is created: its victims pinned, its end certain.

The draw is aftershock's, so that it can be repeated; Chaos Mesh is given the victims by name. It is to undo the fault
by itself should nobody come to do it: so a duration is always there, and longer than the fault is to last, because
Chaos Mesh counts from a creation that is cut to the whole second.
"""

import copy
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from chaos.reading.quantities import go_duration_ns
from chaos.targets import Replica
from chaos.targets.kubernetes.marks import OCCURRENCE, labels

LONGEST_S = 3600
"""Of a fault whose file says no duration: it is undone in the run, and by itself after so long."""
_LONGER_S = 2
_LONGEST_NAME = 40


def chaos_object(
    manifest: Mapping[str, Any], *, namespace: str, run_id: str, occurrence: str, victims: Sequence[Replica]
) -> dict[str, Any]:
    """The object to create."""
    spec = _without_nothing(copy.deepcopy(dict(manifest["spec"])))
    names: dict[str, list[str]] = {}
    for victim in victims:
        names.setdefault(victim.namespace, []).append(victim.name)
    spec.pop("value", None)
    return {
        "apiVersion": manifest["apiVersion"],
        "kind": manifest["kind"],
        "metadata": {
            "name": f"{_short(manifest['metadata']['name'])}-{_suffix(run_id, occurrence)}",
            "namespace": namespace,
            "labels": labels(run_id),
            "annotations": {OCCURRENCE: occurrence},
        },
        "spec": {
            **spec,
            "mode": "all",
            "selector": {"pods": names},
            "duration": _duration(spec.get("duration")),
        },
    }


def run_name(experiment: str, drawn: str) -> str:
    """The id of a run, such that a label can have it as its value."""
    plain = re.sub(r"[^a-z0-9-]+", "-", experiment.lower()).strip("-")[:_LONGEST_NAME].strip("-")
    return f"{plain or 'run'}-{drawn}"


def _duration(written: str | None) -> str:
    seconds = go_duration_ns(written) / 1e9 + _LONGER_S if written else LONGEST_S
    return f"{math.ceil(max(seconds, _LONGER_S))}s"


def _suffix(run_id: str, occurrence: str) -> str:
    """Of one run and one occurrence: `3f2a9c1b-2`."""
    number = re.sub(r"[^a-z0-9]+", "-", occurrence.rpartition("#")[2].lower()).strip("-")
    return f"{run_id.rpartition('-')[2][:8]}-{number or '1'}"


def _short(name: str) -> str:
    return re.sub(r"[^a-z0-9-]+", "-", name.lower())[:_LONGEST_NAME].strip("-") or "fault"


def _without_nothing(value: Any) -> Any:
    """Without the keys that say nothing: a model spells them out, and an author does not write them."""
    if isinstance(value, Mapping):
        kept = {key: _without_nothing(inner) for key, inner in value.items()}
        return {key: inner for key, inner in kept.items() if inner not in (None, "", [], (), {})}
    if isinstance(value, list | tuple):
        return [_without_nothing(inner) for inner in value]
    return value
