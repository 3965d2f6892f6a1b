"""Rules on Jobs, and on the names that whoever makes objects gives them."""

import re
from collections.abc import Iterator

from chaos.lint.objects import Inventory, Object
from chaos.lint.rule import rule
from chaos.reading.documents import Problem
from chaos.reading.names import is_name, is_namespace

_INPUT = re.compile(r"\$\{|\$\(|\{\{|%[sd]|\{[A-Za-z_]\w*\}|<[A-Za-z_]|\$[A-Z_]")
_LONGEST_CRON_JOB = 52
"""Kubernetes appends eleven characters to the names of a CronJob's Jobs."""


@rule("error", "Job", "CronJob")
def job_name(job: Object, _: Inventory) -> Iterator[Problem]:
    """The name of a Job is a DNS label, and no one's input.

    A Job's name becomes a label and the beginning of its pods' names. One made of what a user typed fails
    at the first capital letter or underscore, and two users with the same idea get one Job: let the cluster
    draw it (`generateName`).
    """
    name = job.root.at("metadata", "name")
    longest = _LONGEST_CRON_JOB if job.kind == "CronJob" else 63
    if not name.exists and not job.root.at("metadata", "generateName").text:
        yield name.problem("expected this key, or generateName")
    elif name.exists and _INPUT.search(name.text):
        yield name.problem("expected a name without anybody's input: use generateName")
    elif name.exists and (not is_namespace(name.text) or len(name.text) > longest):
        yield name.problem(
            f"expected a DNS label of at most {longest} lower-case letters, digits and inner '-'"
        )


@rule("error")
def object_name(each: Object, _: Inventory) -> Iterator[Problem]:
    """An object has a name that Kubernetes takes.

    Anything but lower-case letters, digits, inner `-` and `.` is refused by the API server.
    """
    metadata = each.root.at("metadata")
    name = metadata.at("name")
    if each.kind in ("Job", "CronJob") or each.group == "rbac.authorization.k8s.io":
        return  # a rule of their own; names of roles may be anything that fits a path
    if not name.exists and not metadata.at("generateName").text:
        if not each.of_kubernetes:
            return  # a file for a program, in the form of an object
        yield name.problem("expected this key (the object's name)")
    elif name.exists and not is_name(name.text):
        yield name.problem("expected a name of at most 253 lower-case letters, digits, inner '-' and '.'")


@rule("error", "Job")
def job_never_cleaned_up(job: Object, _: Inventory) -> Iterator[Problem]:
    """A Job says after how many seconds it may be removed once it has finished.

    Otherwise it and its pods stay for ever: some thousand load runs later the namespace's quota is full and
    the API server slow. A hook of Helm's that is deleted by Helm is cleaned up as well.
    """
    ttl = job.spec.at("ttlSecondsAfterFinished")
    by_helm = job.root.at("metadata", "annotations", "helm.sh/hook-delete-policy").text
    if ttl.number is None and not by_helm:
        yield ttl.problem("expected this key (when it may be removed)")


@rule("advice", "Job", "CronJob")
def job_without_deadline(job: Object, _: Inventory) -> Iterator[Problem]:
    """A Job has a deadline.

    One that hangs, because what it loads is gone, holds its resources for ever; a CronJob that forbids
    concurrency never runs again.
    """
    spec = job.spec if job.kind == "Job" else job.spec.at("jobTemplate", "spec")
    pod = spec.at("template", "spec", "activeDeadlineSeconds")
    deadline = spec.at("activeDeadlineSeconds")
    if not deadline.exists and not pod.exists:
        yield deadline.problem("expected this key (how long it may take)")
