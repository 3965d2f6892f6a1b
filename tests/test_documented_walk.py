"""What the README and the docs tell people to type next is typed here, as printed, and works."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from chaos import commands as verbs
from chaos.cli import main
from chaos.errors import ExitCode
from tests.support.scripted_server import ScriptedServer
from tests.test_documented_commands import OURS, PAGES, ROOT, commands, words_of

RUNS_LONG = ("compare", "trend")
"""They need series that take hours; their own tests have some."""
STAND_FOR = {
    "EXPERIMENT": "chaos/experiments/pod-kill-30.yaml",
    "FILE...": "chaos/experiments",
    "DIR...": "deploy/",
}
LOADS = ("load", "observe")
_MODULE = re.compile(r"python3? -m ((?:chaos|dashboards|exporters|reference_server|benchmarks)[\w.]*)(.*)")
_INDENTED = re.compile(r"^    (python -m .*)$", re.MULTILINE)


def is_quick(command: str) -> bool:
    """Whether it starts no run, and needs no cluster."""
    verb, *rest = words_of(command)[1:]
    starts_a_run = verb == "run" and "--list" not in rest
    return verb not in RUNS_LONG and not starts_a_run and "mine.yaml" not in rest and "runs/A" not in rest


def without(words: list[str], *names: str) -> list[str]:
    """Words without these options and their values: how long, and how fast, is the test's."""
    kept = iter(words)
    found = []
    for word in kept:
        if word not in names:
            found.append(word)
        elif word != "--sweep":
            next(kept)
    return found


def typed(command: str) -> tuple[str, ...]:
    """Its words as they are typed here: how long a load lasts, and how fast it is, is the test's, as is its service."""
    words = [STAND_FOR.get(word, word) for word in words_of(command)[1:]]
    words = ["URL" if word in ("$URL", "http://127.0.0.1:8000") else word for word in words]
    if words[0] not in LOADS:
        return tuple(words)
    rate = {"load": ("--rate", "5"), "observe": ()}[words[0]]
    return (*without(words, "--for", "--rates", "--rate", "--sweep"), *rate, "--for", "3s", "--no-ignore-eos")


QUICK = {typed(command): command for _, command in sorted(OURS, reverse=True) if is_quick(command)}
"""What differs in a load's rate and length alone is run once."""


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a user stands: what the commands read lies there, what they write lands there."""
    for name in ("chaos/experiments", "chaos/manifests", "deploy"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "tests/data/run-sample", tmp_path / "DIR")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(verbs, "lost_runs", list)  # other tests lose runs on this machine meanwhile
    return tmp_path


@pytest.mark.parametrize(
    "words", QUICK, ids=[" ".join(command.split("#")[0].split()) for command in QUICK.values()]
)
def test_a_command_that_needs_no_cluster_does_what_it_says_as_printed(
    words: tuple[str, ...], folder: Path, server: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    loads = words[0] in LOADS
    ended = main([server.url("ok-4-20") if word == "URL" else word for word in words])
    said = capsys.readouterr()
    # Whether a busy machine serves within an objective is not the command's matter.
    fine = (ExitCode.PASSED, ExitCode.DEVIATED, ExitCode.INCONCLUSIVE) if loads else (ExitCode.PASSED,)
    assert ended in fine, said.err
    assert "Traceback" not in said.err
    assert said.out
    assert not loads or [*folder.rglob("report.html")]


def of_modules() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each `python -m` of ours that a page prints, in a block or indented: the module, and its words."""
    printed = [command for _, command in commands()]
    for page in PAGES:
        printed += _INDENTED.findall(page.read_text())
    for command in printed:
        if found := _MODULE.search(command):
            yield found[1], tuple(words_of(re.sub(r"[\[\]]", "", found[2])))


MODULES = sorted({*of_modules()})


def verb_of(words: tuple[str, ...]) -> tuple[str, ...]:
    """The verb that a module is given, where it is given one."""
    return tuple(word for word in words[:1] if re.fullmatch(r"[a-z][a-z-]+", word))


@cache
def helps() -> dict[str, tuple[int, str]]:
    asked = {asked for module, words in MODULES for asked in ((module,), (module, *verb_of(words)))}
    line = [sys.executable, "-m", "tests.support.module_helps", json.dumps(sorted(asked))]
    ended = subprocess.run(line, capture_output=True, text=True, check=False, cwd=ROOT)
    assert ended.returncode == 0, ended.stderr
    found: dict[str, tuple[int, str]] = json.loads(ended.stdout)
    return found


def help_of(module: str, *verb: str) -> str:
    code, text = helps()[" ".join((module, *verb))]
    assert code == 0, text
    return text


@pytest.mark.parametrize(("module", "words"), MODULES, ids=[shlex.join((m, *w))[:70] for m, w in MODULES])
def test_every_option_that_a_page_gives_a_module_is_one_of_its_own(
    module: str, words: tuple[str, ...]
) -> None:
    own = words[: words.index("--")] if "--" in words else words
    whole = help_of(module)
    verb = verb_of(own)
    assert all(re.search(rf"\b{word}\b", whole) for word in verb), f"{module}: {verb}"
    text = whole + (help_of(module, *verb) if verb else "")
    for option in (word for word in own if word.startswith("--")):
        assert re.search(rf"{re.escape(option.split('=')[0])}\b", text), (
            f"{module} {shlex.join(words)}: {option}"
        )
