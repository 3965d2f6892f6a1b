"""What a YAML file may not be, one table; where a problem is reported; and that writing and reading agree."""

import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chaos.errors import InputError
from chaos.reading.documents import Problem, dotted, dump, read_document, read_documents
from chaos.reading.text_file import MAX_BYTES


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "file.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 12)
)


@pytest.mark.parametrize(
    ("content", "line", "complaints"),
    [
        pytest.param(b"a: \xff\n", 1, ["expected UTF-8", "0xff"], id="not UTF-8"),
        pytest.param(b"a: 1\nb: \xe9t\xe9\n", 2, ["expected UTF-8", "0xe9"], id="Latin-1"),
        pytest.param("a: 1\n".encode("utf-16"), 1, ["expected UTF-8"], id="UTF-16"),
        pytest.param(b"\xef\xbb\xbfa: 1\n", 1, ["byte order mark"], id="byte order mark"),
        pytest.param("a:\n\tb: 1\n", 2, ["got a tab"], id="tab as indentation"),
        pytest.param("\ta: 1\n", 1, ["got a tab"], id="tab before a key"),
        pytest.param("a: 1\nb: \x07\n", 2, ["expected printable text", "0x7"], id="control character"),
        pytest.param("a: 1\nb: 2\na: 3\n", 3, ["a: expected each key once", "got 3"], id="duplicate key"),
        pytest.param(
            "a:\n  b: 1\n  b: {c: 2}\n", 3, ["a.b: expected each key once"], id="nested duplicate key"
        ),
        pytest.param(
            f"a: {'9' * 5000}\n",
            1,
            ["a: expected a plain decimal number"],
            id="more digits than Python reads",
        ),
        pytest.param("on: 1\n", 1, ["on: expected a key that is text"], id="key on"),
        pytest.param("a:\n  no: 1\n", 2, ["a.no: expected a key that is text"], id="key no"),
        pytest.param("1: 1\n", 1, ["1: expected a key that is text"], id="number as key"),
        pytest.param("~: 1\n", 1, ["expected a key that is text"], id="nothing as key"),
        pytest.param("[1, 2]: 1\n", 1, ["expected a key that is text"], id="list as key"),
        pytest.param("{a: 1}: 1\n", 1, ["expected a key that is text"], id="mapping as key"),
        pytest.param("a:\n", 1, ["a: expected a value", "got nothing"], id="empty value"),
        pytest.param("a: null\n", 1, ["a: expected a value", "got nothing"], id="null"),
        pytest.param("a: [1, ~]\n", 1, ["a[1]: expected a value", "got nothing"], id="null in a list"),
        pytest.param("a: 017\n", 1, ["a: expected a plain decimal number", "got 017"], id="octal"),
        pytest.param("a: 0x1F\n", 1, ["a: expected a plain decimal number", "got 0x1F"], id="hexadecimal"),
        pytest.param("a: 0b11\n", 1, ["a: expected a plain decimal number", "got 0b11"], id="binary"),
        pytest.param("a: 1_000\n", 1, ["a: expected a plain decimal number", "got 1_000"], id="underscores"),
        pytest.param("a: 1:30\n", 1, ["a: expected a plain decimal number", "got 1:30"], id="sexagesimal"),
        pytest.param("a: .inf\n", 1, ["a: expected a plain decimal number", "got .inf"], id="infinity"),
        pytest.param(
            "a: !!python/object/apply:os.system [id]\n", 1, ["expected no tag", "os.system"], id="python tag"
        ),
        pytest.param("a: !!str 1\n", 1, ["expected no tag"], id="standard tag"),
        pytest.param("a: ! 1\n", 1, ["expected no tag"], id="bare tag"),
        pytest.param("!mine\na: 1\n", 1, ["expected no tag", "!mine"], id="tag on the document"),
        pytest.param(BOMB, 1, ["aliases multiply"], id="alias bomb"),
        pytest.param("a: &a\n  b: *a\n", 1, ["contain themselves"], id="alias of itself"),
        pytest.param("a: *b\n", 1, ["undefined alias"], id="unknown alias"),
        pytest.param("a: " + "[" * 60 + "]" * 60, 1, ["at most 50 levels"], id="too deep"),
        pytest.param("a: " + "[" * 100_000, 1, ["at most 50 levels"], id="far too deep"),
        pytest.param("a: [1\nb: 2\n", 2, ["expected"], id="unclosed list"),
        pytest.param("a: b: c\n", 1, ["mapping values are not allowed here"], id="two colons"),
        pytest.param("a: &x 1\n<<: [1]\n", 2, ["expected a mapping"], id="merge of no mapping"),
        pytest.param("- a\n- b\n", 1, ["expected a mapping of keys to values", "got a list"], id="list"),
        pytest.param("just text\n", 1, ["expected a mapping of keys to values", "got just text"], id="text"),
        pytest.param(
            "---\na: 1\n---\n- 2\n", 4, ["expected a mapping of keys to values"], id="second document"
        ),
    ],
)
def test_malformed_file_is_refused_with_file_line_and_reason(
    tmp_path: Path, content: str | bytes, line: int, complaints: list[str]
) -> None:
    path = write(tmp_path, content)
    with pytest.raises(InputError) as caught:
        read_documents(path)
    message = str(caught.value)
    assert message.startswith(f"{path}:{line}: ")
    assert [complaint for complaint in complaints if complaint not in message] == []


@pytest.mark.parametrize("content", ["", "\n", "# only a comment\n", "---\n---\n...\n", "null\n"], ids=repr)
def test_file_without_a_document_is_refused(tmp_path: Path, content: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(InputError, match="got an empty file") as caught:
        read_documents(path)
    assert str(path) in str(caught.value)


def test_ten_megabytes_are_refused_unread(tmp_path: Path) -> None:
    path = write(tmp_path, b"a: b\n" * 2_000_000)
    with pytest.raises(InputError, match=f"expected at most {MAX_BYTES} bytes"):
        read_documents(path)


def test_time_to_refuse_grows_as_the_file_does(tmp_path: Path) -> None:
    def took_s(braces: int) -> float:
        path = write(tmp_path, "a: [\n" + "{" * braces)
        started_s = time.thread_time()
        with pytest.raises(InputError):
            read_documents(path)
        return time.thread_time() - started_s

    # Sixteen times the length: the square would be 256 times the time.
    assert took_s(160_000) / max(took_s(10_000), 1e-3) < 100


def test_missing_file_and_folder_are_refused_by_name(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.yaml", tmp_path):
        with pytest.raises(InputError, match="expected a readable file") as caught:
            read_documents(path)
        assert str(path) in str(caught.value)


def test_every_problem_is_reported_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "a: 017\nb:\non: 1\nc: 1\nc: 2\n")
    with pytest.raises(InputError) as caught:
        read_documents(path)
    places = [line.split(" expected ")[0] for line in str(caught.value).splitlines()]
    assert places == [f"{path}:1: a:", f"{path}:2: b:", f"{path}:3: on:", f"{path}:5: c:"]


def test_anchors_aliases_and_merges_are_followed(tmp_path: Path) -> None:
    path = write(tmp_path, "base: &base {a: 1, b: 2}\nsame: *base\nmore: {<<: *base, b: 3}\n")
    values = read_document(path).values
    assert values["same"] == {"a": 1, "b": 2}
    assert values["more"] == {"a": 1, "b": 3}


def test_empty_documents_are_dropped_and_the_rest_kept_apart(tmp_path: Path) -> None:
    path = write(tmp_path, "---\n# nothing\n---\na: 1\n---\n---\nb: 2\n")
    assert [document.values for document in read_documents(path)] == [{"a": 1}, {"b": 2}]
    with pytest.raises(InputError, match="expected one document, got 2"):
        read_document(path)


def test_dates_stay_text_and_exponents_are_numbers(tmp_path: Path) -> None:
    path = write(tmp_path, 'date: 2024-01-01\nnumber: 1e3\ntext: "1e3"\nequals: =\n')
    values = read_document(path).values
    assert values == {"date": "2024-01-01", "number": 1000.0, "text": "1e3", "equals": "="}


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("30", "30"),
        ('"30"', "'30'"),
        ("on", "on"),
        ("plain words", "plain words"),
        ('"two\\nlines"', r"'two\nlines'"),
        ('"\\e[31m"', r"'\x1b[31m'"),
        ("{b: 1}", "a mapping"),
        ("{}", "an empty mapping"),
        ("[1]", "a list"),
        ("[]", "an empty list"),
        ("x" * 200, "x" * 77 + "..."),
    ],
)
def test_values_are_shown_as_written_on_one_line(tmp_path: Path, written: str, shown: str) -> None:
    document = read_document(write(tmp_path, f"a: {written}\n"))
    refusal = document.refusal([Problem(("a",), "expected other", document.values["a"])])
    assert str(refusal) == f"{document.path}:1: a: expected other, got {shown}"


def test_problem_below_a_merged_key_names_the_nearest_line(tmp_path: Path) -> None:
    document = read_document(write(tmp_path, "base: &base {a: 1}\n\nmore:\n  <<: *base\n"))
    refusal = document.refusal([Problem(("more", "a"), "expected other", 1)])
    assert str(refusal) == f"{document.path}:3: more.a: expected other, got 1"


@pytest.mark.parametrize(
    ("key_path", "text"),
    [
        (("spec", "pods", "inference", 0), "spec.pods.inference[0]"),
        (("labels", "example.com/app"), "labels['example.com/app']"),
        (("a b", 1, 2), "['a b'][1][2]"),
    ],
)
def test_key_path_is_written_as_people_write_it(key_path: tuple[str | int, ...], text: str) -> None:
    assert dotted(key_path) == text


texts = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=20)
scalars = texts | st.sampled_from(
    ["on", "null", "1e3", "017", "1:30", "2024-01-01", "=", "<<", "!x", "1_0", "- a"]
)
numbers = st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | st.booleans()
values = st.recursive(
    scalars | numbers,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(scalars, inner, max_size=3),
    max_leaves=10,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(written=st.dictionaries(scalars, values, min_size=1, max_size=4))
def test_whatever_is_written_reads_back_equal(tmp_path: Path, written: dict[str, object]) -> None:
    assert read_document(write(tmp_path, dump(written))).values == written


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=60) | st.text("a: -[]{}&*!|>'\"#\n\t", max_size=30).map(str.encode))
def test_any_bytes_are_read_or_refused_but_never_crash(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path, content)
    found, refused = [], ""
    try:
        found = [*read_documents(path)]
    except InputError as error:
        refused = str(error)
    assert bool(found) != bool(refused), "what holds no document is refused"
    assert not refused or refused.startswith(str(path)), "whoever wrote the file is told which one it is"
    assert all(isinstance(document.values, dict) for document in found)


def test_characters_that_json_escapes_in_two_halves_are_whole(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text('{"a": "\\ud83d\\ude00", "\\ud83d\\ude00": 1}')
    assert read_document(path).values == {"a": "\U0001f600", "\U0001f600": 1}
    path.write_text('{"a": "\\ude00"}')
    with pytest.raises(InputError, match=r"file\.json:1: expected whole characters, got the half of one"):
        read_document(path)
