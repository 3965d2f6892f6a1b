"""Asks a live API server with Chaos Mesh again what it says of every small manifest of `tests/data/kubernetes`.

    python -m tests.cluster_admission [--context C] [--write]

A server-side dry run with strict field validation: nothing is created. Prints each answer that is not the one on
record, and ends with 1 where there is one; `--write` puts the answers on record instead.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from chaos.targets.kubernetes.api import Api
from chaos.targets.kubernetes.objects import ApiError, chaos

RECORD = Path(__file__).parent / "data" / "kubernetes" / "admission.json"
_CALL_S = 30.0
_PLURALS = {"Schedule": "schedules", "Workflow": "workflows", "StatusCheck": "statuschecks"}


def asked(api: Api, manifest: dict[str, Any]) -> dict[str, Any]:
    """What the server answers: its status, its words where it refuses, and the spec as it would keep it."""
    kind, namespace = manifest["kind"], manifest["metadata"]["namespace"]
    try:
        taken = api.rehearse(chaos(_PLURALS.get(kind, kind.lower()), namespace), manifest, within_s=_CALL_S)
    except ApiError as error:
        return {"status": error.status, "message": str(error)}
    same = taken["spec"] == manifest["spec"]
    return {"status": 201} | ({} if same else {"spec_after": taken["spec"]})


def main() -> int:
    """0 where every answer is the one on record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--context")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    api, others = Api.connect(given.context), 0
    rows = json.loads(RECORD.read_text())
    for row in rows:
        now = asked(api, row["manifest"])
        if now["status"] != row["status"] or now.get("spec_after") != row.get("spec_after"):
            others += 1
            print(f"{row['case']}: {row['status']} on record, {now['status']} now {now.get('message', '')}")
        row.update(now)
    if given.write:
        RECORD.write_text(json.dumps(rows, indent=1) + "\n")
    print(f"{len(rows) - others} of {len(rows)} answers are those on record")
    return 0 if given.write or not others else 1


if __name__ == "__main__":
    sys.exit(main())
