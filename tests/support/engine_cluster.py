"""A cluster of reference servers for faults of engines: quick, and patient with what is slow on purpose."""

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chaos.targets import Evidence
from chaos.targets.local.options import DEFAULT_COMMAND, STANDBY
from chaos.targets.local.spec import LIVENESS, READINESS, LocalSpec
from tests.support.local_cluster import probe

REFERENCE = {
    "DS_MODEL_NAME": "tiny",
    "DS_TORCH_THREADS": "1",
    "DS_MIN_STEP_SECONDS": "0.01",
    "DS_MAX_RUNNING": "2",
    "DS_STALL_SECONDS": "30",
}


def spec(folder: Path, **changes: Any) -> LocalSpec:
    usual: dict[str, Any] = {
        "replicas": 2,
        "command": DEFAULT_COMMAND,
        "standby": STANDBY,
        "env": REFERENCE,
        "readiness": probe(READINESS, period_s=0.05, timeout_s=2.0),
        "liveness": probe(LIVENESS, timeout_s=5.0, failure_threshold=10),
        "prometheus": False,
        "faults_key": "a key that only this test has",
    }
    return LocalSpec(run_id=f"test-{uuid.uuid4()}", run_folder=folder, **(usual | changes))


def only(evidence: Sequence[Evidence]) -> Evidence:
    assert len(evidence) == 1
    return evidence[0]
