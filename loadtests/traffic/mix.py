"""A mix: several kinds of traffic, or of several tenants, at once, each arrival labelled with what it belongs to.

A part is a load of its own at its share of the rate, with a seed of its own, so that parts are independent of each
other; their plans are then one plan, in order of the instants. Parts have no beginnings of prompts in common.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from loadtests.declared import Declared
from loadtests.traffic.lengths import TokenCount
from loadtests.traffic.profiles import PROFILES, Profile
from loadtests.traffic.streams import Purpose

SHARED_PREFIX = 0.5
"""Of every prompt, unless a load says otherwise."""
_NAME = r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
Name = Annotated[str, Field(pattern=f"^{_NAME}$")]


def is_name(value: object) -> bool:
    """Whether this can be the name of a profile or a tenant: it needs no quoting, wherever it is written."""
    return isinstance(value, str) and re.fullmatch(_NAME, value) is not None


class Part(Declared):
    """One part of a mix."""

    share: Annotated[float, Field(gt=0, le=1)]
    """of the rate"""
    profile: Profile | None = None
    """its traffic as published; absent: as the load itself has it"""
    tenant: Name | None = None
    """whose it is: sent along as `user`"""
    prompt_tokens: TokenCount | None = None
    """length of each prompt; absent: as its profile or the load has it"""
    output_tokens: TokenCount | None = None
    """length of each answer; absent: as its profile or the load has it"""


def misfits(mix: Sequence[Part]) -> str | None:
    """What is expected of the parts together, where they are not so."""
    if abs(sum(part.share for part in mix) - 1) > 1e-9:
        return "shares that make 100 % together"
    return None


def has_sessions(part: Part, *, load_has: bool) -> bool:
    """Whether its requests are turns of conversations."""
    return load_has if part.profile is None else "sessions" in PROFILES[part.profile]


def traffic_of(part: Part, plain: Mapping[str, Any]) -> dict[str, Any]:
    """What a part asks for in place of what the load does.

    Args:
        part: of the mix.
        plain: what concerns traffic, as a load has it that says nothing: a profile leaves nothing to the load.
    """
    own = {
        name: value
        for name in ("prompt_tokens", "output_tokens")
        if (value := getattr(part, name)) is not None
    }
    if part.profile is None:
        return own
    return {
        **plain,
        **{name: value for name, value in PROFILES[part.profile].items() if name != "rate_per_s"},
        **own,
    }


def seed_of(seed: int, place: int) -> int:
    """Of a part by its place in the mix."""
    entropy = [abs(seed), int(seed < 0)]
    return int(np.random.SeedSequence(entropy, spawn_key=(Purpose.MIX, place)).generate_state(1)[0])


def merged(parts: Sequence[tuple[Part, Mapping[str, Sequence[Any]]]]) -> Mapping[str, Sequence[Any]]:
    """The columns of all parts as those of one plan; of equal instants the earlier part's comes first."""
    names = {name for _, said in parts for name in said} | {"shared_tokens", "prefix", "profile", "tenant"}
    at_s = np.concatenate([np.asarray(said["at_s"], dtype=float) for _, said in parts])
    order = np.argsort(at_s, kind="stable").tolist()
    whole: dict[str, list[Any]] = {name: [] for name in names}
    sessions = prefixes = 0
    for part, said in parts:
        number = len(said["at_s"])
        its = dict(said)
        if "session" in its:
            its["session"] = [each + sessions for each in its["session"]]
            sessions = max(its["session"], default=sessions - 1) + 1
        its["prefix"] = [prefixes + (each or 0) for each in its.get("prefix", repeat(0, number))]
        prefixes = max(its["prefix"], default=prefixes - 1) + 1
        if "shared_tokens" not in its:  # else all parts would begin alike
            its["shared_tokens"] = [round(tokens * SHARED_PREFIX) for tokens in its["prompt_tokens"]]
        its |= {"profile": [part.profile] * number, "tenant": [part.tenant] * number}
        for name in names:
            whole[name] += its.get(name, repeat(None, number))
    return {name: [values[place] for place in order] for name, values in whole.items()}
