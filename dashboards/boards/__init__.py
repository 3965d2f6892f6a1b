"""The dashboards as data: panels over queries, for any engine. Nothing of Grafana is imported here."""
