"""`aftershock init`: a commented experiment for a URL, a command or a cluster, read back before anybody runs it."""

import argparse
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from chaos.errors import ExitCode, InputError
from chaos.experiment.experiment import read_experiment
from chaos.options import Verbs, url
from chaos.reading import documents
from loadtests.endpoint import Endpoint

_MANIFEST, _APP = "pod-kill.yaml", "replica"
_EXAMPLES = """\
examples:
  aftershock init --url http://127.0.0.1:8000
  aftershock init --command 'vllm serve my-model --port {port}' --ready-path /health
  aftershock init --namespace inference --selector app=vllm --service vllm --replicas 4

It writes one experiment (and, with a fault, its manifest beside it), over no file that is there, and says what to type
next.
"""


@dataclass(frozen=True, slots=True)
class _Written:
    """What is to be written: text by file name."""

    template: str
    values: Mapping[str, str]
    manifest: Mapping[str, str] | None
    """Values of the manifest beside it; None where nothing is injected."""


def add_init(verbs: Verbs) -> None:
    """`aftershock init`."""
    init = verbs.add_parser(
        "init",
        help="write a commented experiment for a URL, a command or a cluster of yours",
        description="Write a first experiment, commented and valid, for a system of your own. Runs nothing.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    where = init.add_mutually_exclusive_group(required=True)
    where.add_argument("--url", type=url, metavar="URL", help="a service that runs already")
    where.add_argument("--command", metavar="TEXT", dest="replica", help="what starts one replica at {port}")
    where.add_argument("--namespace", metavar="NAME", help="of replicas in a Kubernetes")
    add = init.add_argument
    add("--selector", metavar="KEY=VALUE", help="a label of all replicas, with --namespace")
    add("--service", metavar="NAME", help="the Service in front of them, with --namespace")
    add("--replicas", type=int, default=3, metavar="N", help="how many there are, with --namespace")
    add("--ready-path", default="/health", metavar="PATH", help="with --command (default: %(default)s)")
    add("--out", type=Path, default=Path("experiment.yaml"), metavar="FILE", help="default: %(default)s")
    init.set_defaults(command=_init)


def _init(given: argparse.Namespace) -> int:
    path: Path = given.out
    wanted = _wanted(given)
    texts = {path: _filled(wanted.template, {**wanted.values, "file": str(path), "name": _name(path)})}
    if wanted.manifest is not None:
        texts[path.with_name(_MANIFEST)] = _filled(_MANIFEST, wanted.manifest)
    for there in texts:
        if there.exists():
            raise InputError(
                f"expected a file that is not there yet, got {there}", hint="--out names another"
            )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for file, text in texts.items():
            file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error
    try:
        read_experiment(path)
    except InputError:  # what was given is no name, or no label
        for file in texts:
            file.unlink()
        raise
    print(f"wrote {', '.join(map(str, texts))}")
    print(f"next  aftershock validate {shlex.quote(str(path))}")
    print(f"then  aftershock run {shlex.quote(str(path))}")
    return ExitCode.PASSED


def _wanted(given: argparse.Namespace) -> _Written:
    if given.url is not None:
        return _for_url(given.url)
    return _for_command(given) if given.replica is not None else _for_cluster(given)


def _for_url(text: str) -> _Written:
    if Endpoint.parse(text).api_key:
        raise InputError(
            "--url: expected none with a key in it: a file is read by others",
            hint="name its variable in the file: target.external.api_key_env",
        )
    return _Written("url.yaml", {"url": _scalar(text)}, None)


def _for_command(given: argparse.Namespace) -> _Written:
    words = shlex.split(given.replica)
    if not any("{port}" in word for word in words):
        raise InputError(
            f"--command: expected {{port}} in it, where a replica is to listen, got {given.replica!r}"
        )
    values = {
        "command": json.dumps(words, ensure_ascii=False),
        "app": _APP,
        "ready_path": _scalar(given.ready_path),
        "manifest": _MANIFEST,
    }
    return _Written("command.yaml", values, {"namespace": "inference", "selector": f"{{app: {_APP}}}"})


def _for_cluster(given: argparse.Namespace) -> _Written:
    if given.selector is None or given.service is None:
        raise InputError("--namespace: expected --selector and --service with it")
    key, _, value = given.selector.partition("=")
    namespace, selector = _scalar(given.namespace), f"{{{_scalar(key)}: {_scalar(value)}}}"
    values = {
        "namespace": namespace,
        "selector": selector,
        "service": _scalar(given.service),
        "replicas": str(given.replicas),
        "manifest": _MANIFEST,
    }
    return _Written("cluster.yaml", values, {"namespace": namespace, "selector": selector})


def _filled(template: str, values: Mapping[str, str]) -> str:
    return files("chaos.first").joinpath(template).read_text(encoding="utf-8").format(**values)


def _scalar(text: str) -> str:
    """A text as YAML has it, in quotes where it would be taken for anything else."""
    return documents.dump({"text": text}).removeprefix("text:").strip()


def _name(path: Path) -> str:
    """The experiment's name: that of its file, as far as that is one."""
    kept = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in path.stem.lower())
    return kept.strip("-")[:63].strip("-") or "first"
