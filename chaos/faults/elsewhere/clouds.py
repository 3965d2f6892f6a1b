"""AWSChaos, AzureChaos, GCPChaos: machines of a cloud are stopped, restarted, or lose a disk."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from chaos.faults.elsewhere.kind import elsewhere
from chaos.faults.manifest import FaultObject, WholeSpec
from chaos.reading.documents import Problem
from chaos.reading.strict import Int64, Listed

_REASON = "it asks a cloud's own API, with its keys, for a machine that is none of the target's"


class CloudSpec(WholeSpec):
    """What every machine of a cloud is reached by."""

    secret_name: str | None = None
    """the secret with the cloud's keys"""
    remote_cluster: str = ""
    """another cluster in which the fault is to happen"""


class AwsSpec(CloudSpec):
    """What happens to which machine."""

    action: Literal["ec2-stop", "ec2-restart", "detach-volume"]
    """what happens"""
    aws_region: str = ""
    """its region"""
    ec2_instance: str = ""
    """its id"""
    endpoint: str | None = None
    """where AWS is reached"""
    volume_id: Annotated[str | None, Field(alias="volumeID")] = None
    """the volume that it loses"""
    device_name: str | None = None
    """the device that the volume is"""


class AwsChaos(FaultObject):
    """A Chaos Mesh AWSChaos."""

    kind: Literal["AWSChaos"]
    """AWSChaos"""
    spec: AwsSpec
    """the fault"""


class AzureSpec(CloudSpec):
    """What happens to which machine."""

    action: Literal["vm-stop", "vm-restart", "disk-detach"]
    """what happens"""
    subscription_id: Annotated[str, Field(alias="subscriptionID")] = ""
    """whose it is"""
    resource_group_name: str = ""
    """its group"""
    vm_name: str = ""
    """its name"""
    disk_name: str | None = None
    """the disk that it loses"""
    lun: Int64 | None = None
    """the disk's number"""


class AzureChaos(FaultObject):
    """A Chaos Mesh AzureChaos."""

    kind: Literal["AzureChaos"]
    """AzureChaos"""
    spec: AzureSpec
    """the fault"""


class GcpSpec(CloudSpec):
    """What happens to which machine."""

    action: Literal["node-stop", "node-reset", "disk-loss"]
    """what happens"""
    project: str = ""
    """whose it is"""
    zone: str = ""
    """its zone"""
    instance: str = ""
    """its name"""
    device_names: Listed[str] | None = None
    """the disks that it loses"""


class GcpChaos(FaultObject):
    """A Chaos Mesh GCPChaos."""

    kind: Literal["GCPChaos"]
    """GCPChaos"""
    spec: GcpSpec
    """the fault"""


def _needed(spec: AwsSpec | AzureSpec | GcpSpec, action: str, **keys: object) -> Iterator[Problem]:
    for key, value in keys.items():
        if spec.action == action and value is None:
            yield Problem((key,), f"expected this key: the action {action} needs it")


AWS = elsewhere(
    AwsChaos,
    _REASON,
    plane="host",
    problems=lambda spec: _needed(
        spec, "detach-volume", volumeID=spec.volume_id, deviceName=spec.device_name
    ),
)
AZURE = elsewhere(
    AzureChaos,
    _REASON,
    plane="host",
    problems=lambda spec: _needed(spec, "disk-detach", diskName=spec.disk_name, lun=spec.lun),
)
GCP = elsewhere(
    GcpChaos,
    _REASON,
    plane="host",
    problems=lambda spec: _needed(spec, "disk-loss", deviceNames=spec.device_names),
)
