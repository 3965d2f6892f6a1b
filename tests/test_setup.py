"""The set-up's decisions: the real script, the real pip, and a stand-in torch in a folder instead of an index."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent
WHEELS = "list=list.txt wheels=$PWD/wheels/$(settings | checksum) whole=$wheels/.whole; echo 'torch>=2.11' >$list; "


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What the script reads, and a .venv whose python is that of the tests: nothing here installs into it."""
    shutil.copytree(REPOSITORY / ".ci", tmp_path / ".ci")
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(REPOSITORY / name, tmp_path)
    interpreter(tmp_path / ".venv/bin/python")
    return tmp_path


def interpreter(path: Path, site: Path | None = None) -> Path:
    path.parent.mkdir(parents=True)
    prefix = f"PYTHONPATH={site} " if site else ""
    path.write_text(f'#!/bin/sh\n{prefix}exec {sys.executable} "$@"\n')
    path.chmod(0o755)
    return path


def environment_with_torch(folder: Path, version: str) -> Path:
    site = folder / "lib/site-packages"
    (site / "torch").mkdir(parents=True)
    (site / "torch/__init__.py").write_text("def zeros(count): pass\n")
    (site / f"torch-{version}.dist-info").mkdir()
    (site / f"torch-{version}.dist-info/METADATA").write_text(metadata(version))
    return interpreter(folder / "bin/python", site)


def metadata(version: str) -> str:
    return f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n"


def folder_index(folder: Path, version: str) -> dict[str, str]:
    """Pip's own settings for a folder that has one torch and nothing else."""
    folder.mkdir()
    with zipfile.ZipFile(folder / f"torch-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr("torch/__init__.py", "")
        wheel.writestr(f"torch-{version}.dist-info/METADATA", metadata(version))
        wheel.writestr(
            f"torch-{version}.dist-info/WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        wheel.writestr(f"torch-{version}.dist-info/RECORD", "")
    return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder)}


def setup(clone: Path, commands: str, **variables: str) -> subprocess.CompletedProcess[str]:
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "AFTERSHOCK_"))
    }
    return subprocess.run(
        ["bash", "-c", f"source .ci/setup; {commands}"],
        cwd=clone,
        env=inherited | {"PIP_CONFIG_FILE": os.devnull} | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def wheels_of(clone: Path) -> list[str]:
    return [path.name for path in clone.glob("wheels/*/*.whl")]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is one torch, without CUDA")
def test_a_cpu_build_that_pips_settings_lead_to_is_announced_and_fetched(clone: Path) -> None:
    settings = folder_index(clone / "index", "2.13.0+cpu")
    done = setup(clone, WHEELS + "announce; fetch; have_all_wheels", **settings)
    assert done.returncode == 0, done.stderr
    assert "torch 2.13.0+cpu, for the CPU alone: about 0.2 GB" in done.stdout
    assert wheels_of(clone) == ["torch-2.13.0+cpu-py3-none-any.whl"]


def test_what_was_fetched_is_not_fetched_again_and_not_taken_for_another_index(clone: Path) -> None:
    settings = folder_index(clone / "index", "2.13.0")
    assert setup(clone, WHEELS + "fetch", **settings).returncode == 0
    shutil.rmtree(clone / "index")
    assert setup(clone, WHEELS + "have_all_wheels", **settings).returncode == 0
    assert (
        setup(clone, WHEELS + "rm $whole; have_all_wheels", **settings).returncode == 0
    )  # pip finds them all
    other = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(clone)}
    assert setup(clone, WHEELS + "have_all_wheels", **other).returncode != 0


def test_a_fetch_that_breaks_leaves_nothing_behind(clone: Path) -> None:
    broken = (
        'pip() { case $1 in wheel) touch "$staging/new/torch-2.13.0-py3-none-any.whl"; return 1; esac; }; '
    )
    assert setup(clone, broken + WHEELS + "fetch").returncode != 0
    assert [path for path in clone.glob("wheels/*/*") if path.name != ".whole"] == []
    assert not list(clone.glob("wheels/*/.*"))


def test_the_torch_of_the_active_environment_is_used(clone: Path) -> None:
    python = environment_with_torch(clone / "env", "2.11.0")
    path = f"{python.parent}:{os.environ['PATH']}"
    done = setup(
        clone, 'what=run; find_torch; echo "$torch_python $torch_facts"; requirement_list', PATH=path
    )
    assert f"{python} 2.11.0" in done.stdout
    assert str(clone / "env/lib/site-packages") in done.stdout
    assert "numpy>=2" in done.stdout.splitlines()
    assert "torch>=2.11" not in done.stdout.splitlines()


def test_a_torch_that_is_too_old_or_not_wanted_is_not_used(clone: Path) -> None:
    python = environment_with_torch(clone / "env", "2.10.1")
    done = setup(clone, "find_torch", AFTERSHOCK_TORCH_FROM=str(python))
    assert done.returncode == 1
    assert "with venv and a torch that pyproject.toml accepts" in done.stderr
    done = setup(
        clone, 'what=run; find_torch; echo "[$torch_python]"; requirement_list', AFTERSHOCK_TORCH_FROM="none"
    )
    assert "[]" in done.stdout
    assert "torch>=2.11" in done.stdout.splitlines()


def test_a_step_is_one_line_and_shows_the_end_of_its_output_when_it_fails(clone: Path) -> None:
    done = setup(clone, "step counting seq 1 500; step breaking sh -c 'seq 1 500; exit 3'")
    assert done.returncode == 1
    assert re.match(r"setup: counting \.\.\. \d+ s\nsetup: breaking \.\.\. failed\n", done.stdout)
    assert done.stderr.splitlines()[:20] == [str(number) for number in range(481, 501)]
    assert ".venv/setup.log" in done.stderr


def test_what_one_clone_unpacked_is_linked_into_the_next_whatever_the_user_told_uv(clone: Path) -> None:
    settings = folder_index(clone / "index", "2.13.0")
    uv = Path(sys.executable).parent / "uv"
    each = (
        f"list=$PWD/list.txt; pip_offline() {{ :; }}; for name in one two; do {sys.executable} -m venv --without-pip "
        f"$name/.venv; ln -s {uv} $name/.venv/bin/uv; cp constraints.txt $name; (cd $name; install_wheels); done"
    )
    done = setup(clone, f"{WHEELS} fetch; {each}", UV_FIND_LINKS="/nowhere", UV_LINK_MODE="copy", **settings)
    assert done.returncode == 0, done.stderr
    [one], [two] = (
        list((clone / name).glob(".venv/lib/python*/site-packages/torch/__init__.py"))
        for name in ("one", "two")
    )
    assert one.samefile(two)
