"""All that knows Grafana: its JSON, its HTTP API, and the libraries for both."""
