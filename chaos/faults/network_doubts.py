"""What of a NetworkChaos an API server takes and nobody can have meant. Key paths begin within the spec.

Source: chaos-mesh/chaos-mesh, `pkg/chaosdaemon/tc_server.go`; iproute2, `tc/q_netem.c` and `tc/q_tbf.c`.
"""

import re
from collections.abc import Iterator

from chaos.faults.doubts import Doubt, never, selection_doubts
from chaos.faults.manifest import Camel
from chaos.faults.network import NETEM_BLOCKS, NetworkSpec
from chaos.faults.network_blocks import FRAME_BYTES, Bandwidth, Delay, Rate, bytes_per_s, go_float
from chaos.reading.documents import Problem
from chaos.reading.quantities import go_duration_ns

_NEVER_DONE = "Chaos Mesh takes it, and then tries for ever to inject it"
_PERCENTAGES = ("loss", "corrupt", "duplicate", "correlation", "reorder")


def of_netem(spec: NetworkSpec) -> Iterator[Doubt]:
    """Of any action that netem does."""
    blocks = {key: block for key in NETEM_BLOCKS if (block := getattr(spec, key)) is not None}
    if not blocks:
        complaint = f"expected {', '.join(NETEM_BLOCKS[:-1])} or {NETEM_BLOCKS[-1]}: {_NEVER_DONE}"
        yield never("missing-block", ("action",), complaint, spec.action)
    elif spec.action not in ("netem", *blocks):
        complaint = f"expected a block of this name: what is done is {' and '.join(blocks)}"
        yield Doubt("other-block", Problem(("action",), complaint, spec.action))
    if [*blocks] == ["duplicate"]:
        complaint = (
            "expected another block beside it: TCP discards what comes twice, so nothing is to be seen of it"
        )
        yield Doubt("nothing-to-see", Problem(("duplicate",), complaint))
    for key, block in blocks.items():
        for doubt in _of_block(block):
            yield doubt.beneath(key)
    yield from _of_the_rest(spec, "bandwidth")


def of_bandwidth(spec: NetworkSpec) -> Iterator[Doubt]:
    """Of the action bandwidth."""
    if spec.bandwidth is None:
        yield never("missing-block", ("action",), f"expected the block bandwidth: {_NEVER_DONE}", spec.action)
    else:
        for doubt in _of_bandwidth_block(spec.bandwidth):
            yield doubt.beneath("bandwidth")
    yield from _of_the_rest(spec, *NETEM_BLOCKS)


def of_partition(spec: NetworkSpec) -> Iterator[Doubt]:
    """Of the action partition."""
    yield from _of_the_rest(spec, *NETEM_BLOCKS, "bandwidth")


def _of_the_rest(spec: NetworkSpec, *unused: str) -> Iterator[Doubt]:
    """Of what any action may have: blocks that it does not look at, another side, and odd addresses."""
    for key in unused:
        if getattr(spec, key) is not None:
            complaint = f"expected no such block: the action {spec.action} does not look at it"
            yield Doubt("unused-block", Problem((key,), complaint))
    if spec.target is not None:
        for doubt in selection_doubts(spec.target, "its namespace"):
            yield doubt.beneath("target")
    for index, address in enumerate(spec.external_targets):
        if not address.strip() or address.startswith("/"):
            complaint = f"expected an address, a network or a name: {_NEVER_DONE}"
            yield never("impossible-address", ("externalTargets", index), complaint, address)


def _of_block(block: Camel) -> Iterator[Doubt]:
    yield from _of_percentages(block)
    if isinstance(block, Delay):
        yield from _of_delay(block)
    if isinstance(block, Rate):
        yield from _of_rate(block.rate)


def _of_percentages(block: Camel) -> Iterator[Doubt]:
    for key, value in block.model_dump(by_alias=True).items():
        if key in _PERCENTAGES and isinstance(value, str) and not 0 <= go_float(value) <= 100:
            complaint = f"expected 0..100, or tc does not take it: {_NEVER_DONE}"
            yield never("impossible-percentage", (key,), complaint, value)


def _of_delay(delay: Delay) -> Iterator[Doubt]:
    for key, text in (("latency", delay.latency), ("jitter", delay.jitter)):
        # Chaos Mesh's daemon compares them with "0ms" as text, and adds nothing for what comes before that.
        if text < "0ms" and go_duration_ns(text):
            complaint = (
                "expected a number from 1, as 500ms for 0.5s: to Chaos Mesh one that starts with 0 is none"
            )
            yield Doubt("zero-first", Problem((key,), complaint, text))
    if delay.reorder is not None:
        for doubt in _of_percentages(delay.reorder):
            yield doubt.beneath("reorder")
        if delay.reorder.gap < 0:
            complaint = f"expected a number of packets: {_NEVER_DONE}"
            yield never("impossible-gap", ("reorder", "gap"), complaint, delay.reorder.gap)


def _of_rate(rate: str) -> Iterator[Doubt]:
    if not bytes_per_s(rate):
        complaint = f"expected a rate above 0, or tc does not take it: {_NEVER_DONE}"
        yield never("impossible-rate", ("rate",), complaint, rate)
    elif re.search(r"\s", rate):
        complaint = f"expected no space, or tc does not take it: {_NEVER_DONE}"
        yield never("impossible-rate", ("rate",), complaint, rate)


def _of_bandwidth_block(block: Bandwidth) -> Iterator[Doubt]:
    yield from _of_rate(block.rate)
    if block.limit < FRAME_BYTES:
        complaint = (
            f"expected {FRAME_BYTES} or more: a cluster drops every packet that is larger, at any rate"
        )
        yield Doubt("small-limit", Problem(("limit",), complaint, block.limit))
    if bool(block.peakrate) != bool(block.minburst):
        complaint = f"expected peakrate and minburst, or neither: {_NEVER_DONE}"
        yield never("peak-alone", ("peakrate",), complaint, block.peakrate)
