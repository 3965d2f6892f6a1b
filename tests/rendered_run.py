"""`make render`: every dashboard drawn over a real run with a kill, judged, and its picture put into the docs.

`--prometheus URL` draws over a Prometheus that is there instead, of the last 15 minutes. Exit code 1 when a generated
file does not fit Grafana's own types, or a picture shows anything but what it should; every complaint names dashboard
and panel.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from chaos.prometheus import PrometheusClient
from tests.support.observed_run import ObservedRun, Pace, observed_run
from tests.support.recorded_gpu import POD, STEP_S, STEPS, recorded_gpu
from tests.render.drawing import GENERATED, Drawing, DrawingError, draw, install, schema_problems
from tests.render.drawn import Expected
