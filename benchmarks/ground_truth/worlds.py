"""The worlds: what befalls a service, declared. `play.py` makes requests of them, `queueing.py` where they queue."""

from dataclasses import dataclass, field, replace

RATES = (5.0, 16.0, 50.0, 200.0)
NOISES = {"0": (0.0, 0.0), "0.2": (0.002, 0.001), "1": (0.01, 0.005), "2": (0.02, 0.01)}
"""Per cent of slow answers: shares that are slow, and that fail, before, during and after the fault."""
FOR_EVER = 1e6


@dataclass(frozen=True, slots=True)
class Episode:
    """From one instant to another, in seconds from F, a share of the requests fares badly."""

    begin_s: float
    end_s: float
    share: float = 1.0
    how: str = "refused"
    """refused, reset, http_503, slow (0.7 s later), or silent: unanswered until the end of the episode."""
    down_s: float = 0.0
    """The share grows to its height from `begin_s` to so long after it,"""
    up_s: float = 0.0
    """and shrinks to nothing from so long before `end_s`."""


@dataclass(frozen=True, slots=True)
class Queue:
    """First come, first served by slots of which 30 % are lost at F, with the requests on them."""

    load: float
    """Of the slots, before F."""
    lost_s: float
    lost_share: float = 0.3


@dataclass(frozen=True, slots=True)
class World:
    """One kind of run."""

    name: str
    group: str
    """Worlds that share a line of the summary."""
    episodes: tuple[Episode, ...] = ()
    queue: Queue | None = None
    lasts_s: float | None = None
    """The fault is undone so long after F; None for a kill,"""
    capacity_s: float = 6.0
    """whose replacements are ready so long after F."""
    noise: str = "0"
    """Of `NOISES`."""
    rates: tuple[float, ...] = RATES
    arrivals: str = "poisson"
    reset_at_fault: int = 0
    """So many of the requests in flight at F are reset then."""
    silenced: float = 0.0
    """This share of the requests in flight at F never says another word."""
    trend_s_per_s: float = 0.0
    """The median TTFT grows by this every second of the run."""
    ttft_s: float = 0.1
    """Median TTFT at the run's beginning."""
    stalls: tuple[tuple[float, float], ...] = ()
    """The generator sends nothing from an instant (from F) on for so long."""
    drops: tuple[tuple[float, float], ...] = ()
    """The generator drops what is planned from an instant (from F) on for so long."""
    long_streams: bool = False
    """Answers take 30 s."""
    better: str | None = None
    """The name of a world of which this one is, request for request, a worse case."""
    scored: frozenset[str] = field(default_factory=lambda: frozenset({"recovery", "statistics"}))
    """What of it has a known truth."""


_OUT = ("refused", "reset", "silent")


def _outages() -> list[World]:
    worlds = []
    for how in _OUT:
        before = None
        for length_s in (0.2, 0.5, 1.0, 3.0, 10.0, 20.0, 60.0):
            name = f"{how} {length_s:g}s"
            lasts_s = min(length_s, 30.0)
            worlds.append(World(name, f"outage, {how}", (Episode(0, length_s, how=how),), lasts_s=lasts_s))
            worlds[-1] = replace(worlds[-1], better=before)
            before = name
    return worlds


def _partial() -> list[World]:
    worlds = []
    for how in ("slow", "http_503"):
        for length_s, group in ((5.0, "plateau of 5 s"), (FOR_EVER, "plateau for ever")):
            before = None
            for goodput in (0.97, 0.93, 0.90, 0.60):
                name = f"{goodput:.0%} {how} {'for ever' if length_s == FOR_EVER else '5s'}"
                episodes = (Episode(0, length_s, 1 - goodput, how),)
                worlds.append(World(name, f"{group}, {how}", episodes, lasts_s=5.0, better=before))
                before = name
    return worlds


def _ramps() -> list[World]:
    worlds = []
    for how in ("slow", "http_503"):
        before = None
        for up_s in (5.0, 15.0):
            name = f"ramp of {how} 1s + {up_s:g}s"
            episodes = (Episode(0, 1 + up_s, how=how, down_s=1.0, up_s=up_s),)
            worlds.append(World(name, "ramp", episodes, lasts_s=1.0, capacity_s=up_s, better=before))
            before = name
    return worlds


def _several() -> list[World]:
    late = Episode(6, 10)
    alone = World("outage 6..10s of a kill", "early touch, later outage", (late,), capacity_s=12)
    early = "early touch, later outage"
    return [
        alone,
        replace(alone, name="the same and one reset at F", reset_at_fault=1, better=alone.name),
        World(
            "the same and 0.3s refused at F",
            early,
            (Episode(0, 0.3), late),
            capacity_s=12,
            better=alone.name,
        ),
        World("double dip 1/2/1", "dips and flaps", (Episode(0, 1), Episode(3, 4)), lasts_s=4),
        World("double dip 1/4.5/0.5", "dips and flaps", (Episode(0, 1), Episode(5.5, 6)), lasts_s=6),
        World(
            "flap 1s: 0.3 down x10",
            "dips and flaps",
            tuple(Episode(at_s, at_s + 0.3) for at_s in range(10)),
            lasts_s=9.3,
        ),
        World(
            "flap 2s: 0.05 down x5",
            "dips and flaps",
            tuple(Episode(2 * at, 2 * at + 0.05, how="slow") for at in range(5)),
            lasts_s=8.05,
        ),
        World("bites late 8..9s", "bites late", (Episode(8, 9),), lasts_s=12),
        World("bites late, in part", "bites late", (Episode(8, 11, 0.4, "slow"),), lasts_s=12),
    ]


def _in_flight() -> list[World]:
    return [
        World("silenced in flight, nothing else", "silenced streams", silenced=0.3, ttft_s=0.3),
        World(
            "silenced in flight and refused 1s",
            "silenced streams",
            (Episode(0, 1),),
            silenced=0.3,
            ttft_s=0.3,
            lasts_s=2,
        ),
        World("long streams, no impact", "long streams", long_streams=True, rates=(5.0, 16.0), lasts_s=3),
        World(
            "long streams, new ones refused 3s",
            "long streams",
            (Episode(0, 3),),
            long_streams=True,
            rates=(5.0, 16.0),
            lasts_s=3,
        ),
        World(
            "long streams, silenced and refused 3s",
            "long streams",
            (Episode(0, 3),),
            silenced=0.3,
            long_streams=True,
            rates=(5.0, 16.0),
            lasts_s=3,
        ),
    ]


def _queues() -> list[World]:
    worlds = []
    for load in (0.5, 0.75, 0.9):
        before = None
        for lost_s in (5.0, 10.0, 20.0):
            name = f"30% of slots for {lost_s:g}s at {load:g}"
            queue = Queue(load, lost_s)
            worlds.append(World(name, f"queue at {load:g}", queue=queue, capacity_s=lost_s, better=before))
            before = name
    return worlds


def _noisy() -> list[World]:
    worlds = []
    for noise in NOISES:
        label = f"{noise} % noise"
        for capacity_s in (4.0, 15.0, 25.0):
            name = f"no impact, capacity {capacity_s:g}s, {label}"
            worlds.append(World(name, f"no impact, {label}", capacity_s=capacity_s, noise=noise))
        if noise == "0":
            continue
        for how in ("refused", "silent"):
            episodes = (Episode(0, 3, how=how),)
            worlds.append(World(f"{how} 3s, {label}", f"outage, {label}", episodes, lasts_s=3, noise=noise))
        for goodput in (0.6, 0.9):
            episodes = (Episode(0, 5, 1 - goodput, "slow"),)
            name = f"{goodput:.0%} slow 5s, {label}"
            worlds.append(World(name, f"plateau, {label}", episodes, lasts_s=5, noise=noise))
        ramp = (Episode(0, 16, how="slow", down_s=1, up_s=15),)
        worlds.append(World(f"ramp 1s + 15s, {label}", f"ramp, {label}", ramp, lasts_s=1, noise=noise))
    return worlds


def _foreign() -> list[World]:
    recovery = frozenset({"recovery"})
    return [
        *(
            World(
                f"trend of {1000 * slope:g} ms/s",
                "trend",
                trend_s_per_s=slope,
                lasts_s=3,
                scored=recovery,
            )
            for slope in (0.001, 0.002, 0.003, 0.0035, 0.004)
        ),
        World("generator stalls 0.45s", "generator", ttft_s=0.3, stalls=((1.0, 0.45),), lasts_s=3),
        World("generator drops 0.06s", "generator", drops=((10.0, 0.06),), lasts_s=3),
        World(
            "outage 1s, generator stalls later",
            "generator",
            (Episode(0, 1),),
            ttft_s=0.3,
            stalls=((4.0, 0.45),),
            lasts_s=1,
        ),
        World("constant arrivals, refused 1s", "constant", (Episode(0, 1),), arrivals="constant", lasts_s=1),
        World(
            "constant arrivals, 60% slow 5s",
            "constant",
            (Episode(0, 5, 0.4, "slow"),),
            arrivals="constant",
            lasts_s=5,
        ),
    ]


WORLDS = {
    world.name: world
    for world in (
        *_outages(),
        *_partial(),
        *_ramps(),
        *_several(),
        *_in_flight(),
        *_queues(),
        *_noisy(),
        *_foreign(),
    )
}
"""Every world by its name."""
