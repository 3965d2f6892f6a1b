"""Prometheus rules of any engine: recordings, objectives, alerts."""
