"""The lint and a live API server say the same of manifests with one thing wrong.

Each manifest is a good one of `tests.support.lint_cases` in which one value was taken away, renamed, emptied or
replaced by chance; the answers are those of a live server to `kubectl create --dry-run=server --validate=strict`.
"""

import json
from pathlib import Path

import yaml

from chaos.lint.check import READERS, check
from chaos.lint.files import read
from chaos.lint.registry import RULES

RECORDED = Path(__file__).parent / "data" / "kubernetes" / "lint-admission.json"
ASKED_BY_THE_SERVER = {"schema", "object-name", "job-name", "required-field", "selector-without-labels"}
ASKED_BY_THE_SERVER |= {"gpu-request-not-limit", "hpa-without-maximum", "removed-api"}
ALL = {*READERS, *(rule.name for rule in RULES)}
SERVER_ALONE_KNOWS = {
    "spec.template.spec.containers.0.resources.requests.nvidia.com_gpu: null",  # null is no key to us, 0 to it
    "spec.template.spec.containers.0.resources.requests.memory: type",  # less than no memory
}


def test_what_the_api_server_refuses_is_an_error_and_what_it_takes_is_none(tmp_path: Path) -> None:
    recorded = json.loads(RECORDED.read_text())
    path = tmp_path / "manifest.yaml"
    false_alarms, missed = [], set()
    for row in recorded["manifests"]:
        path.write_text(yaml.safe_dump(row["manifest"], sort_keys=False))
        result = check(read([path]), RULES, ALL, (1, 36))
        wrong = [found.message for found in result.findings if found.rule in ASKED_BY_THE_SERVER]
        wrong += [str(error) for error in result.refusals]
        if row["refused"] is None and wrong:
            false_alarms.append((row["changed"], wrong))
        elif row["refused"] is not None and not wrong:
            missed.add(row["changed"])
    assert len(recorded["manifests"]) > 150
    assert sum(row["refused"] is None for row in recorded["manifests"]) > 40
    assert false_alarms == []
    assert missed == SERVER_ALONE_KNOWS
