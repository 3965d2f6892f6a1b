"""Write the Roles of deploy/ from the table of rights: verb by verb, each with the call that needs it.

python .ci/roles.py            after a change of chaos/targets/kubernetes/rights.py
python .ci/roles.py --check    only says whether they are what the table says
"""

import sys
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from chaos.targets.kubernetes.rights import REAPER, RUNNER, Right

ROLES = {"runner": RUNNER, "reaper": REAPER}
HEAD = """\
# Written by `python .ci/roles.py` from chaos/targets/kubernetes/rights.py: edit that table, never this file.
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {account}
  namespace: inference
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {account}
  namespace: inference
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {account}
subjects:
  - kind: ServiceAccount
    name: {account}
    namespace: inference
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {account}
  namespace: inference
rules:
"""


def path(role: str) -> Path:
    """Where a Role lies in the repository."""
    return Path("deploy/components") / role / "role.yaml"


def rules(rights: Iterable[Right]) -> str:
    """A rule for each resource; its verbs in the order of the alphabet, the reasons above them."""
    lines: list[str] = []

    def resource(right: Right) -> tuple[str, str]:
        return right.group, right.resource

    for (group, name), found in groupby(sorted(rights, key=lambda one: one.rule), resource):
        of_one = list(found)
        lines += dict.fromkeys(f"  # {right.verb}: {right.needed_for}" for right in of_one)
        verbs = ", ".join(dict.fromkeys(right.verb for right in of_one))
        lines += [f'  - apiGroups: ["{group}"]', f"    resources: [{name}]", f"    verbs: [{verbs}]"]
    return "\n".join(lines) + "\n"


def text(role: str) -> str:
    """The file of a Role."""
    return HEAD.format(account=f"aftershock-{role}") + rules(ROLES[role])


def main() -> int:
    """Write the Roles, or check them."""
    if "--check" not in sys.argv[1:]:
        for role in ROLES:
            path(role).write_text(text(role), encoding="utf-8")
        return 0
    stale = [str(path(role)) for role in ROLES if path(role).read_text(encoding="utf-8") != text(role)]
    for name in stale:
        print(f"{name} is not what the table of rights says: python .ci/roles.py", file=sys.stderr)
    return int(bool(stale))


if __name__ == "__main__":
    sys.exit(main())
