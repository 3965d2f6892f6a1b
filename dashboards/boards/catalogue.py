"""All dashboards, in the order in which a person looks at them, and the name of each file."""

from dashboards.boards.caches import caches
from dashboards.boards.experiment import experiment
from dashboards.boards.fitting import for_engine
from dashboards.boards.fleet import fleet
from dashboards.boards.gateway import gateway
from dashboards.boards.gpu import gpu
from dashboards.boards.load_generator import load_generator
from dashboards.boards.panels import Dashboard
from dashboards.boards.queueing import queueing
from dashboards.boards.serving import serving
from dashboards.engines import REFERENCE, Engine


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
