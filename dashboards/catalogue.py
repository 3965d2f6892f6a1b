"""All dashboards, in the order in which a person looks at them, and the name of each file."""

from dashboards.caches import caches
from dashboards.engines import REFERENCE, Engine
from dashboards.experiment import experiment
from dashboards.fleet import fleet
from dashboards.gateway import gateway
from dashboards.gpu import gpu
from dashboards.load_generator import load_generator
from dashboards.panels import Dashboard
from dashboards.queueing import queueing
from dashboards.serving import serving
from dashboards.translation import for_engine


def dashboards(engine: Engine = REFERENCE) -> dict[str, Dashboard]:
    """By the name of their file, without its suffix; those that have nothing about the engine are left out."""
    ours = {
        "fleet": fleet(),
        "serving": serving(),
        "queue": queueing(),
        "caches": caches(),
        "gpu": gpu(),
        "gateway": gateway(),
        "experiment": experiment(),
        "load-generator": load_generator(),
    }
    of_engine = {name: for_engine(dashboard, engine) for name, dashboard in ours.items()}
    return {name: dashboard for name, dashboard in of_engine.items() if dashboard is not None}
