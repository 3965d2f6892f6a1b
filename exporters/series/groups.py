"""Every declared family, by the part that exports it."""

from exporters.series import collectors, comm, engine, gateway, gpu, probe, run, server

GROUPS = {
    "Inference server": server.FAMILIES,
    "Inference engine": engine.FAMILIES,
    "GPU": gpu.FAMILIES,
    "Collectors": collectors.FAMILIES,
    "Gateway": gateway.FAMILIES,
    "Probe": probe.FAMILIES,
    "Communication": comm.FAMILIES,
    "Experiment": run.FAMILIES,
    "Load": run.LOAD_FAMILIES,
}
"""In the order of METRICS.md."""
