"""Runs whose truth is known, through the whole analysis: how often is what aftershock says of them right?

`python -m benchmarks.ground_truth` simulates clusters (`worlds`), measures and judges their rows as a run's
(`adapter`), and compares what was stated with what was true (`scoring`).
"""
