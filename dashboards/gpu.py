"""Dashboard GPU: device memory, what torch's allocator holds of it, and how fragmented that is."""

from dashboards import config, queries
from dashboards.panels import Dashboard, Panel, Row, Target

NO_GPU = "no GPU"


def gpu() -> Dashboard:
    """The dashboard."""
    return Dashboard(
        uid="aftershock-gpu",
        title="GPU",
        description="Memory of the devices, and of torch's allocator, with its two kinds of fragmentation.",
        rows=(
            Row("Devices", (answering(), collector(), used())),
            Row("torch's allocator", (reserved(), allocated(), slack(), split())),
        ),
        variables=(config.JOB, config.POD),
    )


def answering() -> Panel:
    """Whether there is anything to see."""
    return Panel(
        "Replicas with a GPU",
        "Replicas whose NVML answers and lists a GPU. 0 on machines without one.",
        "short",
        (Target(queries.gpus_answering(), "replicas with a GPU"),),
        kind="stat",
        width=6,
        no_value="no replica has the GPU collector",
    )


def collector() -> Panel:
    """Whether what is shown is true."""
    return Panel(
        "GPU part of the scrape",
        "1 where the last scrape's GPU part was complete, 0 where NVML failed or is not there; lowest first.",
        "short",
        (Target(queries.gpu_collector_success(), "{{pod}}"),),
        kind="bargauge",
        width=18,
        maximum=1,
        no_value="no replica has the GPU collector",
    )


def used() -> Panel:
    """Memory of the device."""
    return Panel(
        "Device memory used",
        "Allocated memory of each device, by whichever process (NVML). Replicas that share a device all report it: "
        "the greatest report is shown, never their sum.",
        "bytes",
        (Target(queries.gpu_memory_used_bytes(), "{{uuid}}"),),
        width=24,
        no_value=NO_GPU,
    )


def reserved() -> Panel:
    """What the allocator holds."""
    return Panel(
        "Reserved",
        "Memory that torch's allocator of a replica holds from the device.",
        "bytes",
        (Target(queries.gpu_memory_reserved_bytes(), "{{pod}} gpu {{gpu}}"),),
        no_value=NO_GPU,
    )


def allocated() -> Panel:
    """What tensors use of it."""
    return Panel(
        "Allocated",
        "Memory that torch's allocator has handed to tensors. Far below reserved, the rest is slack.",
        "bytes",
        (Target(queries.gpu_memory_allocated_bytes(), "{{pod}} gpu {{gpu}}"),),
        no_value=NO_GPU,
    )


def slack() -> Panel:
    """Held and unused."""
    return Panel(
        "Fragmentation: slack",
        "1 - allocated / reserved: held from the device, in no tensor. High after a burst, and harmless by itself.",
        "percentunit",
        (Target(queries.gpu_fragmentation("slack"), "{{pod}} gpu {{gpu}}"),),
        maximum=1,
        no_value=NO_GPU,
    )


def split() -> Panel:
    """Held, unused, and not to be given back."""
    return Panel(
        "Fragmentation: split blocks",
        "Inactive split blocks / reserved: free pieces of blocks in use, which cannot be given back to the device. "
        "Growing, it ends in an out-of-memory error with memory free.",
        "percentunit",
        (Target(queries.gpu_fragmentation("split"), "{{pod}} gpu {{gpu}}"),),
        maximum=1,
        no_value=NO_GPU,
    )
