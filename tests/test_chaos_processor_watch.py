"""The accounting of processor time on real processes: a running cluster, a busy loop beside it, a real CPU quota."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from chaos.collecting.processor import ProcessorWatch
from chaos.collecting.quota import Quota, folders, quota
from chaos.errors import InconclusiveError
from chaos.measuring.columns import columns
from chaos.measuring.processor import Sample, Usage, of_phase, read_samples
from chaos.measuring.timeline import Phase, Timeline
from chaos.targets.identity import of_run
from chaos.targets.local.target import LocalTarget
from tests.conftest import Eventually
from tests.support.local_cluster import all_ready, complete, gateway_port, terminate, toy_spec

NOTHING_ASKED = Timeline(columns(()), (), 0, 0.0, 0.0, wanted_replicas=0)
BUSY = "while True: pass"
UNDER_QUOTA = """
import os, sys, time
from pathlib import Path
from chaos.collecting.processor import ProcessorWatch
Path(sys.argv[1], "cgroup.procs").write_text(str(os.getpid()))
with ProcessorWatch(Path(sys.argv[2]), lambda: {"replicas": [os.getpid()]}, every_s=0.5):
    while time.process_time() < 1.5: pass
"""


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalTarget]:
    with LocalTarget(toy_spec(tmp_path_factory.mktemp("cluster"), 2, "--fork")) as one:
        yield one


def spent_s(pid: int) -> float:
    with suppress(psutil.NoSuchProcess):
        times = psutil.Process(pid).cpu_times()
        return float(times.user + times.system)
    return 0.0


def between(first: Sample, last: Sample) -> Usage:
    usage = of_phase([first, last], NOTHING_ASKED, Phase("stretch", first.at_s, last.at_s))
    assert usage is not None
    return usage


def test_every_process_of_a_cluster_has_one_role_and_their_times_are_those_of_the_process_table(
    target: LocalTarget, tmp_path: Path
) -> None:
    for _ in range(50):
        complete(gateway_port(target))
    pids = target.pids()
    assert {role: len(found) for role, found in pids.items()} == {
        "supervisor": 1,
        "proxy": 1,
        "gateway": 1,
        "replicas": 4,  # each has a worker
    }
    of_cluster = {process.pid for process in of_run(target.marks["AFTERSHOCK_RUN_ID"])}
    assert sorted(pid for found in pids.values() for pid in found) == sorted(of_cluster)
    watch = ProcessorWatch(tmp_path / "processor.jsonl", target.pids)
    before = {role: sum(map(spent_s, found)) for role, found in pids.items()}
    seen = watch.sample().roles
    after = {role: sum(map(spent_s, found)) for role, found in pids.items()}
    for role in pids:
        assert before[role] <= seen[role] + 1e-6 <= after[role] + 2e-6, role
    assert seen["gateway"] > 0


def test_a_busy_loop_beside_the_cluster_is_somebody_elses(
    target: LocalTarget, tmp_path: Path, eventually: Eventually
) -> None:
    watch = ProcessorWatch(tmp_path / "processor.jsonl", target.pids)
    loop = subprocess.Popen([sys.executable, "-c", BUSY])

    def of_cluster_s() -> float:
        return sum(spent_s(pid) for pids in target.pids().values() for pid in pids)

    try:
        before_s, first, after_s = of_cluster_s(), watch.sample(), of_cluster_s()
        used_s = spent_s(loop.pid)
        eventually(lambda: spent_s(loop.pid) > used_s + 1.5, within_s=60, what="1.5 s of a busy loop")
        used_s = spent_s(loop.pid) - used_s
        until_s, last, end_s = of_cluster_s(), watch.sample(), of_cluster_s()
    finally:
        loop.kill()
        loop.wait()
    usage = between(first, last)
    # Cores are counted in ticks, processes by the scheduler's clock: they agree over seconds, not to the hundredth.
    assert usage.others_cores * usage.phase.length_s > 0.8 * used_s
    assert until_s - after_s <= usage.ours_cores * usage.phase.length_s + 1e-5
    assert usage.ours_cores * usage.phase.length_s <= end_s - before_s + 1e-5


def test_what_a_killed_replica_used_stays_counted_and_its_replacement_adds_to_it(
    target: LocalTarget, tmp_path: Path, eventually: Eventually
) -> None:
    path = tmp_path / "processor.jsonl"
    with ProcessorWatch(path, target.pids, every_s=0.05):
        eventually(lambda: path.is_file() and path.read_text().count("\n") > 2, within_s=20, what="samples")
        [victim, _] = target.replicas()
        terminate(target, [victim])
        eventually(lambda: all_ready(target), within_s=20, what="the replacement")
    used_s = [sample.roles["replicas"] for sample in read_samples(path, 0.0)]
    assert used_s == sorted(used_s)
    assert used_s[-1] > used_s[0]


def test_samples_go_on_with_what_was_seen_last_when_the_target_cannot_tell_any_more(tmp_path: Path) -> None:
    told = iter([{"runner": [os.getpid()]}])

    def pids() -> dict[str, list[int]]:
        for each in told:
            return each
        raise InconclusiveError("the local cluster has ended")

    watch = ProcessorWatch(tmp_path / "processor.jsonl", pids)
    first, second = watch.sample(), watch.sample()
    assert second.roles["runner"] >= first.roles["runner"] > 0


def test_a_fork_counts_in_the_role_that_it_was_seen_in_last(tmp_path: Path) -> None:
    told = iter([{"standby": [os.getpid()]}, {"replicas": [os.getpid()], "standby": []}])
    watch = ProcessorWatch(tmp_path / "processor.jsonl", lambda: next(told))
    assert watch.sample().roles["standby"] > 0
    roles = watch.sample().roles
    assert roles["standby"] == 0
    assert roles["replicas"] > 0


# --- quotas


@contextmanager
def half_a_core() -> Iterator[Path]:
    """A group of processes that may use half a core, under the one that this process is in."""
    for parent in map(Path, ("/sys/fs/cgroup/cpu", "/sys/fs/cgroup")):
        folder = parent / f"test-{uuid.uuid4()}"
        v2 = parent.name == "cgroup"
        try:
            folder.mkdir()
        except OSError:
            continue
        try:
            limits = {"cpu.max": "50000 100000"} if v2 else {"cpu.cfs_quota_us": "50000"}
            for name, value in limits.items():
                (folder / name).write_text(value)
        except OSError:
            folder.rmdir()
            continue
        try:
            yield folder
        finally:
            folder.rmdir()
        return
    pytest.skip("this machine lets nobody here make a group with a CPU quota")


def test_under_a_real_quota_the_cores_are_those_of_the_quota_and_its_used_up_periods_are_full_time(
    tmp_path: Path,
) -> None:
    path = tmp_path / "processor.jsonl"
    with half_a_core() as folder:
        subprocess.run([sys.executable, "-c", UNDER_QUOTA, str(folder), str(path)], check=True, timeout=120)
    samples = read_samples(path, 0.0)
    usage = between(samples[0], samples[-1])
    assert usage.cores == 0.5
    assert usage.ours_cores < 0.6
    assert usage.throttled_share is not None
    # Where others leave less than half a core, no quota is used up: then the machine itself is full.
    assert usage.full_share > 0.5
    assert "of 0.5 cores ours" in usage.why


def group(path: Path, **files: str) -> None:
    path.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (path / name.replace("__", ".")).write_text(text)


V2 = {"cpu__max": "150000 100000\n", "cpu__stat": "usage_usec 5\nnr_periods 9\nnr_throttled 4\n"}
V1 = {
    "cpu__cfs_quota_us": "25000\n",
    "cpu__cfs_period_us": "50000\n",
    "cpu__stat": "nr_periods 9\nnr_throttled 8\n",
}
FREE = {"cpu__max": "max 100000\n", "cpu__stat": "nr_periods 0\nnr_throttled 0\n"}


@pytest.mark.parametrize(
    ("groups", "mounts", "own", "found"),
    [
        pytest.param({"top/a/b": FREE, "top/a": FREE}, "/ top cgroup2", "0::/a/b", None, id="v2 without"),
        pytest.param({"top/a/b": V2, "top/a": FREE}, "/ top cgroup2", "0::/a/b", Quota(1.5, 0.4), id="v2"),
        pytest.param({"top/a/b": FREE, "top/a": V2}, "/ top cgroup2", "0::/a/b", Quota(1.5, 0.4), id="above"),
        pytest.param({"top/a": V1}, "/ top cgroup", "4:cpu,cpuacct:/a", Quota(0.5, 0.4), id="v1"),
        pytest.param({"top": V1}, "/docker/x top cgroup", "4:cpu:/docker/x", Quota(0.5, 0.4), id="container"),
        pytest.param(
            {"top/sub": V1}, "/docker/x top cgroup", "4:cpu:/docker/x/sub", Quota(0.5, 0.4), id="below that"
        ),
        pytest.param(
            {"top": V2}, "/ top cgroup2", "0::/../elsewhere", Quota(1.5, 0.4), id="path not to be seen"
        ),
        pytest.param(
            {"top/a/b": V2, "top/a": V1}, "/ top cgroup2", "0::/a/b", Quota(0.5, 0.8), id="within each other"
        ),
        pytest.param({"top/a": V1}, "/ top cgroup", "4:memory:/a", None, id="another controller"),
        pytest.param({}, "/ top cgroup2", "", None, id="no groups"),
    ],
)
def test_the_quota_is_the_tightest_over_this_process(
    groups: dict[str, dict[str, str]], mounts: str, own: str, found: Quota | None, tmp_path: Path
) -> None:
    (tmp_path / "top").mkdir()
    for path, files in groups.items():
        group(tmp_path / path, **files)
    root, top, kind = mounts.split()
    line = f"31 23 0:28 {root} {tmp_path / top} rw,relatime shared:9 - {kind} none rw,cpu,cpuacct"
    assert quota(folders(line, own)) == found
