"""HTTP on its way to a replica: what a rule does to it, which messages it selects, and how it is seen from outside."""
