"""An exposition is read line by line: in time proportional to its length, and one bad line costs one line."""

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaos.collecting.exposition import samples
from exporters.cli import main
from exporters.profiles.coverage import coverage_of
from exporters.profiles.library import profiles
from exporters.profiles.samples import ExpositionError, read_exposition
from exporters.profiles.scraped import scraped_families
from tests.data.make_expositions import EXPOSITIONS

GOOD = 'up{job="x"} 1\n'


def named(text: str) -> list[tuple[str, dict[str, str]]]:
    return [(sample.name, dict(sample.labels)) for sample in read_exposition(text).samples]


@pytest.mark.parametrize(
    ("line", "sample"),
    [
        ('{"my.metric", "a.b"="c"} 1', ("my.metric", {"a.b": "c"})),
        ('my{"größe"="é"} 1', ("my", {"größe": "é"})),
        ('a{b="one\u2028two"} 1', ("a", {"b": "one\u2028two"})),
        ('a{b="\x85\x0b\x0c\x1c"} 1', ("a", {"b": "\x85\x0b\x0c\x1c"})),
        ('   a{b="c"} 1', ("a", {"b": "c"})),
        ("\ta 1", ("a", {})),
        ("a Infinity", ("a", {})),
        ("a -Infinity", ("a", {})),
        ('a { b = "c" , d="e", } 1 1700000000000', ("a", {"b": "c", "d": "e"})),
        ('a_bucket{le="1e3"} 4 # {trace_id="} # {"} 0.5 1.7e9', ("a_bucket", {"le": "1e3"})),
        ('a{b="\\"\\\\\\n"} NaN', ("a", {"b": '"\\\n'})),
        ("a 1\r", ("a", {})),
    ],
)
def test_what_prometheus_reads_is_read(line: str, sample: tuple[str, dict[str, str]]) -> None:
    exposition = read_exposition(f"{GOOD}{line}\n{GOOD}")
    assert exposition.unread == 0
    assert named(f"{GOOD}{line}\n{GOOD}") == [("up", {"job": "x"}), sample, ("up", {"job": "x"})]


@pytest.mark.parametrize(
    "line",
    [
        "a{" + 'b="c"  ' * 12 + "} x",
        "up one",
        'a_bucket{le="x"} 1',
        "a 1 " + "9" * 400,
        'a{b="c"',
        'a{b="c",b="d"} 1',
        "{} 1",
        "\x00 1",
        "}}}",
        'a{b="c", ="x"} 1',
        "a{b=" + '"' * 3,
        f'a{{b="{"x" * 70_000}"}} 1',
    ],
    ids=[
        "no commas", "no number", "no edge", "a time beyond all", "no end", "a label twice",
        "no name", "no text", "braces", "a label without a name", "quotes", "too long",
    ],
)  # fmt: skip
def test_one_bad_line_costs_one_line_and_is_counted(line: str) -> None:
    exposition = read_exposition(f"{GOOD}{line}\n{GOOD}")
    assert [sample.name for sample in exposition.samples] == ["up", "up"]
    assert exposition.unread == 1
    assert exposition.first_unread.startswith("line 2: expected a sample of a metric, got ")
    assert len(exposition.first_unread) < 150


NATIVE = (
    "{count:24,sum:100,schema:0,zero_threshold:0.001,zero_count:4,positive_spans:[0:2,1:2],"
    "positive_deltas:[2,1,-3,3]}"
)


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (f"h {NATIVE}", "h"),
        (f"h{{}} {NATIVE}", "h"),
        (f'vllm:e2e{{a="b",c="d e"}} {NATIVE} 1520879607.789', "vllm:e2e"),
        (f'{{"my.histogram", a="b"}} {NATIVE}', "my.histogram"),
    ],
    ids=["bare", "no labels", "labels", "a name in quotes"],
)
def test_a_native_histogram_is_left_out_by_name_and_costs_nothing_else(line: str, name: str) -> None:
    exposition = read_exposition(f"{GOOD}{line}\n{line}\n{GOOD}# EOF\n")
    assert [sample.name for sample in exposition.samples] == ["up", "up"]
    assert (exposition.native, exposition.unread) == ((name,), 0)


def test_native_histograms_alone_are_no_exposition_and_named() -> None:
    with pytest.raises(ExpositionError, match="expected samples of metrics, got native histograms alone: h"):
        read_exposition(f"h {NATIVE}\n# EOF\n")


def test_native_histograms_stand_above_the_table_of_coverage(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    text = (EXPOSITIONS / "vllm-0.33.0.txt").read_text()
    path = tmp_path / "exposition.txt"
    path.write_text(f"{text}vllm:native_seconds {NATIVE}\n")
    assert coverage_of(path.read_text(), profiles()).signals == coverage_of(text, profiles()).signals
    assert main(["coverage", str(path)]) == 0
    told = capsys.readouterr().out
    assert "native histograms, left out: vllm:native_seconds; classic buckets are read" in told
    assert "could not be read" not in told
    assert main(["coverage", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["native_histograms"] == ["vllm:native_seconds"]


def test_protobuf_is_refused_as_what_it_is() -> None:
    """The first bytes of Prometheus' own delimited format: a family by the name of `up`, a gauge of 1."""
    family = b"\x0a\x02up\x12\x04help\x18\x01\x22\x0b\x12\x09\x09\x00\x00\x00\x00\x00\x00\xf0\x3f"
    text = (bytes([len(family)]) + family).decode(errors="replace")
    with pytest.raises(ExpositionError, match="in a text format, got binary data"):
        read_exposition(text)


@contextmanager
def endpoint(asked: list[str]) -> Iterator[str]:
    """The URL of an exposition of vLLM; what each question accepts is added to `asked`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.headers.get("Accept", ""))
            self.send_response(200)
            self.end_headers()
            self.wfile.write((EXPOSITIONS / "vllm-0.33.0.txt").read_bytes())

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/metrics"
        finally:
            server.shutdown()
            thread.join()


def test_no_question_of_ours_asks_for_protobuf() -> None:
    asked: list[str] = []
    with endpoint(asked) as url:
        assert samples(url, 30.0)
        assert main(["coverage", url]) == 0
    assert len(asked) == 2
    assert not any("protobuf" in accept for accept in asked)


def test_how_many_lines_could_not_be_read_stands_above_the_table(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    text = (EXPOSITIONS / "vllm-0.33.0.txt").read_text()
    path = tmp_path / "exposition.txt"
    path.write_text(f"nonsense\n{text}more of it\n")
    told = coverage_of(path.read_text(), profiles())
    assert told.signals == coverage_of(text, profiles()).signals
    assert main(["coverage", str(path)]) == 0
    said = "2 lines could not be read; line 1: expected a sample of a metric, got 'nonsense'"
    assert said in capsys.readouterr().out
    assert main(["coverage", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["unread_lines"] == 2
    assert main(["coverage", str(EXPOSITIONS / "vllm-0.33.0.txt")]) == 0
    assert "could not be read" not in capsys.readouterr().out


def test_types_are_those_of_names_in_quotes_too() -> None:
    families = scraped_families('# TYPE "my.metric" counter\n{"my.metric", a="b"} 1\n  # TYPE g gauge\ng 1\n')
    assert [(family.name, family.type) for family in families] == [("my.metric", "counter"), ("g", "gauge")]


def test_a_label_le_that_is_no_number_is_no_edge() -> None:
    text = '# TYPE h histogram\nh{le="x"} 1\nh_sum{le="y"} 1\nh_bucket{le="2"} 1\nh_bucket{le="+Inf"} 1\n'
    [family] = scraped_families(text)
    assert family.edges() == [2.0]


def test_when_counters_were_created_is_no_family() -> None:
    with pytest.raises(ExpositionError, match="got no sample"):
        scraped_families("a_created 1\n")


def test_reading_ends_at_its_deadline() -> None:
    with pytest.raises(ExpositionError, match=r"expected an exposition that is read within -1 s"):
        read_exposition(GOOD, within_s=-1.0)


SHAPES: dict[str, Callable[[int], str]] = {
    "labels without commas and without an end": lambda size: "a{" + 'b="c"' * (size // 5) + " x",
    "labels without commas": lambda size: "a{" + 'b="c"  ' * (size // 7) + "} x",
    "many labels": lambda size: "a{" + ",".join(f'l{number}="x"' for number in range(size // 10)) + "} 1",
    "escaped quotes": lambda size: 'a{b="' + '\\"' * (size // 2) + '"} 1',
    "backslashes": lambda size: 'a{b="' + "\\" * size,
    "commas": lambda size: "a{" + ", " * (size // 2) + "} 1",
    "quotes": lambda size: "a{" + '"' * size + "} 1",
    "braces": lambda size: "{" * size,
    "a type": lambda size: '# TYPE "' + "\\" * size,
    "blanks": lambda size: "a" + " " * size + "x",
    "a native histogram": lambda size: "a{" + "b" * size + "} {count:1",
    "native histograms that are none": lambda size: "a " + "{ count" * (size // 7),
    "short lines": lambda size: "up 1\nno\n" * (size // 8),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_time_grows_as_the_length_does_whatever_the_lines_are(shape: str) -> None:
    def took_s(size: int) -> float:
        text = SHAPES[shape](size) + "\nup 1\n"
        best_s = math.inf
        for _ in range(3):
            started_s = time.thread_time()
            read_exposition(text)
            best_s = min(best_s, time.thread_time() - started_s)
        return best_s

    # Twelve times the length: 144 times the time would be its square, and there is no number for an exponential.
    assert took_s(48_000) / max(took_s(4_000), 1e-4) < 100


def test_a_whole_exposition_of_the_slowest_lines_takes_time_in_proportion() -> None:
    line = SHAPES["escaped quotes"](30_000) + "\n"

    def took_s(lines: int) -> float:
        started_s = time.thread_time()
        assert len(read_exposition(line * lines).samples) == lines
        return time.thread_time() - started_s

    assert took_s(32) / took_s(4) < 40


ODD = st.text('a{}"=,\\ \t1.#:leInfNa\u2028\x85\r', max_size=40)


@settings(deadline=None)
@given(st.one_of(st.text(), ODD, st.binary().map(lambda content: content.decode(errors="replace"))))
def test_any_text_is_read_or_is_a_named_error(text: str) -> None:
    with suppress(ExpositionError):
        assert read_exposition(text).samples
    for family in scraped_families(text + "\nup 1\n"):
        family.edges()


@settings(deadline=None)
@given(
    before=st.lists(st.one_of(st.text(), ODD), max_size=4),
    after=st.lists(st.one_of(st.text(), ODD), max_size=4),
)
def test_good_lines_around_any_others_survive(before: list[str], after: list[str]) -> None:
    first, last = 'first{a="b"} 1', 'last{a="c"} 2'
    exposition = read_exposition("\n".join([*before, first, *after, last]))
    found = [(sample.name, sample.value) for sample in exposition.samples]
    assert ("first", 1) in found
    assert found[-1][0] == "last"
    lines = "\n".join([*before, *after]).count("\n") + 1
    assert exposition.unread <= lines
