"""The CPU quota over this process: of its own cgroup and of every one above it that can be seen, v1 or v2."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")
_OWN = Path("/proc/self/cgroup")
_MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Quota:
    """What a run may use together with whoever else is under the same quota."""

    cores: float
    """The tightest of all quotas, in processor seconds per second."""
    throttled_s: float
    """Of all periods so far in which a quota was used up before the period was over."""


def folders(mounts: str, own: str) -> tuple[Path, ...]:
    """Every folder that may hold a quota over a process, its own first.

    Args:
        mounts: `/proc/self/mountinfo`.
        own: `/proc/self/cgroup`.
    """
    paths = {}
    for line in own.splitlines():
        hierarchy, controllers, path = line.split(":", 2)
        if hierarchy == "0" or "cpu" in controllers.split(","):
            paths["cgroup2" if hierarchy == "0" else "cgroup"] = path
    found: list[Path] = []
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        root, mounted_at = before.split()[3:5]
        kind, _, options = after.split()[:3]
        if kind not in paths or (kind == "cgroup" and "cpu" not in options.split(",")):
            continue
        # A container sees its own group as the mount's root, and may be told its path on the host all the same.
        inside = paths[kind].removeprefix(root if root != "/" else "").strip("/")
        top = Path(mounted_at)
        folder = top / inside if (top / inside).is_dir() else top
        found += (each for each in (folder, *folder.parents) if each.is_relative_to(top))
    return tuple(found)


def own_folders() -> tuple[Path, ...]:
    """The same of this process; none where there are no cgroups."""
    try:
        return folders(_MOUNTS.read_text(), _OWN.read_text())
    except OSError:
        return ()


def quota(candidates: Sequence[Path]) -> Quota | None:
    """The quota of all these folders together as it is now; None when none of them limits anything."""
    found = [each for folder in candidates for each in _limits(folder)]
    if not found:
        return None
    # Groups within each other may be used up in the same period: a sum is at most too high, and never goes back.
    return Quota(min(each.cores for each in found), sum(each.throttled_s for each in found))


def _limits(folder: Path) -> Iterator[Quota]:
    with suppress(OSError, ValueError):
        if (limit := folder / "cpu.max").is_file():
            allowed, period = limit.read_text().split()
        else:
            allowed = (folder / "cpu.cfs_quota_us").read_text().strip()
            period = (folder / "cpu.cfs_period_us").read_text().strip()
        if allowed not in ("max", "-1"):
            counters = dict(line.split() for line in (folder / "cpu.stat").read_text().splitlines())
            periods = int(counters.get("nr_throttled", 0))
            yield Quota(int(allowed) / int(period), periods * int(period) / _MICROSECONDS)
