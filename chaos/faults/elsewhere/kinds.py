"""Every kind that is understood and cannot be run: the one list of them."""

from chaos.faults import status_check
from chaos.faults.elsewhere import clouds, files, inside, jvm, machines
from chaos.faults.fault import Kind

ELSEWHERE: tuple[Kind, ...] = (
    files.IO,
    inside.DNS,
    inside.KERNEL,
    inside.BLOCK,
    jvm.JVM,
    clouds.AWS,
    clouds.AZURE,
    clouds.GCP,
    machines.PHYSICAL_MACHINE_CHAOS,
    machines.PHYSICAL_MACHINE,
    machines.REMOTE_CLUSTER,
    status_check.STATUS_CHECK,
)
