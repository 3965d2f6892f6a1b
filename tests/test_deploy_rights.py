"""The Roles of deploy/ grant what the table of rights names: a verb missing fails, and so does a verb too many."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaos.targets.kubernetes import rights
from tests.support.manifests import DEPLOY, ROOT

TABLE = {"runner": rights.RUNNER, "reaper": rights.REAPER}
every = pytest.mark.parametrize("role", TABLE)


def objects(role: str) -> Mapping[str, Mapping[str, Any]]:
    """Of the file of a Role, by kind."""
    text = (DEPLOY / "components" / role / "role.yaml").read_text()
    return {one["kind"]: one for one in yaml.safe_load_all(text)}


@every
def test_a_role_grants_every_verb_of_the_table_and_no_other(role: str) -> None:
    granted = {
        (group, resource, verb)
        for rule in objects(role)["Role"]["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert granted == rights.rules(TABLE[role])
    assert not any("*" in part for rule in granted for part in rule)


@every
def test_a_role_is_bound_to_the_account_that_its_pod_runs_as(role: str) -> None:
    found = objects(role)
    account = {key: found["ServiceAccount"]["metadata"][key] for key in ("name", "namespace")}
    assert found["RoleBinding"]["subjects"] == [{"kind": "ServiceAccount", **account}]
    assert found["RoleBinding"]["roleRef"]["name"] == found["Role"]["metadata"]["name"]
    (path,) = (
        path
        for path in (DEPLOY / "components" / role).glob("*.yaml")
        if path.stem in ("cron-job", "deployment")
    )
    assert f"serviceAccountName: {account['name']}\n" in path.read_text()


@every
def test_nobody_may_give_himself_more(role: str) -> None:
    for group, resource, verb in rights.rules(TABLE[role]):
        assert group != "rbac.authorization.k8s.io"
        assert resource not in ("secrets", "serviceaccounts/token")
        assert verb in ("get", "list", "watch", "create", "patch", "delete")


def test_the_roles_are_written_from_the_table() -> None:
    check = [sys.executable, ".ci/roles.py", "--check"]
    environ = {"PYTHONPATH": str(Path(rights.__file__).parents[3])}
    child = subprocess.run(check, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr
