"""The open-loop user of `locust`."""
