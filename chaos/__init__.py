"""Experiments: load, fault, observation, verdict and report."""
