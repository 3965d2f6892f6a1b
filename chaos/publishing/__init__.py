"""What others see of a run while it goes on: its own series, a Grafana's annotations, the engine, the alerts."""
