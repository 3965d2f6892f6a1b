"""The experiment file: what is shipped, every key misspelt, what spans files, the copy as run, the page."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaos.errors import ExitCode, InputError
from chaos.experiment.experiment import Experiment, read_experiment, read_file, write_as_run
from chaos.reading.documents import dump
from chaos.reading.quantities import CapacityShare, duration_text
from chaos.targets.local.options import LocalOptions
from chaos.targets.local.spec import LIVENESS, READINESS
from exporters.slo import E2E_BOUND_S, TTFT_BOUND_S

CHAOS = Path(__file__).parent.parent / "chaos"
SHIPPED = CHAOS / "experiments" / "pod-kill-30.yaml"
MANIFEST = CHAOS / "manifests" / "pod-kill-30.yaml"
MINIMAL: dict[str, Any] = {
    "experiment": "smallest",
    "hypothesis": "It holds.",
    "target": {"local": {"replicas": 3}},
    "load": {"rate": 5},
    "phases": {"baseline": "10s", "observe": "35s"},
    "fault": {"manifest": "../manifests/pod-kill-30.yaml", "max_targets": 1},
    "assertions": ["lost_requests == 0"],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The two folders of an experiment and its manifest, the manifest in place."""
    (tmp_path / "experiments").mkdir()
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / MANIFEST.name).write_text(MANIFEST.read_text())
    return tmp_path


def read(folder: Path, text: str) -> Experiment:
    path = folder / "experiments" / "file.yaml"
    path.write_text(text)
    return read_experiment(path)


def local(experiment: Experiment) -> LocalOptions:
    assert isinstance(experiment.target, LocalOptions)
    return experiment.target


def changed(where: str, value: object) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load(dump(MINIMAL))
    place = values
    *parents, last = where.split(".")
    for key in parents:
        place = place.setdefault(key, {})
    place[last] = value
    return values


def test_shipped_experiment_is_the_main_job() -> None:
    experiment = read_experiment(SHIPPED)
    spec = experiment.spec
    [planned] = experiment.faults
    assert (spec.experiment, local(experiment).replicas, planned.radius.max_targets) == ("pod-kill-30", 10, 3)
    assert planned.fault.how_many == "fixed-percent 30"
    assert [str(assertion) for assertion in experiment.assertions] == list(spec.assertions)
    assert spec.load.rate == CapacityShare(60.0), "whatever machine it runs on"


def test_the_shipped_experiment_waits_for_longer_than_it_claims() -> None:
    experiment = read_experiment(SHIPPED)
    bounds_s = {str(assertion).split(" <= ")[0]: assertion.bound for assertion in experiment.assertions}
    assert experiment.spec.recovery.within_s > bounds_s["recovery.service"]
    assert experiment.spec.recovery.within_s > bounds_s["recovery.capacity"]


def test_smallest_experiment_gets_every_default(folder: Path) -> None:
    experiment = read(folder, dump(MINIMAL))
    spec = experiment.spec
    assert spec.seed is None
    assert (spec.slo.ttft_s, spec.slo.e2e_s, spec.slo.itl_s) == (TTFT_BOUND_S, E2E_BOUND_S, None)
    probes = local(experiment).probes
    assert (probes.readiness.spec, probes.liveness.spec) == (READINESS, LIVENESS)
    assert spec.entries[0].blast_radius.protected_namespaces == ("kube-system",)
    assert local(experiment).zones == ("zone-a", "zone-b", "zone-c")


def test_half_a_probe_keeps_the_other_defaults(folder: Path) -> None:
    readiness = local(read(folder, dump(changed("target.local.probes.readiness.period", "1s")))).probes
    assert (readiness.readiness.period_s, readiness.readiness.path) == (1.0, READINESS.path)
    assert readiness.liveness.spec == LIVENESS


def keys(
    node: yaml.Node, key_path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], yaml.Node, yaml.Node]]:
    """Every key of a file with its place in the text; env holds names of another program."""
    if isinstance(node, yaml.MappingNode) and key_path[-1:] != ("env",):
        for key, value in node.value:
            yield (*key_path, key.value), key, value
            yield from keys(value, (*key_path, key.value))


def misspellings(path: Path) -> Iterator[Any]:
    text = path.read_text()
    root = yaml.compose(text)
    assert root is not None
    for key_path, key, value in keys(root):
        start, end = key.start_mark.index, key.end_mark.index
        for change, misspelt in (("doubled", key.value + key.value[-1]), ("dropped", key.value[:-1])):
            shown = value.value if isinstance(value, yaml.ScalarNode) and value.style is None else ""
            where = ".".join((*key_path[:-1], misspelt))
            name = f"{path.parent.name}-{where}-{change}"
            yield pytest.param(
                text[:start] + misspelt + text[end:], key.start_mark.line + 1, where, shown, id=name
            )


@pytest.mark.parametrize(("text", "line", "where", "value"), list(misspellings(SHIPPED)))
def test_every_key_of_the_shipped_experiment_misspelt_is_refused(
    folder: Path, text: str, line: int, where: str, value: str
) -> None:
    with pytest.raises(InputError) as caught:
        read(folder, text)
    assert f"{folder / 'experiments' / 'file.yaml'}:{line}: {where}: unknown key" in str(caught.value)
    assert value in str(caught.value)
    assert caught.value.exit_code == ExitCode.WRONG_INPUT


@pytest.mark.parametrize(("text", "line", "where", "value"), list(misspellings(MANIFEST)))
def test_every_key_of_the_shipped_manifest_misspelt_is_refused(
    folder: Path, text: str, line: int, where: str, value: str
) -> None:
    manifest = folder / "manifests" / MANIFEST.name
    manifest.write_text(text)
    with pytest.raises(InputError) as caught:
        read(folder, SHIPPED.read_text())
    assert re.search(
        rf"{MANIFEST.name}:{line}: {where}: (unknown key|expected a label of the)", str(caught.value)
    )
    assert value in str(caught.value)


@pytest.mark.parametrize(
    ("where", "value", "complaint"),
    [
        ("experiment", "Pod Kill", "experiment: expected a name of at most 63 lower-case letters"),
        ("hypothesis", "  ", "hypothesis: expected text that says something"),
        ("seed", -1, "seed: expected a number from 0, got -1"),
        ("seed", 1.5, "seed: expected a whole number, got 1.5"),
        ("target.kubernetes", {}, "target: expected exactly one of local"),
        ("target.local.replicas", 0, "target.local.replicas: expected a number from 1, got 0"),
        ("target.local.replicas", "3", "target.local.replicas: expected a whole number, got '3'"),
        ("target.local.labels", {"zone": "x"}, "target.local.labels.zone: expected as key none of app, zone"),
        ("target.local.labels", {"a": 1}, "target.local.labels.a: expected text: put it in quotes, got 1"),
        ("target.local.zones", [], "target.local.zones: expected a list of at least 1, got an empty list"),
        ("target.local.zones", ["a", "b", "a"], "target.local.zones[2]: expected each zone once, got a"),
        (
            "target.local.command",
            ["serve", "{prot}"],
            "target.local.command[1]: expected no placeholder but {port}",
        ),
        ("target.local.command", ["serve"], "target.local.command: expected {port} in it, or in env"),
        ("target.local.command", "serve", "target.local.command: expected a list, got serve"),
        ("target.local.env", {"PORT": 1}, "target.local.env.PORT: expected text: put it in quotes, got 1"),
        (
            "target.local.env",
            {"PORT": "{ports}"},
            "target.local.env.PORT: expected no placeholder but {port}",
        ),
        (
            "target.local.probes",
            {"readiness": {"path": "x"}},
            "readiness.path: expected a path that starts with",
        ),
        ("target.local.probes", {"startup": {}}, "target.local.probes.startup: unknown key"),
        ("target.local.ready_within", 120, "target.local.ready_within: expected a duration such as"),
        ("target.local.ready_within_s", 120.0, "ready_within_s: unknown key (did you mean ready_within?)"),
        (
            "load.rate",
            0,
            "load.rate: expected a number above 0, or a share up to 100% such as 60% of capacity, got 0",
        ),
        ("load.rate", "18", "such as 60% of capacity, got '18'"),
        ("load.rate", True, "such as 60% of capacity, got true"),
        ("load.rate", "0% of capacity", "such as 60% of capacity, got 0% of capacity"),
        ("load.rate", "101% of capacity", "such as 60% of capacity, got 101% of capacity"),
        ("load.rate", "60 of capacity", "such as 60% of capacity, got 60 of capacity"),
        ("load.rate", "-5% of capacity", "such as 60% of capacity, got -5% of capacity"),
        ("load.capacity", {"measured": 25.0}, "load.capacity.share: expected this key"),
        ("load.arrivals", "uniform", "load.arrivals: expected 'poisson', 'constant' or 'gamma', got uniform"),
        ("load.timeouts.ttft", "0s", "load.timeouts.ttft: expected a duration such as"),
        ("phases.warmup", "-1s", "phases.warmup: expected a duration such as"),
        ("phases.baseline", "0s", "phases.baseline: expected above zero"),
        (
            "phases.observe",
            "34s",
            "phases.observe: expected at least recovery.within + recovery.hold = 35s, got 34s",
        ),
        (
            "recovery",
            {"within": "31s"},
            "phases.observe: expected at least recovery.within + recovery.hold = 36s",
        ),
        ("recovery", {"window": "6s"}, "recovery.window: expected at most recovery.hold = 5s, got 6s"),
        ("recovery", {"goodput": 95}, "recovery.goodput: expected a ratio such as 95% or 0.95, got 95"),
        ("recovery", {"goodput": "101%"}, "recovery.goodput: expected a ratio such as 95% or 0.95, got 101%"),
        ("slo.ttft", 0.5, "slo.ttft: expected a duration such as 250ms, 15s or 1m30s, got 0.5"),
        ("slo.availability", "99%", "slo.availability: unknown key, expected one of ttft, e2e, itl"),
        ("fault.manifest", "absent.yaml", "fault.manifest: expected a file, there is none at "),
        ("fault.manifest", "..", "fault.manifest: expected a file, there is none at "),
        ("fault.max_targets", 0, "fault.max_targets: expected a number from 1, got 0"),
        (
            "fault.protected_pods",
            ["dns-0"],
            "fault.protected_pods[0]: expected a pod as NAMESPACE/NAME, got dns-0",
        ),
        ("assertions", [], "assertions: expected a list of at least 1, got an empty list"),
        ("assertions", ["lost_requests == 0", "p99(tft, fault) < 1s"], "assertions[1]: "),
    ],
    ids=str,
)
def test_what_is_wrong_is_refused_with_key_path_and_expectation(
    folder: Path, where: str, value: object, complaint: str
) -> None:
    with pytest.raises(InputError) as caught:
        read(folder, dump(changed(where, value)))
    assert str(caught.value).startswith(f"{folder / 'experiments' / 'file.yaml'}:")
    assert complaint in str(caught.value)


@pytest.mark.parametrize("key", [key for key in MINIMAL if key != "seed"])
def test_missing_key_is_refused_with_its_meaning(folder: Path, key: str) -> None:
    values = {other: value for other, value in MINIMAL.items() if other != key}
    with pytest.raises(InputError, match=rf": {key}: expected this key \(\w.+\), got nothing"):
        read(folder, dump(values))


def test_problems_of_different_sections_are_named_together(folder: Path) -> None:
    values = changed("phases.observe", "1s")
    values["target"]["local"]["command"] = ["serve"]
    values["assertions"] = ["p99(tft, fault) < 1s", "lost_requests == 0", "nonsense"]
    with pytest.raises(InputError) as caught:
        read(folder, dump(values))
    for where in ("phases.observe", "target.local.command", "assertions[0]", "assertions[2]"):
        assert f": {where}: " in str(caught.value)


def test_port_may_be_handed_over_in_the_environment(folder: Path) -> None:
    values = changed("target.local.env", {"PORT": "{port}"})
    values["target"]["local"]["command"] = ["serve", '{"json": {"braces": "stay"}}']
    assert local(read(folder, dump(values))).command[0] == "serve"


def test_warmup_may_be_zero_and_observe_just_long_enough(folder: Path) -> None:
    assert read(folder, dump(changed("phases.warmup", "0s"))).spec.phases.warmup_s == 0.0


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (
            "[inference]",
            "[other]",
            "spec.selector.namespaces: expected to include inference, where the target's",
        ),
        (
            "app: reference-server",
            "app: vllm",
            "spec.selector.labelSelectors.app: expected what the target's",
        ),
        (
            "app: reference-server",
            "tier: gold",
            "spec.selector.labelSelectors.tier: expected a label of the target's",
        ),
        (
            "app: reference-server",
            "zone: zone-z",
            "labelSelectors.zone: expected what the target's replicas have: zone-a",
        ),
        (
            "    labelSelectors:",
            "    nodes: [node-zone-a, n1]\n    labelSelectors:",
            "nodes[1]: expected a node of",
        ),
        (
            "    labelSelectors:",
            "    pods: {other: [a]}\n    labelSelectors:",
            "spec.selector.pods: expected to include",
        ),
        ('"30"', "30", "spec.value: expected text: put it in quotes, got 30"),
    ],
)
def test_manifest_that_cannot_fit_the_target_is_refused_by_its_own_path(
    folder: Path, old: str, new: str, complaint: str
) -> None:
    manifest = folder / "manifests" / MANIFEST.name
    assert old in manifest.read_text()
    manifest.write_text(manifest.read_text().replace(old, new))
    with pytest.raises(InputError) as caught:
        read(folder, dump(MINIMAL))
    assert f"manifests/{MANIFEST.name}:" in str(caught.value)
    assert complaint in str(caught.value)


def test_selector_may_ask_for_the_targets_own_labels(folder: Path) -> None:
    manifest = folder / "manifests" / MANIFEST.name
    labels = "app: reference-server\n      zone: zone-b\n      tier: gold"
    manifest.write_text(manifest.read_text().replace("app: reference-server", labels))
    experiment = read(folder, dump(changed("target.local.labels", {"tier": "gold"})))
    chosen = experiment.faults[0].fault.selection
    assert chosen is not None
    selector = chosen.selector
    assert selector.label_selectors["tier"] == "gold"


def test_manifest_of_several_documents_is_one_too_many_for_an_experiment(folder: Path) -> None:
    manifest = folder / "manifests" / MANIFEST.name
    manifest.write_text(f"{MANIFEST.read_text()}---\n{MANIFEST.read_text()}")
    kills = read_file(manifest)
    assert isinstance(kills, tuple)
    assert [kill.name for kill in kills] == ["pod-kill-30", "pod-kill-30"]
    with pytest.raises(InputError, match=r"expected one document, got 2"):
        read(folder, dump(MINIMAL))


def test_file_of_either_kind_is_recognised() -> None:
    assert isinstance(read_file(SHIPPED), Experiment)
    assert isinstance(read_file(MANIFEST), tuple)


def test_copy_as_run_reads_back_equal_and_runs_again(tmp_path: Path) -> None:
    experiment = read_experiment(SHIPPED)
    versions = {"aftershock": "0.1.0", "python": "3.11"}
    copy = write_as_run(experiment, tmp_path / "experiment.yaml", seed=7, versions=versions)
    fault = experiment.spec.entries[0].model_copy(update={"manifest": "manifest.yaml"})
    assert copy.spec == experiment.spec.model_copy(update={"seed": 7, "versions": versions, "fault": fault})
    assert copy.assertions == experiment.assertions
    assert (tmp_path / "manifest.yaml").read_bytes() == MANIFEST.read_bytes()
    (tmp_path / "again").mkdir()
    again = write_as_run(copy, tmp_path / "again" / "experiment.yaml", seed=7, versions=versions)
    assert again.spec == copy.spec


def test_copy_as_run_spells_out_every_default(folder: Path) -> None:
    path = folder / "experiment.yaml"
    write_as_run(read(folder, dump(MINIMAL)), path, seed=1, versions={})
    written = yaml.safe_load(path.read_text())
    assert written["slo"] == {"ttft": duration_text(TTFT_BOUND_S), "e2e": duration_text(E2E_BOUND_S)}
    assert written["target"]["local"]["ready_within"] == "120s"
    assert written["recovery"]["goodput"] == 0.95


@pytest.mark.parametrize(
    ("at", "lasts", "refusal"),
    [
        ("0s", "30s", None),
        ("0s", "31s", "expected at least recovery.hold = 5s after the last fault at 31s, got 35s"),
        (
            "1s",
            "10s",
            "expected at least recovery.within + recovery.hold = 35s after the first fault at 1s, got 35s",
        ),
    ],
)
def test_a_run_goes_on_until_the_first_fault_is_over_in_time_and_for_a_hold_after_the_last_one(
    folder: Path, at: str, lasts: str, refusal: str | None
) -> None:
    down = MANIFEST.read_text().replace("action: pod-kill", "action: pod-failure")
    down = down.replace("  duration: 30s", f"  duration: {lasts}")
    (folder / "manifests" / "down.yaml").write_text(down)
    fault = {"manifest": "../manifests/down.yaml", "max_targets": 1, "at": at, "jitter": "0s"}
    text = dump(changed("fault", fault))
    if refusal is None:
        assert read(folder, text).spec.phases.observe_s == 35
    else:
        with pytest.raises(InputError, match=re.escape(f"phases.observe: {refusal}")):
            read(folder, text)


@pytest.mark.parametrize(("bound", "refused"), [("5s", False), ("6s", True)])
def test_a_run_goes_on_until_a_recovery_after_the_end_can_be_seen_to_be_in_time(
    folder: Path, bound: str, *, refused: bool
) -> None:
    down = MANIFEST.read_text().replace("action: pod-kill", "action: pod-failure")
    (folder / "manifests" / "down.yaml").write_text(down.replace("  duration: 30s", "  duration: 25s"))
    fault = {"manifest": "../manifests/down.yaml", "max_targets": 1, "at": "0s", "jitter": "0s"}
    claimed = changed("assertions", [f"recovery.service_after_end <= {bound}"])
    text = dump({**claimed, "fault": fault})
    if not refused:
        assert read(folder, text).spec.phases.observe_s == 35
        return
    complaint = (
        "phases.observe: expected at least recovery.hold + the bound of recovery.service_after_end = 11s "
        "after the last fault at 25s, got 35s"
    )
    with pytest.raises(InputError, match=re.escape(complaint)):
        read(folder, text)
