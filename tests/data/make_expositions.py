"""Writes expositions of engines that do not run here from their lists of families; run it as it is.

They are synthetic and say so in their first line: the names, types, labels and bucket edges are the published ones, the
values are made up. Families marked `optional` need a switch of the engine's, and are left out, as they are by default.
"""

from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
FAMILIES = HERE / "families"
EXPOSITIONS = HERE / "expositions"


def listed(path: Path) -> Any:
    """One engine's list of families."""
    return yaml.safe_load(path.read_text())


def exposition(engine: Mapping[str, Any], *, optional: bool = False) -> str:
    """The text that such an engine would serve after a little traffic."""
    lines = [f"# synthetic: from the published series list of {engine['title']}"]
    for number, (name, family) in enumerate(engine["families"].items(), start=1):
        if family.get("optional") and not optional:
            continue
        lines += [f"# HELP {name} Synthetic.", f"# TYPE {name} {family['type']}"]
        for labels in _label_sets(family.get("labels", engine["labels"]), family.get("each", {})):
            if family["type"] == "histogram":
                lines += _histogram(name, labels, engine["edges"][family["edges"]])
            else:
                lines.append(f"{name}{_shown(labels)} {number}")
    return "\n".join([*lines, ""])


def _label_sets(labels: Mapping[str, str], each: Mapping[str, list[str]]) -> Iterator[dict[str, str]]:
    for values in product(*each.values()):
        yield {**labels, **dict(zip(each, values, strict=True))}


def _histogram(name: str, labels: dict[str, str], edges: list[float]) -> Iterator[str]:
    for number, edge in enumerate([*edges, "+Inf"], start=1):
        yield f"{name}_bucket{_shown({**labels, 'le': str(edge)})} {number}"
    yield f"{name}_sum{_shown(labels)} {sum(edges)}"
    yield f"{name}_count{_shown(labels)} {len(edges) + 1}"


def _shown(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}" if labels else ""


if __name__ == "__main__":
    EXPOSITIONS.mkdir(exist_ok=True)
    for source in sorted(FAMILIES.glob("*.yaml")):
        (EXPOSITIONS / f"{source.stem}.txt").write_text(exposition(listed(source)))
