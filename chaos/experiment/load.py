"""What of an experiment's load spans several keys, or another file: its traffic as a whole, and its trace."""

import os
from collections.abc import Iterator
from pathlib import Path

from chaos.experiment.file import ExperimentSpec
from chaos.reading.documents import Problem
from loadtests.spec import misfits, too_fast, too_many
from loadtests.traffic import traces

TRACE_COPY = "trace"
"""Lies beside the experiment in a run folder: what of the trace the run plays, so that the folder is whole."""


def load_problems(spec: ExperimentSpec) -> Iterator[Problem]:
    """What does not go together in the load, or is no trace: without any of these it has a rate."""
    load = spec.load
    if load.api_key_env is not None and not os.environ.get(load.api_key_env):
        complaint = "expected a variable of the environment with a key in it"
        yield Problem(("load", "api_key_env"), complaint, load.api_key_env)
    for name, expected, value in misfits(load):
        yield Problem(("load", name.removesuffix("_s")), f"expected {expected}", value)
    if load.mix is not None and load.profile is not None:
        yield Problem(
            ("load", "profile"), "expected none beside a mix, whose parts have theirs", load.profile
        )
    if load.trace is None:
        if load.rate is None:
            meaning = "requests per second, or `N% of capacity`; a profile or a trace has its own"
            yield Problem(("load", "rate"), f"expected this key ({meaning}), got nothing")
        return
    if load.profile is not None:
        yield Problem(
            ("load", "profile"), "expected none with a trace, which has its own traffic", load.profile
        )
    elif load.rate is not None:
        yield Problem(
            ("load", "rate"), "expected none with a trace, which has its own: see trace.speed", load.rate
        )
    try:
        traces.window(load.trace)
    except OSError as error:
        complaint = f"expected a file that can be read: {error.strerror}"
        yield Problem(("load", "trace", "file"), complaint, str(load.trace.file))
    except ValueError as error:
        yield Problem(("load", "trace"), f"expected a trace that can be replayed: {error}")


def length_problems(spec: ExperimentSpec) -> Iterator[Problem]:
    """Whether the window of a trace is as long as the run, and the run short enough for its rate."""
    rate_per_s = spec.load.rate_per_s
    if rate_per_s is not None:
        where = ("load",) if spec.load.trace is not None else ("load", "rate")
        expected = too_fast(spec.load, rate_per_s) or too_many(rate_per_s, spec.planned_s)
        if expected is not None:
            yield Problem(where, f"expected {expected}", rate_per_s)
    if spec.load.trace is None:
        return
    try:
        traces.replay(spec.load.trace, spec.planned_s, 0, 1.0)
    except ValueError as error:
        yield Problem(("load", "trace"), f"expected a trace that lasts for the run: {error}")


def with_its_trace(spec: ExperimentSpec, folder: Path) -> ExperimentSpec:
    """The same, its trace named from wherever it is read, not from the experiment's folder alone."""
    return spec if spec.load.trace is None else _at(spec, (folder / spec.load.trace.file).absolute())


def relative_trace(spec: ExperimentSpec, folder: Path) -> ExperimentSpec:
    """The same, a trace that lies in this folder by its name there: the folder may be moved."""
    trace = spec.load.trace
    beside = trace is not None and trace.file.parent == folder.absolute()
    return _at(spec, Path(trace.file.name)) if trace is not None and beside else spec


def keep_trace(spec: ExperimentSpec, folder: Path) -> ExperimentSpec:
    """The same with what it plays of its trace as a file in this folder."""
    if spec.load.trace is None:
        return spec
    kept = folder.absolute() / f"{TRACE_COPY}{spec.load.trace.file.suffix}"
    traces.extract(spec.load.trace, spec.planned_s, kept)
    return _at(spec, kept)


def _at(spec: ExperimentSpec, path: Path) -> ExperimentSpec:
    assert spec.load.trace is not None
    trace = spec.load.trace.model_copy(update={"file": path})
    return spec.model_copy(update={"load": spec.load.model_copy(update={"trace": trace})})
