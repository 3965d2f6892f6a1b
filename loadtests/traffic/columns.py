"""A declared load into the columns of its plan: instants, lengths, and who belongs together."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from loadtests.arrivals import instants
from loadtests.spec import SHARED_PREFIX, LoadSpec, Offered
from loadtests.traffic import mix, traces
from loadtests.traffic.lengths import draw
from loadtests.traffic.processes import unit_instants
from loadtests.traffic.rate_profile import course
from loadtests.traffic.sessions import Draws, Sessions, Turns, lookback_s, mean_turns, turns_of
from loadtests.traffic.streams import Purpose, stream

_OF_TRAFFIC = ("arrivals", "burstiness", "batch_every_s", "rate_profile", "shared_prefix", "sessions")
"""What a profile says, and leaves to no load around it; lengths it always has."""

Columns = Mapping[str, Sequence[Any]]
"""By name of an arrival's field, a value per arrival; what no arrival says is not there."""


def columns(spec: LoadSpec) -> Columns:
    """What is asked, in order of the instants.

    Raises:
        OSError: a trace cannot be read.
        ValueError: a trace is none, or is shorter than the load.
    """
    if spec.mix is not None:
        return mix.merged(
            [(part, columns(_of_part(spec, place, part))) for place, part in enumerate(spec.mix)]
        )
    if spec.trace is not None:
        return traces.replay(spec.trace, spec.duration_s, spec.seed, spec.length_scale)
    if spec.sessions is not None:
        return _of_turns(_session_turns(spec, spec.sessions))
    at_s = _instants(spec)
    number = len(at_s)
    prompts = draw(spec.prompt_tokens, number, stream(spec.seed, Purpose.PROMPTS), spec.length_scale)
    outputs = draw(spec.output_tokens, number, stream(spec.seed, Purpose.OUTPUTS), spec.length_scale)
    plain = {"at_s": at_s, "prompt_tokens": prompts.tolist(), "output_tokens": outputs.tolist()}
    if spec.shared_prefix == SHARED_PREFIX:
        return plain
    return {**plain, "shared_tokens": np.rint(prompts * spec.shared_prefix).astype(int).tolist()}


def _of_part(spec: LoadSpec, place: int, part: mix.Part) -> LoadSpec:
    """The load that a part of a mix is."""
    plain = {name: Offered.model_fields[name].default for name in _OF_TRAFFIC}
    return spec.but(
        **mix.traffic_of(part, plain),
        mix=None,
        rate_per_s=part.share * spec.rate_per_s,
        seed=mix.seed_of(spec.seed, place),
    )


def _instants(spec: LoadSpec) -> Sequence[float]:
    """Of single requests; those that were possible first stay as they were, bit for bit."""
    profile = spec.rate_profile
    if profile is None and spec.arrivals != "gamma":
        at_s: Sequence[float] = instants(
            spec.arrivals, spec.rate_per_s, spec.duration_s, spec.seed, spec.rate_from_per_s
        )
    else:
        at_s = _profiled(spec, 0.0, spec.rate_per_s).tolist()
    if spec.batch_every_s is None:
        return at_s
    ticks = np.round(np.ceil(np.array(at_s) / spec.batch_every_s) * spec.batch_every_s, 9)
    return [at for at in ticks.tolist() if at < spec.duration_s]


def _profiled(spec: LoadSpec, lead_s: float, rate_per_s: float) -> Any:
    """Instants of a process that begins `lead_s` before the plan, at this rate times the profile's factor."""
    factor = course(spec.rate_profile, spec.duration_s, spec.seed)
    factor = factor.earlier(lead_s) if lead_s else factor
    expected = rate_per_s * float(factor.expected_s[-1])
    random = stream(spec.seed, Purpose.GAPS)
    at_s = factor.instants(unit_instants(spec.arrivals, spec.burstiness, expected, random) / rate_per_s)
    return at_s[at_s < lead_s + spec.duration_s] - lead_s


def _session_turns(spec: LoadSpec, sessions: Sessions) -> Turns:
    starts_s = _profiled(spec, lookback_s(sessions), spec.rate_per_s / mean_turns(sessions))
    draws = Draws(
        prompt=spec.prompt_tokens,
        output=spec.output_tokens,
        scale=spec.length_scale,
        prompts=stream(spec.seed, Purpose.PROMPTS),
        outputs=stream(spec.seed, Purpose.OUTPUTS),
        random=stream(spec.seed, Purpose.SESSIONS),
    )
    return turns_of(sessions, starts_s, spec.duration_s, draws)


def _of_turns(turns: Turns) -> Columns:
    names = ("at_s", "prompt_tokens", "output_tokens", "shared_tokens", "prefix", "session", "turn")
    return {**{name: getattr(turns, name).tolist() for name in names}, "think_s": turns.think_s}
