"""Whatever is written into an experiment or a manifest: it is read, or refused with a reason; nothing else happens."""

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chaos.errors import InputError
from chaos.experiment.experiment import Experiment, read_file
from chaos.experiment.meant import require_meant
from tests.support.given_data import ABSENT, FOLDER

ROOT = Path(__file__).parent.parent
PLACES = ("chaos/experiments", "chaos/manifests")
FILES = [path for place in PLACES for path in sorted((ROOT / place).glob("*.yaml"))]
CORPUS = sorted((FOLDER / "chaos-mesh").rglob("*.yaml")) if FOLDER.is_dir() else []
TEXTS = [path.read_text() for path in [*FILES, *CORPUS] if "/crds/" not in str(path)]
DOCUMENTS = [yaml.safe_load(text) for text in TEXTS]
BITS = st.sampled_from(
    [
        *(
            "-",
            ": ",
            "\n",
            "  ",
            "\t",
            "{",
            "}",
            "[",
            "]",
            "&a ",
            "*a",
            "!!python/object:os.system ",
            "!!int ",
        ),
        *("|", ">", "%", "'", '"', "#", "---\n", "...\n", "<<: ", "null", "~", "on", "017", "1:30", "1e400"),
        *(
            "-5s",
            "1d",
            "30%",
            "$(id)",
            "`id`",
            "{{ .Values.x }}",
            "../../etc/passwd",
            "\x00",
            "\u2028",
            "\ufeff",
        ),
        *("apiVersion: v1\n", "kind: List\nitems:\n", "kind: Schedule\n", "metadata:\n", "spec:\n"),
    ]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        ["", "0", "-1", "1h1", "@every 1s", "50%", "100", "Workflow", "Schedule", "all", "a" * 300]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose experiments find the manifests that they name."""
    top = tmp_path_factory.mktemp("fuzz")
    shutil.copytree(ROOT / PLACES[1], top / "manifests")
    (top / "experiments").mkdir()
    return top


def places(value: Any, key_path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [key_path, *(found for key, inner in inside for found in places(inner, (*key_path, key)))]


@st.composite
def with_bits_of_text(draw: st.DrawFn) -> str:
    """A file of ours, or of Chaos Mesh's, with something typed into it, or taken out."""
    text = draw(st.sampled_from(TEXTS))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(BITS | st.text(max_size=3)) + text[at + draw(st.integers(0, 12)) :]
    return text


@st.composite
def with_other_values(draw: st.DrawFn) -> str:
    """Such a file as JSON, with other values, keys or whole parts of others in some of its places."""
    document = deepcopy(draw(st.sampled_from(DOCUMENTS)))
    for _ in range(draw(st.integers(1, 3))):
        *outer, last = draw(st.sampled_from(places(document)[1:] or [("kind",)]))
        inside = document
        for key in outer:
            inside = inside[key]
        other = draw(st.sampled_from(DOCUMENTS))
        part = draw(st.sampled_from(places(other)))
        for key in part:
            other = other[key]
        change = draw(st.sampled_from(["value", "part", "drop", "key"]))
        if change == "value":
            inside[last] = draw(VALUES)
        elif change == "part":
            inside[last] = deepcopy(other)
        elif change == "key" and isinstance(inside, dict):
            inside[draw(st.text(max_size=8))] = inside.pop(last)
        else:
            del inside[last]
        if not isinstance(document, dict) or not document:
            break
    return json.dumps(document, indent=draw(st.sampled_from([None, 1, "\t"])))


def refusal(path: Path) -> str:
    """Why a file is refused, everything of it looked at; nothing where it is not."""
    try:
        found = read_file(path)
        if isinstance(found, Experiment):
            require_meant(found)
            found.timetable()
            return ""
    except InputError as error:
        return str(error)
    for one in found:
        assert one.label
        assert one.runs_nowhere is None or one.runs_nowhere
        with suppress(ValueError):
            assert all(occurrence.at_s >= 0 for occurrence in one.occurrences(0.0, 120.0))
        assert all(one.document.said(doubt.problem) for doubt in one.doubts)
    return ""


def refused_elsewhere(folder: Path, text: str) -> str:
    """A refusal that does not begin with the file it is about; empty where the text is read, or refused in order."""
    path = folder / "experiments" / "fuzzed.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    refused = refusal(path)
    return "" if refused.startswith(str(folder)) else refused


def fuzzed(count: int, texts: st.SearchStrategy[str]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        chosen = settings(
            max_examples=count, deadline=None, suppress_health_check=[*HealthCheck], derandomize=count < 1000
        )
        return chosen(given(text=texts)(test))

    return decorate


@fuzzed(150, with_bits_of_text())
def test_a_file_into_which_something_was_typed_is_read_or_refused(folder: Path, text: str) -> None:
    assert refused_elsewhere(folder, text) == ""


@fuzzed(150, with_other_values())
def test_a_file_with_other_values_is_read_or_refused(folder: Path, text: str) -> None:
    assert refused_elsewhere(folder, text) == ""


@pytest.mark.slow
@pytest.mark.timeout(3600)
@fuzzed(5_000, with_bits_of_text())
def test_five_thousand_files_into_which_something_was_typed_are_read_or_refused(
    folder: Path, text: str
) -> None:
    assert refused_elsewhere(folder, text) == ""


@pytest.mark.slow
@pytest.mark.timeout(3600)
@fuzzed(5_000, with_other_values())
def test_five_thousand_files_with_other_values_are_read_or_refused(folder: Path, text: str) -> None:
    assert refused_elsewhere(folder, text) == ""


@pytest.mark.parametrize("path", CORPUS or [None], ids=lambda path: path.name if path else "absent")
def test_a_file_of_chaos_mesh_is_read_or_refused(path: Path | None) -> None:
    if path is None:
        pytest.skip(ABSENT)
    refused = refusal(path)
    assert not refused or refused.startswith(str(path))
