"""A kill among three toys in some ten seconds: for tests about what surrounds a run, and never about its figures."""

import json

from tests.support.local_cluster import COMMAND

QUICK = f"""\
experiment: quick
hypothesis: Killing one of three toys is survived.
seed: 5
target: {{local: {{replicas: 3, command: {json.dumps(COMMAND)}}}}}
load: {{rate: 25, output_tokens: 8}}
phases: {{warmup: 500ms, baseline: 4s, observe: 4s}}
fault: {{manifest: kill.yaml, max_targets: 1, jitter: 0s}}
slo: {{ttft: 1s, e2e: 2s}}
recovery: {{goodput: 50%, error_ratio: 50%, window: 1s, hold: 1s, within: 3s}}
assertions:
  - error_ratio(all) <= 90%
  - requests(all) >= 20
"""
