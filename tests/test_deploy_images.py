"""The Dockerfiles, as far as no Docker is needed: what they copy is there, and what they start is in the wheel."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.manifests import ROOT, containers, manifests

FILES = {
    path.name.removesuffix(".Dockerfile"): path
    for path in sorted((ROOT / "deploy/docker").glob("*.Dockerfile"))
}
ABSENT = {"load": ("torch", "kubernetes"), "runner": ("torch",)}
"""What an image has no need of: its program must start where that cannot be imported."""
PROGRAMS = {
    "server": "reference_server.cli",
    "server-cuda": "reference_server.cli",
    "load": "loadtests.locustfile",
    "runner": "chaos.cli",
}


def instructions(path: Path) -> Iterator[tuple[str, str]]:
    """Of a Dockerfile, each with its arguments on one line."""
    text = re.sub(r"\\\n", " ", path.read_text())
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, _, rest = line.partition(" ")
            yield name, rest.strip()


every = pytest.mark.parametrize("role", FILES)


def test_there_is_an_image_for_each_that_a_pod_of_ours_names() -> None:
    images = {
        container["image"].partition(":")[0]
        for each in manifests()
        for template in each.pod_templates
        for container in containers(template)
    }
    ours = {image.removeprefix("aftershock-") for image in images if image.startswith("aftershock-")}
    assert ours | {"server-cuda"} == set(FILES) == set(PROGRAMS)


@every
def test_an_image_is_built_in_stages_from_a_pinned_release_and_runs_as_nobody_in_particular(
    role: str,
) -> None:
    found = list(instructions(FILES[role]))
    bases = [rest for name, rest in found if name == "FROM"]
    assert len(bases) == 2
    assert all(re.match(r"python:3\.\d+\.\d+-slim-\w+( AS build)?$", base) for base in bases)
    last_stage = found[max(index for index, (name, _) in enumerate(found) if name == "FROM") :]
    assert [rest for name, rest in last_stage if name == "USER"] == ["65532:65532"]
    assert last_stage[-1][0] == "ENTRYPOINT"
    assert not [name for name, _ in found if name in ("CMD", "ADD")]
    assert not re.search(r"https?://", FILES[role].read_text())


@every
def test_what_an_image_copies_is_in_the_repository(role: str) -> None:
    for name, rest in instructions(FILES[role]):
        words = shlex.split(rest)
        if name == "COPY" and not words[0].startswith("--from"):
            assert [source for source in words[:-1] if not (ROOT / source).exists()] == []


@every
def test_the_wheel_of_what_an_image_copies_has_the_program_that_it_starts(role: str, tmp_path: Path) -> None:
    context, out = tmp_path / "context", tmp_path / "out"
    for name, rest in instructions(FILES[role]):
        words = shlex.split(rest)
        if name == "FROM" and "build" not in words:
            break
        for source in words[:-1] if name == "COPY" else ():
            to = context / source
            to.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, to, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copyfile(ROOT / source, to)
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    subprocess.run(build, cwd=context, check=True, capture_output=True)
    (wheel,) = out.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert f"{PROGRAMS[role].replace('.', '/')}.py" in names
    # What is no Python goes along: the pods' experiments and reports need it.
    assert {"chaos/manifests/pod-kill-30.yaml", "chaos/report/report.html.j2"} <= names


@every
def test_the_requirements_of_an_image_are_those_of_one_of_the_sets(role: str) -> None:
    (name,) = re.findall(r"requirement_list\.py (\w+) ", FILES[role].read_text())
    listed = subprocess.run(
        [sys.executable, ".ci/requirement_list.py", name],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    packages = {re.split(r"[<>=]", each)[0] for each in listed}
    assert {"aiohttp", "locust", "hatchling"} <= packages
    assert ("torch" in packages) == role.startswith("server")
    assert ("kubernetes" in packages) == (role == "runner")


@pytest.mark.parametrize("role", ABSENT)
def test_a_program_starts_without_what_its_image_leaves_out(role: str) -> None:
    blocked = "".join(f"sys.modules[{name!r}] = None;" for name in ABSENT[role])
    code = f"import sys, importlib; {blocked} importlib.import_module({PROGRAMS[role]!r})"
    child = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert child.returncode == 0, child.stderr


def test_an_image_starts_what_its_role_is() -> None:
    started: Mapping[str, list[str]] = {
        role: json.loads(dict(instructions(path))["ENTRYPOINT"]) for role, path in FILES.items()
    }
    assert started["server"] == started["server-cuda"] == ["python", "-m", "reference_server"]
    assert started["runner"] == ["aftershock"]
    assert started["load"][:2] == ["locust", "-f"]
