"""Every query of every panel, asked of a real Prometheus that watched a real run with a fault."""

import math
import re
from collections.abc import Iterator

import pytest

from dashboards import config
from dashboards.boards.catalogue import dashboards
from dashboards.boards.panels import Target
from dashboards.queries.faults import fault_windows
from tests.support.observed_run import ObservedRun, observed_run
