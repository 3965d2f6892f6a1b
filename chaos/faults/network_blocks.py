"""The blocks of a NetworkChaos: what happens to packets. Whatever its action says, all that netem can do is done.

Each value is taken as Chaos Mesh's API server takes it; what nobody can have meant is a doubt, and no problem.
Sources: chaos-mesh/chaos-mesh, `api/v1alpha1/networkchaos_types.go` and its webhook; iproute2, `tc/q_netem.c`.
"""

import math
import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from chaos.faults.manifest import Camel
from chaos.reading.quantities import go_duration_ns
from chaos.targets.effects import Bucket

_LATENCY = re.compile(r"\d+(\.\d+)?(ns|us|ms|s|m|h)", re.ASCII)
"""The pattern of the CRD: one number and one unit, no sign, no `1m30s`."""
_DECIMAL = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?|[-+]?inf(inity)?|nan", re.ASCII | re.IGNORECASE)
_HEXADECIMAL = re.compile(r"[-+]?0x_?[\da-f_]*\.?[\da-f_]*p[-+]?\d+", re.ASCII | re.IGNORECASE)
_MOST_OF_FLOAT32 = (2 - 2**-23) * 2.0**127
_RATE = re.compile(r"\s*(?P<number>\d+)\s*(?P<prefix>[kmgt]?)(?P<unit>bit|bps)\s*", re.ASCII | re.IGNORECASE)
_PREFIXES = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}
_MOST_OF_INT32 = 2**31 - 1
FRAME_BYTES = 1514
"""What one packet is on Ethernet."""
_NETEM_QUEUE_PACKETS = 1000


def go_float(text: str) -> float:
    """The number of a text, with the accept set of Go's `strconv.ParseFloat` for 32 bits.

    Raises:
        ValueError: it is none; Python's own `float` would take spaces and `1_0`.
    """
    if _DECIMAL.fullmatch(text):
        number = float(text)
    elif _HEXADECIMAL.fullmatch(text):
        number = float.fromhex(text.replace("_", ""))
    else:
        raise ValueError(f"not a number: {text!r}")
    if abs(number) > _MOST_OF_FLOAT32 and "i" not in text.lower():
        raise ValueError(f"too large: {text!r}")
    return number


def _percent(text: str) -> str:
    try:
        go_float(text)
    except (ValueError, OverflowError) as error:
        raise PydanticCustomError("percent", "a percentage 0..100 as text, such as '25'") from error
    return text


def _latency(text: str) -> str:
    if not _LATENCY.fullmatch(text):
        raise PydanticCustomError("latency", "one number and its unit, such as 100ms or 1.5s")
    return text


def _rate(text: str) -> str:
    if not _RATE.fullmatch(text) or int(_RATE.fullmatch(text)["number"]) >= 2**64:  # type: ignore[index]
        raise PydanticCustomError(
            "rate",
            "a whole number and bit, kbit, ... (bits) or bps, kbps, ... (bytes per second), such as 1mbps",
        )
    return text


PercentText = Annotated[str, AfterValidator(_percent)]
"""A percentage as Chaos Mesh writes it; its webhook checks only that it is a number."""
Correlation = Annotated[PercentText, BeforeValidator(lambda text: "0" if text == "" else text)]
"""The same, with the default of Chaos Mesh for an empty text too."""
Latency = Annotated[str, AfterValidator(_latency)]
Jitter = Annotated[Latency, BeforeValidator(lambda text: "0ms" if text == "" else text)]
RateText = Annotated[str, AfterValidator(_rate)]
Bytes = Annotated[int, Field(ge=1, le=_MOST_OF_INT32)]
BytesOrNone = Annotated[int, Field(ge=0, le=_MOST_OF_INT32)]


class Reorder(Camel):
    """Packets that overtake others, because they are not delayed."""

    reorder: PercentText
    """share of packets that are not delayed, as a percentage in text"""
    gap: int
    """only every so manieth packet may overtake"""
    correlation: Correlation = "0"
    """how much of one draw the next one keeps, as a percentage in text"""


class Delay(Camel):
    """How much later."""

    latency: Latency
    """added to every packet"""
    jitter: Jitter = "0ms"
    """the latency varies by as much, up and down"""
    correlation: Correlation = "0"
    """how much of one draw the next one keeps, as a percentage in text"""
    reorder: Reorder | None = None
    """packets that overtake others"""


class Loss(Camel):
    """How many packets vanish."""

    loss: PercentText
    """share of packets that are lost, as a percentage in text"""
    correlation: Correlation = "0"
    """how much of one draw the next one keeps, as a percentage in text"""


class Duplicate(Camel):
    """How many packets come twice."""

    duplicate: PercentText
    """share of packets that are doubled, as a percentage in text"""
    correlation: Correlation = "0"
    """how much of one draw the next one keeps, as a percentage in text"""


class Corrupt(Camel):
    """How many packets arrive damaged."""

    corrupt: PercentText
    """share of packets in which a bit is wrong, as a percentage in text"""
    correlation: Correlation = "0"
    """how much of one draw the next one keeps, as a percentage in text"""


class Rate(Camel):
    """How fast, by netem's own limit."""

    rate: RateText
    """a whole number and its unit; bps, kbps, mbps are bytes per second"""


class Bandwidth(Camel):
    """How fast, by a token bucket."""

    rate: RateText
    """a whole number and its unit; bps, kbps, mbps are bytes per second"""
    limit: Bytes
    """bytes that may wait for tokens; a cluster drops what is more"""
    buffer: Bytes
    """bytes of the bucket: so much passes at once after a pause"""
    peakrate: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """bytes per second at which the bucket may be emptied"""
    minburst: BytesOrNone = 0
    """bytes of the peak rate's own bucket"""


def seconds(latency: str) -> float:
    """A latency in seconds."""
    return go_duration_ns(latency) / 1e9


def share(percent: str) -> float:
    """A percentage as 0..1; what lies outside is its nearest end, and what is no number nothing."""
    number = go_float(percent)
    return 0.0 if math.isnan(number) else min(1.0, max(0.0, number / 100))


def bytes_per_s(rate: str) -> float:
    """A rate in bytes per second. `bps` is bytes, and prefixes are powers of a thousand, as `tc` reads them."""
    parts = _RATE.fullmatch(rate)
    assert parts is not None
    in_bytes = parts["unit"].lower() == "bps"
    return int(parts["number"]) * _PREFIXES[parts["prefix"].lower()] / (1 if in_bytes else 8)


def bucket_of(bandwidth: Bandwidth) -> Bucket:
    """The token bucket that `tc` would make."""
    return Bucket(
        rate_bytes_per_s=bytes_per_s(bandwidth.rate),
        burst_bytes=bandwidth.buffer,
        queue_bytes=bandwidth.limit,
        peak_bytes_per_s=bandwidth.peakrate if bandwidth.minburst else 0,
        peak_burst_bytes=bandwidth.minburst,
    )


def serial(rate: Rate) -> Bucket:
    """The bucket of netem's own rate: one packet after the other, with as many waiting as its queue holds."""
    return Bucket(bytes_per_s(rate.rate), 0, _NETEM_QUEUE_PACKETS * FRAME_BYTES)
