"""One address in front of all replicas: whom it asks, whom it stops asking, and what it tries again."""
