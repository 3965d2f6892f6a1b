"""The rules: promtool's verdict on every file, when each alert fires, and that nothing about them is stale."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dashboards.engines import REFERENCE, engines
from dashboards.rules import files as rules
from dashboards.rules.slo import indicators
from tests.support.complete_profile import COMPLETE, COMPLETE_ALERTS, COMPLETE_GROUPS, alerts_of
