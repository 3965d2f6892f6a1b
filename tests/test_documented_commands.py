"""What the README and the docs tell people to type can be typed, and what is missing is said in one line."""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from chaos.cli import _parser

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
_SHELL = re.compile(r"^```(?:sh|bash|shell)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands() -> Iterator[tuple[str, str]]:
    """Each command line of each page's shell blocks, continuations joined, comments left out."""
    for page in PAGES:
        for block in _SHELL.findall(page.read_text()):
            for line in block.replace("\\\n", " ").splitlines():
                words = line.strip().removeprefix("$ ")
                if words and not words.startswith("#"):
                    yield page.name, words


def words_of(command: str) -> list[str]:
    """Its words up to a comment, a pipe or another command."""
    words = shlex.split(command, comments=True)
    ends = [place for place, word in enumerate(words) if word in ("|", "&&", "&", ";", "||", ">")]
    return words[: ends[0]] if ends else words


OURS = [(page, command) for page, command in commands() if command.startswith("aftershock ")]
MODULES = sorted(
    {
        found[1]
        for _, command in commands()
        if (
            found := re.search(
                r"python3? -m ((?:chaos|dashboards|exporters|reference_server|benchmarks|tests)[\w.]*)",
                command,
            )
        )
    }
)


def test_there_are_commands_to_look_at() -> None:
    assert len(OURS) > 20
    assert len(MODULES) > 5


@pytest.mark.parametrize(("page", "command"), OURS, ids=[f"{page}: {command[:40]}" for page, command in OURS])
def test_every_command_of_the_docs_is_understood(
    page: str, command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    words = [re.sub(r"\$\w+|\$\{\w+\}", "http://127.0.0.1:8000", word) for word in words_of(command)[1:]]
    words = [{"URL": "http://127.0.0.1:8000", "N": "5"}.get(word, word) for word in words]
    if words != ["--version"] and "--help" not in words:
        with suppress(SystemExit):
            _parser().parse_args(words)
        assert capsys.readouterr().err == "", f"{page}: {command}"
    for word in words:
        if word.startswith("chaos/") and "*" not in word:
            assert (ROOT / word).exists(), f"{page}: {command}"


@pytest.mark.parametrize("module", MODULES)
def test_every_module_that_the_docs_run_is_there(module: str) -> None:
    found = importlib.util.find_spec(module)
    assert found is not None
    if found.submodule_search_locations:
        assert importlib.util.find_spec(f"{module}.__main__") is not None


@pytest.mark.parametrize("package", ["chaos", "dashboards", "exporters", "reference_server"])
def test_in_a_tree_that_nobody_set_up_a_command_says_what_is_missing_in_one_line(package: str) -> None:
    verb = {"chaos": ["recover"], "dashboards": ["build"], "exporters": ["docs"]}.get(package, [])
    ended = subprocess.run(
        [sys.executable, "-S", "-m", package, *verb],  # -S: without site-packages
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (ended.returncode, "Traceback" in ended.stderr) == (2, False), ended.stderr
    assert re.search(r": the package \S+ is not installed for ", ended.stderr.splitlines()[0])
    assert "make setup" in ended.stderr


def test_the_command_says_its_version_in_a_tree_that_is_not_installed() -> None:
    ended = subprocess.run(
        [sys.executable, "-S", "-m", "chaos", "--version"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (ended.returncode, ended.stdout) == (0, "aftershock (not installed)\n")


def test_what_a_run_starts_finds_the_tree_in_which_it_was_called(tmp_path: Path) -> None:
    (tmp_path / "chaos").symlink_to(ROOT / "chaos")
    (tmp_path / "loadtests").symlink_to(ROOT / "loadtests")
    # As every process of a run is started: without the current folder.
    where = "import chaos; print(chaos.__file__)"
    started = f"import os, sys; os.execv(sys.executable, [sys.executable, '-P', '-c', {where!r}])"
    code = (
        "import runpy, sys\n"
        "sys.argv = ['aftershock', '--version']\n"
        "try:\n    runpy.run_module('chaos', run_name='__main__')\n"
        f"except SystemExit:\n    {started}\n"
    )
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path, env=environ
    )
    assert ended.stdout.splitlines()[-1] == str(tmp_path / "chaos" / "__init__.py"), ended.stderr


def test_no_message_and_no_page_advises_a_package_that_is_on_no_index() -> None:
    """The project is on none, so whoever takes its name there could be installed by who follows such advice."""
    texts = [
        *PAGES,
        *(
            path
            for folder in ("chaos", "dashboards", "exporters", "loadtests", "reference_server")
            for path in (ROOT / folder).rglob("*.py")
        ),
    ]
    advice = re.compile(r"pip install [^\n`]*aftershock(?!\S*\.whl)")
    assert [str(path.relative_to(ROOT)) for path in texts if advice.search(path.read_text())] == []


def test_the_index_names_every_page_and_each_of_its_links_leads_somewhere() -> None:
    text = (ROOT / "docs/index.md").read_text()
    links = set(re.findall(r"\]\(([^)#]+)", text))
    for link in links:
        assert (ROOT / "docs" / link).exists(), link
    assert {page.name for page in (ROOT / "docs").glob("*.md")} - {"index.md"} <= links
