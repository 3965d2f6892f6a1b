"""What is wrong with a query, a rule or a dashboard that Prometheus and Grafana would accept."""
