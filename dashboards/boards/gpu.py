"""Dashboard GPU: what the devices do, what holds them back, and what torch's allocator makes of their memory."""

from dashboards import config
from dashboards.boards import variables
from dashboards.boards.panels import Dashboard, Limit, Panel, Query, Row, Unit
from dashboards.queries import gpu as query
from dashboards.queries.expression import Expression
from exporters.series import gpu as declared

NO_GPU = "no GPU, or none that tells this"
_DEVICE, _ALLOCATOR = "{{uuid}}", "{{pod}} gpu {{gpu}}"


def gpu() -> Dashboard:
    return Dashboard(
        uid="aftershock-gpu",
        title="GPU",
        description="Devices: work, power, clocks, errors; their memory, and how torch's allocator fragments it.",
        rows=(
            Row("Devices", (answering(), collector(), *devices())),
            Row("What holds them back", (*clocks(), throttling())),
            Row("Errors", errors()),
            Row("torch's allocator", allocator()),
        ),
        variables=(*variables.PLACES, variables.JOB, variables.POD, variables.EXPERIMENT),
    )


def answering() -> Panel:
    return Panel(
        "Replicas with a GPU",
        "Replicas whose NVML answers and lists a GPU. 0 on machines without one.",
        "short",
        (Query(query.answering(), "replicas with a GPU"),),
        kind="stat",
        width=6,
        no_value="no replica has the GPU collector",
    )


def collector() -> Panel:
    return Panel(
        "GPU part of the scrape",
        "1 where the last scrape's GPU part was complete, 0 where NVML failed or is not there; lowest first.",
        "short",
        (Query(query.collector_success(), "{{pod}}"),),
        kind="bargauge",
        width=18,
        maximum=1,
        no_value="no replica has the GPU collector",
    )


def devices() -> tuple[Panel, ...]:
    return (
        _panel(
            "Device memory used",
            "Allocated memory of each device, by whichever process (NVML). Replicas that share a device all report "
            "it: the greatest report is shown, never their sum.",
            "bytes",
            (query.of_device("gpu_memory_used"), f"{_DEVICE} used"),
            (query.of_device("gpu_memory_total"), f"{_DEVICE} there"),
        ),
        _panel(
            "Utilisation",
            "Share of the driver's sample period in which any kernel ran: 1 does not mean that the device is full.",
            "percentunit",
            (query.of_device("gpu_util"), _DEVICE),
            maximum=1,
        ),
        _panel(
            "Power",
            "Draw of the board. Flat at its cap under load: the power cap holds the clocks down.",
            "watt",
            (query.of_device("gpu_power"), _DEVICE),
        ),
        _panel(
            "Temperature",
            "Of the die. Clocks fall when it reaches the device's limit: see what holds them back.",
            "celsius",
            (query.of_device("gpu_temperature"), _DEVICE),
        ),
        _panel(
            "NVLink",
            "Payload over all links of a device, by direction. Absent where there is none.",
            "Bps",
            (query.events("gpu_nvlink_bytes", "direction"), f"{_DEVICE} {{{{direction}}}}"),
            width=24,
        ),
    )


def clocks() -> tuple[Panel, ...]:
    return tuple(
        _panel(
            f"Clock: {name}",
            f"Current clock of {of}, of the {config.WORST} devices where it is lowest. Idle devices clock down too.",
            "hertz",
            (query.clock(which), _DEVICE),
        )
        for which, name, of in (
            ("sm", "compute", "the streaming multiprocessors"),
            ("memory", "memory", "the memory"),
        )
    )


def throttling() -> Panel:
    return _panel(
        "Throttling",
        "1 while this holds the clocks down. power_cap is usual under full load; the thermal ones and power_brake "
        "are trouble with cooling or supply.",
        "short",
        (query.of_device("gpu_throttle", "reason"), f"{_DEVICE} {{{{reason}}}}"),
        maximum=1,
        width=24,
    )


def errors() -> tuple[Panel, ...]:
    return (
        _panel(
            "ECC errors",
            "Memory errors per second. Uncorrected ones end processes; corrected ones that keep coming announce them.",
            "suffix:/s",
            (query.events("gpu_ecc_errors", "kind"), f"{_DEVICE} {{{{kind}}}}"),
        ),
        _panel(
            "XID events",
            "Events that the driver logged, per second, by code. Any of them is worth a look: 79 is a device that "
            "fell off the bus, 48 and 94 are memory, 31 and 13 usually the program's fault.",
            "suffix:/s",
            (query.events("gpu_xid_events", "xid"), f"{_DEVICE} XID {{{{xid}}}}"),
            limit=Limit(0.001, good="below"),
        ),
    )


def allocator() -> tuple[Panel, ...]:
    return (
        _panel(
            "Reserved",
            "Memory that torch's allocator of a replica holds from the device.",
            "bytes",
            (query.of_allocator("gpu_memory_reserved"), _ALLOCATOR),
        ),
        _panel(
            "Allocated",
            "Memory that torch's allocator has handed to tensors. Far below reserved, the rest is slack.",
            "bytes",
            (query.of_allocator(declared.GPU_MEMORY_ALLOCATED), _ALLOCATOR),
        ),
        _panel(
            "Fragmentation: slack",
            "1 - allocated / reserved: held from the device, in no tensor. High after a burst, harmless by itself.",
            "percentunit",
            (query.fragmentation("slack"), _ALLOCATOR),
            maximum=1,
        ),
        _panel(
            "Fragmentation: split blocks",
            "Inactive split blocks / reserved: free pieces of blocks in use, which cannot be given back to the "
            "device. Growing, it ends in an out-of-memory error with memory free.",
            "percentunit",
            (query.fragmentation("split"), _ALLOCATOR),
            maximum=1,
        ),
        _panel(
            "Allocations in trouble",
            "Per second: allocations that had to give cached memory back first, and those that failed for good.",
            "suffix:/s",
            (query.allocator_trouble(declared.GPU_ALLOCATOR_RETRIES), "{{pod}} retried"),
            (query.allocator_trouble(declared.GPU_ALLOCATOR_OOMS), "{{pod}} out of memory"),
            width=24,
        ),
    )


def _panel(
    title: str,
    description: str,
    unit: Unit,
    *asked: tuple[Expression, str],
    maximum: float | None = None,
    limit: Limit | None = None,
    width: int = 12,
) -> Panel:
    queries = tuple(Query(expression, legend) for expression, legend in asked)
    return Panel(
        title, description, unit, queries, maximum=maximum, limit=limit, width=width, no_value=NO_GPU
    )
