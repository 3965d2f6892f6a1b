"""Faults inside of other objects: which key of a Schedule or of a Workflow's template holds the spec of which kind."""

from collections.abc import Mapping
from typing import Any

from chaos.faults.manifest import Camel

BLOCKS = {
    "AWSChaos": "awsChaos",
    "AzureChaos": "azureChaos",
    "BlockChaos": "blockChaos",
    "DNSChaos": "dnsChaos",
    "GCPChaos": "gcpChaos",
    "HTTPChaos": "httpChaos",
    "IOChaos": "ioChaos",
    "JVMChaos": "jvmChaos",
    "KernelChaos": "kernelChaos",
    "NetworkChaos": "networkChaos",
    "PhysicalMachineChaos": "physicalmachineChaos",
    "PodChaos": "podChaos",
    "StressChaos": "stressChaos",
    "TimeChaos": "timeChaos",
}
"""The key of each kind's spec."""


class Blocks(Camel):
    """The spec of a fault, under the key of its kind."""

    aws_chaos: Mapping[str, Any] | None = None
    """the spec of an AWSChaos"""
    azure_chaos: Mapping[str, Any] | None = None
    """the spec of an AzureChaos"""
    block_chaos: Mapping[str, Any] | None = None
    """the spec of a BlockChaos"""
    dns_chaos: Mapping[str, Any] | None = None
    """the spec of a DNSChaos"""
    gcp_chaos: Mapping[str, Any] | None = None
    """the spec of a GCPChaos"""
    http_chaos: Mapping[str, Any] | None = None
    """the spec of an HTTPChaos"""
    io_chaos: Mapping[str, Any] | None = None
    """the spec of an IOChaos"""
    jvm_chaos: Mapping[str, Any] | None = None
    """the spec of a JVMChaos"""
    kernel_chaos: Mapping[str, Any] | None = None
    """the spec of a KernelChaos"""
    network_chaos: Mapping[str, Any] | None = None
    """the spec of a NetworkChaos"""
    physicalmachine_chaos: Mapping[str, Any] | None = None
    """the spec of a PhysicalMachineChaos"""
    pod_chaos: Mapping[str, Any] | None = None
    """the spec of a PodChaos"""
    stress_chaos: Mapping[str, Any] | None = None
    """the spec of a StressChaos"""
    time_chaos: Mapping[str, Any] | None = None
    """the spec of a TimeChaos"""

    def blocks(self) -> dict[str, Mapping[str, Any]]:
        """The specs that are there, by their keys."""
        found = {info.alias or name: getattr(self, name) for name, info in Blocks.model_fields.items()}
        return {key: spec for key, spec in found.items() if spec is not None}
