"""docs/lint.md, written from the rules' docstrings and the models of other people's objects."""

import sys
from pathlib import Path

from chaos.lint.check import READERS
from chaos.lint.registry import MODULES, rules_of
from chaos.lint.rule import Rule
from chaos.lint.shorthand import models

PAGE = Path("docs/lint.md")
_HEAD = """\
# The lint of manifests

<!-- Written by `python -m chaos.lint` from chaos/lint/: edit there. -->

```sh
pip install kubernetes-validate                               # the schemas of Kubernetes' own objects
aftershock lint deploy/                                       # files and folders, looked at together
aftershock lint deploy/ --format github                       # annotations of a pull request; or json
aftershock lint deploy/ --rule gpu-not-requested              # one rule; --skip leaves one out
aftershock lint deploy/ --kubernetes-version 1.33             # 1.36 where nothing is said
aftershock lint --list                                        # every rule, and why
```

Exit code 0: clean, or advice alone. 1: at least one error. 2: a file could not be read, or an option is wrong; the
rest was looked at all the same. A finding has file, line, key path, what was expected and what was found, as
`aftershock validate` writes it, and the rule's name.

- **Files are read strictly**: a key twice, a tab, a number that YAML turns into another one, a template of Helm's are
  said to be what they are. Several documents, `kind: List`, JSON and what `kubectl get -o yaml` prints are read.
- **All files given are one set.** Who refers to whom (a PriorityClass, a PodDisruptionBudget, a Service that is
  scraped) is looked for among them, in the same namespace where the files name one.
- **Kustomize**: what a `kustomization.yaml` takes as a patch is no whole object, and is told as not checked: lint what
  `kubectl kustomize DIR` prints too. An image whose tag or digest it sets counts as pinned.
- **Nothing is passed in silence**: an object of a kind that nobody here has a schema of, a chart, a file of another
  program are told as *not checked*. Folders whose name begins with a dot are not looked into.
- Every object is held to all rules; those of Chaos Mesh, and experiments, are read by the readers that `aftershock run`
  has.
- Kubernetes' own schemas name types and keys; which words a field takes (`protocol: QUIC`) only its API server knows.
"""
_MODELS = """\
## Other people's objects

Their keys and types, down to the depth that matters here, as models in `chaos/lint/schemas/`. Deeper, anything is let
through. The pods of Ray, JobSets and Argo Rollouts are held to the rules as well, and to no schema.

| kind | API versions | read in |
|---|---|---|
"""


def page() -> str:
    """The whole page."""
    parts = [_HEAD, "## Rules\n", "| rule | | what is expected | otherwise |", "|---|---|---|---|"]
    parts += [f"| `{name}` | error | {sentence} | |" for name, sentence in READERS.items()]
    parts += [_row(rule) for module in MODULES for rule in rules_of(module)]
    parts += ["", _MODELS.rstrip()]
    for model in models():
        versions = ", ".join(f"`{version}`" for version in model.api_versions)
        parts.append(f"| {model.kind} | {versions} | {model.source} |")
    return "\n".join(parts) + "\n"


def main(*, check: bool) -> int:
    """Write the page, or say whether it is true."""
    if not check:
        PAGE.write_text(page(), encoding="utf-8")
        return 0
    if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page():
        return 0
    print(f"{PAGE} is not what the rules say: python -m chaos.lint", file=sys.stderr)
    return 1


def _row(rule: Rule) -> str:
    cells = (f"`{rule.name}`", rule.severity, rule.sentence, rule.why)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
